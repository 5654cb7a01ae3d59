-- +goose Up

-- What subjects were asked to do in their next recording. A challenge is used once, by the submission that names it first.
CREATE TABLE challenges (
    tenant     TEXT   NOT NULL,
    id         TEXT   NOT NULL, -- ULID
    subject    TEXT   NOT NULL,
    policy     TEXT   NOT NULL,
    doc        TEXT   NOT NULL, -- JSON: what is asked
    actor      TEXT   NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    job        TEXT   NOT NULL, -- that used it; empty: none
    used_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX challenges_subject ON challenges (tenant, subject, issued_at);
CREATE INDEX challenges_job ON challenges (job) WHERE job <> '';
CREATE INDEX challenges_old ON challenges (expires_at) WHERE job = '';

-- +goose Down

DROP TABLE challenges;
