-- +goose Up

-- What investigators said about the reuse check: two jobs are no copies, or a background says nothing. seq and revoked_seq are positions in
-- the tenant's sequence of marks, so that a verdict can say which marks it went by.
CREATE TABLE marks (
    tenant      TEXT   NOT NULL,
    id          TEXT   NOT NULL, -- ULID
    kind        TEXT   NOT NULL, -- pair, background
    job         TEXT   NOT NULL,
    other       TEXT   NOT NULL, -- pair: the job that was accepted earlier
    at_ms       BIGINT NOT NULL, -- background: which still
    hash        TEXT   NOT NULL, -- background: its PDQ, 64 hex digits
    site        TEXT   NOT NULL, -- background: where it holds; empty: everywhere
    note        TEXT   NOT NULL,
    actor       TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_seq BIGINT NOT NULL, -- 0: in force
    revoked_at  BIGINT NOT NULL,
    revoked_by  TEXT   NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX marks_once ON marks (tenant, kind, job, other, at_ms, site) WHERE revoked_seq = 0;
CREATE INDEX marks_job ON marks (job);
CREATE INDEX marks_other ON marks (other) WHERE other <> '';
CREATE INDEX marks_backgrounds ON marks (tenant, seq) WHERE kind = 'background';

-- How far each tenant's sequence of marks is.
CREATE TABLE mark_feed (
    tenant   TEXT   NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

-- +goose Down

DROP TABLE mark_feed;
DROP TABLE marks;
