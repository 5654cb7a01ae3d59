-- +goose Up

CREATE TABLE tenants (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    settings   TEXT   NOT NULL, -- JSON
    rev        BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    tenant     TEXT   NOT NULL REFERENCES tenants (id),
    name       TEXT   NOT NULL,
    roles      TEXT   NOT NULL, -- JSON
    sha256     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL
);
CREATE INDEX api_keys_tenant ON api_keys (tenant, id);

CREATE TABLE subjects (
    tenant     TEXT   NOT NULL REFERENCES tenants (id),
    id         TEXT   NOT NULL,
    label      TEXT   NOT NULL,
    rev        BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    erased_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- A subject's wrapped key, or that of a pseudo-subject (_site.<id>, _tenant). A destroyed key keeps its row: no new one takes its place.
CREATE TABLE subject_keys (
    tenant       TEXT   NOT NULL REFERENCES tenants (id),
    subject      TEXT   NOT NULL,
    wrapped      BYTEA, -- NULL once destroyed
    kek          TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    destroyed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, subject)
);

CREATE TABLE photos (
    tenant     TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    object_key TEXT   NOT NULL, -- empty once the photo was removed
    sha256     TEXT   NOT NULL,
    bytes      BIGINT NOT NULL,
    quality    TEXT   NOT NULL, -- JSON
    from_rev   BIGINT NOT NULL,
    to_rev     BIGINT NOT NULL, -- 0: still enrolled
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, subject) REFERENCES subjects (tenant, id)
);
CREATE INDEX photos_subject ON photos (tenant, subject, id);
CREATE UNIQUE INDEX photos_object ON photos (object_key) WHERE object_key <> '';

CREATE TABLE templates (
    tenant       TEXT  NOT NULL,
    photo        TEXT  NOT NULL,
    model_sha256 TEXT  NOT NULL,
    subject      TEXT  NOT NULL,
    sealed       BYTEA NOT NULL,
    PRIMARY KEY (tenant, photo, model_sha256),
    FOREIGN KEY (tenant, photo) REFERENCES photos (tenant, id)
);
CREATE INDEX templates_subject ON templates (tenant, subject);
CREATE INDEX templates_model ON templates (tenant, model_sha256, photo);

CREATE TABLE consents (
    tenant       TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    purpose      TEXT   NOT NULL,
    notice       TEXT   NOT NULL,
    reference    TEXT   NOT NULL,
    recorded_by  TEXT   NOT NULL,
    given_at     BIGINT NOT NULL,
    withdrawn_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, subject) REFERENCES subjects (tenant, id)
);
CREATE INDEX consents_subject ON consents (tenant, subject, purpose);

CREATE TABLE sites (
    tenant     TEXT    NOT NULL REFERENCES tenants (id),
    id         TEXT    NOT NULL,
    rev        BIGINT  NOT NULL,
    doc        TEXT    NOT NULL, -- JSON
    created_at BIGINT  NOT NULL,
    deleted    BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, id, rev)
);

-- Which objects any revision of a site names.
CREATE TABLE site_objects (
    object_key TEXT NOT NULL PRIMARY KEY,
    tenant     TEXT NOT NULL,
    site       TEXT NOT NULL
);

CREATE TABLE policies (
    tenant     TEXT    NOT NULL REFERENCES tenants (id),
    name       TEXT    NOT NULL,
    rev        BIGINT  NOT NULL,
    digest     TEXT    NOT NULL,
    yaml       BYTEA   NOT NULL,
    created_at BIGINT  NOT NULL,
    deleted    BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, name, rev)
);

-- Append-only. Entries get their place in the log later; here they have their time and id.
CREATE TABLE audit (
    tenant  TEXT   NOT NULL,
    id      TEXT   NOT NULL, -- ULID
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    target  TEXT   NOT NULL,
    digest  TEXT   NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- Object keys that no row names yet, noted before they are written, or (since 0) no longer.
CREATE TABLE pending_objects (
    object_key TEXT   NOT NULL PRIMARY KEY,
    since      BIGINT NOT NULL
);
CREATE INDEX pending_objects_since ON pending_objects (since);

-- When something must be gone.
CREATE TABLE deadlines (
    tenant  TEXT   NOT NULL,
    job     TEXT   NOT NULL,
    kind    TEXT   NOT NULL, -- media, keyframes, print, verdict
    subject TEXT   NOT NULL,
    due     BIGINT NOT NULL,
    PRIMARY KEY (tenant, job, kind)
);
CREATE INDEX deadlines_due ON deadlines (due);

-- Who plays a role that one process plays at a time.
CREATE TABLE elections (
    role   TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL
);

CREATE TABLE memory (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL -- JSON
);

-- +goose Down

DROP TABLE memory;
DROP TABLE elections;
DROP TABLE deadlines;
DROP TABLE pending_objects;
DROP TABLE audit;
DROP TABLE policies;
DROP TABLE site_objects;
DROP TABLE sites;
DROP TABLE consents;
DROP TABLE templates;
DROP TABLE photos;
DROP TABLE subject_keys;
DROP TABLE subjects;
DROP TABLE api_keys;
DROP TABLE tenants;
