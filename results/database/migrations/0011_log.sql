-- +goose Up

-- An audit entry's place in its tenant's Merkle log; NULL until one elected process gave it one.
ALTER TABLE audit ADD COLUMN seq BIGINT;
CREATE UNIQUE INDEX audit_place ON audit (tenant, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_target ON audit (tenant, target);
CREATE INDEX audit_waiting ON audit (tenant, id) WHERE seq IS NULL;

-- What hides a subject's entries in their leaves; subject '' is the tenant's own. It goes with the subject.
CREATE TABLE audit_salts (
    tenant  TEXT  NOT NULL,
    subject TEXT  NOT NULL,
    salt    BYTEA NOT NULL,
    PRIMARY KEY (tenant, subject)
);

-- How far each tenant's log is. Root is that of the tree of its first size leaves.
CREATE TABLE audit_logs (
    tenant TEXT   NOT NULL PRIMARY KEY,
    size   BIGINT NOT NULL,
    root   BYTEA  NOT NULL,
    signed BIGINT NOT NULL -- size of the newest checkpoint
);

-- The tree: complete subtrees, in the order in which they become complete. idx is tlog.StoredHashIndex.
CREATE TABLE audit_hashes (
    tenant TEXT   NOT NULL,
    idx    BIGINT NOT NULL,
    hash   BYTEA  NOT NULL,
    PRIMARY KEY (tenant, idx)
);

CREATE TABLE audit_checkpoints (
    tenant TEXT   NOT NULL,
    size   BIGINT NOT NULL,
    note   TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (tenant, size)
);

CREATE TABLE audit_keys (
    tenant     TEXT   NOT NULL PRIMARY KEY,
    public     TEXT   NOT NULL,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);

-- +goose Down

DROP TABLE audit_keys;
DROP TABLE audit_checkpoints;
DROP TABLE audit_hashes;
DROP TABLE audit_logs;
DROP TABLE audit_salts;
DROP INDEX audit_waiting;
DROP INDEX audit_target;
DROP INDEX audit_place;
ALTER TABLE audit DROP COLUMN seq;
