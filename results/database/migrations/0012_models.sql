-- +goose Up

-- The models of the registry. tenant '' is the whole installation.
CREATE TABLE models (
    id         TEXT    NOT NULL PRIMARY KEY, -- ULID
    tenant     TEXT    NOT NULL,
    task       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    sha256     TEXT    NOT NULL, -- of the ONNX file
    digest     TEXT    NOT NULL, -- of the manifest
    manifest   BYTEA   NOT NULL,
    files      TEXT    NOT NULL, -- JSON
    state      TEXT    NOT NULL,
    check_doc  TEXT    NOT NULL, -- JSON; empty: none
    report     TEXT    NOT NULL, -- JSON; empty: none
    passed     BOOLEAN NOT NULL,
    actor      TEXT    NOT NULL,
    added_at   BIGINT  NOT NULL,
    changed_at BIGINT  NOT NULL
);
CREATE UNIQUE INDEX models_once ON models (tenant, digest) WHERE state <> 'retired';
CREATE UNIQUE INDEX models_name ON models (tenant, task, name, version) WHERE state <> 'retired';
CREATE INDEX models_file ON models (task, sha256);

CREATE TABLE model_files (
    object_key TEXT   NOT NULL PRIMARY KEY,
    sha256     TEXT   NOT NULL,
    bytes      BIGINT NOT NULL
);

-- Which models run from when on. One epoch at most is staging, one at most active.
CREATE TABLE model_epochs (
    number     BIGINT NOT NULL PRIMARY KEY,
    state      TEXT   NOT NULL,
    doc        TEXT   NOT NULL, -- JSON
    changes    TEXT   NOT NULL, -- JSON
    action     TEXT   NOT NULL,
    why        TEXT   NOT NULL,
    actor      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    active_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX model_epochs_one ON model_epochs (state) WHERE state IN ('staging', 'active');

-- What each process can run, as it says itself.
CREATE TABLE model_hosts (
    name    TEXT   NOT NULL PRIMARY KEY,
    role    TEXT   NOT NULL,
    base    TEXT   NOT NULL,
    ready   BIGINT NOT NULL,
    failed  BIGINT NOT NULL,
    why     TEXT   NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE TABLE model_promotions (
    id         TEXT   NOT NULL PRIMARY KEY, -- ULID
    model      TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    task       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    reason     TEXT   NOT NULL, -- of going on without a comparison that passed
    total      BIGINT NOT NULL,
    done       BIGINT NOT NULL,
    gaps       BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    why        TEXT   NOT NULL,
    actor      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX model_promotions_one ON model_promotions (scope, task) WHERE state IN ('embedding', 'staging');
CREATE INDEX model_promotions_scope ON model_promotions (scope, id);

-- Enrolled photos that a model cannot use.
CREATE TABLE model_gaps (
    tenant  TEXT   NOT NULL,
    sha256  TEXT   NOT NULL, -- of the model's file
    photo   TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    why     TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (tenant, sha256, photo)
);
CREATE INDEX model_gaps_subject ON model_gaps (tenant, subject);

-- What candidates said of live jobs.
CREATE TABLE model_shadows (
    model     TEXT             NOT NULL,
    job       TEXT             NOT NULL,
    tenant    TEXT             NOT NULL,
    subject   TEXT             NOT NULL,
    epoch     BIGINT           NOT NULL,
    stored    BOOLEAN          NOT NULL,
    same      BOOLEAN          NOT NULL,
    decided   TEXT             NOT NULL,
    would     TEXT             NOT NULL,
    cpu_ms    DOUBLE PRECISION NOT NULL,
    own_ms    DOUBLE PRECISION NOT NULL,
    detail    TEXT             NOT NULL, -- JSON
    at        BIGINT           NOT NULL,
    PRIMARY KEY (model, job)
);
CREATE INDEX model_shadows_subject ON model_shadows (tenant, subject);
CREATE INDEX model_shadows_tenant ON model_shadows (model, tenant, job);
CREATE INDEX model_shadows_job ON model_shadows (job);

-- +goose Down

DROP TABLE model_shadows;
DROP TABLE model_gaps;
DROP TABLE model_promotions;
DROP TABLE model_hosts;
DROP TABLE model_epochs;
DROP TABLE model_files;
DROP TABLE models;
