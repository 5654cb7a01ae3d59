-- +goose Up

-- Models that become active together with the model of a promotion: a JSON list of ids.
ALTER TABLE model_promotions ADD COLUMN partners TEXT NOT NULL DEFAULT '';

-- What shadow runs come to is read from the index alone.
CREATE INDEX model_shadows_sums ON model_shadows (tenant, model, same, cpu_ms);

-- Stored jobs that are run again under candidates. scope '' is the whole installation.
CREATE TABLE model_comparisons (
    id         TEXT    NOT NULL PRIMARY KEY, -- ULID
    scope      TEXT    NOT NULL,
    model      TEXT    NOT NULL, -- the first of models
    models     TEXT    NOT NULL, -- JSON
    epoch      BIGINT  NOT NULL,
    ask        TEXT    NOT NULL, -- JSON
    state      TEXT    NOT NULL,
    total      BIGINT  NOT NULL,
    done       BIGINT  NOT NULL,
    gone       BIGINT  NOT NULL,
    digest     TEXT    NOT NULL,
    summary    TEXT    NOT NULL, -- JSON; empty: none
    passed     BOOLEAN NOT NULL,
    why        TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    changed_at BIGINT  NOT NULL
);
CREATE UNIQUE INDEX model_comparisons_one ON model_comparisons (model) WHERE state IN ('running', 'paused');
CREATE INDEX model_comparisons_scope ON model_comparisons (scope, id);

CREATE TABLE model_comparison_packages (
    comparison TEXT  NOT NULL PRIMARY KEY,
    pack       BYTEA NOT NULL
);

CREATE TABLE model_compared (
    comparison TEXT NOT NULL,
    job        TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    state      TEXT NOT NULL,
    body       TEXT NOT NULL, -- JSON; empty: none
    PRIMARY KEY (comparison, job)
);
CREATE INDEX model_compared_next ON model_compared (comparison, state, job);
CREATE INDEX model_compared_subject ON model_compared (tenant, subject);
CREATE INDEX model_compared_job ON model_compared (job);

-- +goose Down

DROP TABLE model_compared;
DROP TABLE model_comparison_packages;
DROP TABLE model_comparisons;
DROP INDEX model_shadows_sums;
ALTER TABLE model_promotions DROP COLUMN partners;
