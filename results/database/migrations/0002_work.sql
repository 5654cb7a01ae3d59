-- +goose Up

-- One upload as accepted. Rows are written once (a bucket's object gets its media columns later), so the indexes of lists are here and not
-- on jobs, whose rows change four times. An object key says its tenant and subject: who looks for one finds it by submissions_subject.
CREATE TABLE submissions (
    job          TEXT   NOT NULL PRIMARY KEY, -- ULID
    tenant       TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    site         TEXT   NOT NULL,
    policy       TEXT   NOT NULL,
    policy_rev   BIGINT NOT NULL,
    claim        TEXT   NOT NULL, -- JSON
    priority     BIGINT NOT NULL,
    source       TEXT   NOT NULL, -- JSON
    media_key    TEXT   NOT NULL, -- of the sealed object; empty until there is our own copy, and once it is gone
    media_sha256 TEXT   NOT NULL,
    media_bytes  BIGINT NOT NULL,
    media_name   TEXT   NOT NULL,
    trace_parent TEXT   NOT NULL,
    received_at  BIGINT NOT NULL
);
CREATE INDEX submissions_tenant ON submissions (tenant, job);
CREATE INDEX submissions_subject ON submissions (tenant, subject, job);
CREATE INDEX submissions_site ON submissions (tenant, site, job);

-- The truth about every job. ready: accepted, not held, and its time has come; so the dispatcher reads no clock and sorts nothing.
CREATE TABLE jobs (
    id          TEXT    NOT NULL PRIMARY KEY, -- ULID
    tenant      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    site        TEXT    NOT NULL,
    priority    BIGINT  NOT NULL,
    state       TEXT    NOT NULL,
    ready       BOOLEAN NOT NULL,
    attempt     BIGINT  NOT NULL,
    token       BIGINT  NOT NULL,
    failures    BIGINT  NOT NULL,
    crashes     BIGINT  NOT NULL,
    held        BOOLEAN NOT NULL,
    run_at      BIGINT  NOT NULL,
    queued_at   BIGINT  NOT NULL,
    lease_until BIGINT  NOT NULL,
    deadline    BIGINT  NOT NULL,
    worker      TEXT    NOT NULL,
    error_rule  TEXT    NOT NULL,
    error       TEXT    NOT NULL, -- JSON; empty: none
    revision    BIGINT  NOT NULL,
    trace_parent TEXT   NOT NULL,
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL,
    finished_at BIGINT  NOT NULL
);
-- By created_at before id: else PostgreSQL takes the primary key for the order by id, and reads every finished job on its way.
CREATE INDEX jobs_ready ON jobs (priority, tenant, created_at, id) WHERE ready;
CREATE INDEX jobs_asleep ON jobs (run_at) WHERE state = 'accepted' AND NOT ready AND NOT held;
CREATE INDEX jobs_held ON jobs (tenant, error_rule) WHERE held;
CREATE INDEX jobs_queued ON jobs (queued_at) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_open ON jobs (tenant, state, id) WHERE state <> 'done';
ALTER TABLE jobs SET (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000); -- postgres

-- A client's name for a request. job is empty while a long upload runs under it.
CREATE TABLE idempotency (
    tenant     TEXT   NOT NULL,
    request    TEXT   NOT NULL,
    job        TEXT   NOT NULL,
    body       TEXT   NOT NULL, -- sha256
    until      BIGINT NOT NULL, -- of the reservation
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, request)
);

-- Claims that wait for their object.
CREATE TABLE uploads (
    job         TEXT   NOT NULL PRIMARY KEY,
    tenant      TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    bucket      TEXT   NOT NULL,
    path        TEXT   NOT NULL, -- the object's key in that bucket
    max_bytes   BIGINT NOT NULL,
    sub         TEXT   NOT NULL, -- JSON
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    arrived_at  BIGINT NOT NULL,
    UNIQUE (bucket, path)
);
CREATE INDEX uploads_subject ON uploads (tenant, subject);
CREATE INDEX uploads_waiting ON uploads (expires_at) WHERE arrived_at = 0;

CREATE TABLE bucket_maps (
    bucket     TEXT   NOT NULL,
    prefix     TEXT   NOT NULL,
    tenant     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, prefix)
);
CREATE INDEX bucket_maps_tenant ON bucket_maps (tenant);

-- Every bucket event as received.
CREATE TABLE intake_events (
    id          TEXT   NOT NULL PRIMARY KEY, -- ULID
    tenant      TEXT   NOT NULL, -- empty: nobody's
    source      TEXT   NOT NULL,
    raw         BYTEA  NOT NULL,
    bucket      TEXT   NOT NULL,
    path        TEXT   NOT NULL,
    version     TEXT   NOT NULL,
    sequencer   TEXT   NOT NULL,
    etag        TEXT   NOT NULL,
    mark        TEXT   NOT NULL, -- tells one writing of the object from another
    bytes       BIGINT NOT NULL,
    state       TEXT   NOT NULL,
    job         TEXT   NOT NULL,
    why         TEXT   NOT NULL,
    happened_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE INDEX intake_events_tenant ON intake_events (tenant, id);
CREATE INDEX intake_events_state ON intake_events (tenant, state, id);
CREATE INDEX intake_events_path ON intake_events (bucket, path, state);
CREATE UNIQUE INDEX intake_events_once ON intake_events (bucket, path, mark) WHERE state = 'started';

-- Every revision of every verdict. seq is NULL until the sequencer has given the position in the tenant's feed.
CREATE TABLE verdicts (
    job          TEXT   NOT NULL,
    revision     BIGINT NOT NULL,
    tenant       TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    site         TEXT   NOT NULL,
    seq          BIGINT,
    decision     TEXT   NOT NULL,
    codes        TEXT   NOT NULL, -- JSON
    policy       TEXT   NOT NULL,
    body         BYTEA  NOT NULL,
    submitted_at BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (job, revision)
);
CREATE INDEX verdicts_tenant ON verdicts (tenant, job, revision);
CREATE INDEX verdicts_subject ON verdicts (tenant, subject, job, revision);
CREATE INDEX verdicts_site ON verdicts (tenant, site, job, revision);
CREATE INDEX verdicts_decision ON verdicts (tenant, decision, job, revision);
CREATE INDEX verdicts_fresh ON verdicts (job, revision) WHERE seq IS NULL;
CREATE UNIQUE INDEX verdicts_feed ON verdicts (tenant, seq) WHERE seq IS NOT NULL;
ALTER TABLE verdicts SET (fillfactor = 80); -- postgres

-- The reasons of a verdict, for lists by reason.
CREATE TABLE verdict_codes (
    tenant   TEXT   NOT NULL,
    code     TEXT   NOT NULL,
    job      TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, code, job, revision)
);

CREATE TABLE evidence (
    job        TEXT   NOT NULL,
    revision   BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    idx        BIGINT NOT NULL,
    tenant     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    object_key TEXT   NOT NULL,
    sha256     TEXT   NOT NULL,
    bytes      BIGINT NOT NULL,
    PRIMARY KEY (job, revision, kind, idx)
);
CREATE INDEX evidence_subject ON evidence (tenant, subject);

-- Fingerprints. seq is that of the job's first verdict; it is in no index, so that giving it rewrites none.
CREATE TABLE prints (
    job         TEXT   NOT NULL PRIMARY KEY,
    tenant      TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    site        TEXT   NOT NULL,
    seq         BIGINT,
    as_of       BIGINT NOT NULL,
    format      BIGINT NOT NULL,
    sha256      TEXT   NOT NULL,
    packets     TEXT   NOT NULL,
    object_key  TEXT   NOT NULL,
    bytes       BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL
);
CREATE INDEX prints_tenant ON prints (tenant, job);
CREATE INDEX prints_subject ON prints (tenant, subject, job);
CREATE INDEX prints_site ON prints (tenant, site, job) WHERE site <> '';
CREATE INDEX prints_file ON prints (tenant, sha256, job);
CREATE INDEX prints_packets ON prints (tenant, packets, job) WHERE packets <> '';
ALTER TABLE prints SET (fillfactor = 75); -- postgres

-- late was accepted before job and is in the feed at a position that job did not see.
CREATE TABLE rechecks (
    late        TEXT   NOT NULL,
    job         TEXT   NOT NULL,
    tenant      TEXT   NOT NULL,
    worker      TEXT   NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (late, job)
);

-- How far each tenant's feed is, and how many jobs are done in it.
CREATE TABLE feed (
    tenant   TEXT   NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    done     BIGINT NOT NULL
);

CREATE TABLE webhook_endpoints (
    tenant      TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    url         TEXT   NOT NULL,
    events      TEXT   NOT NULL, -- ,verdict.created,job.dead, or empty: all
    keys        BYTEA  NOT NULL, -- sealed
    disabled_at BIGINT NOT NULL,
    why         TEXT   NOT NULL,
    rev         BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE webhook_deliveries (
    id          TEXT   NOT NULL PRIMARY KEY, -- <message>.<endpoint>
    tenant      TEXT   NOT NULL,
    endpoint    TEXT   NOT NULL,
    message     TEXT   NOT NULL,
    type        TEXT   NOT NULL,
    payload     BYTEA  NOT NULL,
    job         TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    attempt     BIGINT NOT NULL,
    next_at     BIGINT NOT NULL,
    due_at      BIGINT NOT NULL, -- next_at, 0 for the first attempt, or the end of the lease of who is sending it
    worker      TEXT   NOT NULL,
    last_status BIGINT NOT NULL,
    last_error  TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    done_at     BIGINT NOT NULL
);
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (tenant, endpoint, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, due_at, id) WHERE state = 'pending';

-- The delivery log.
CREATE TABLE webhook_tries (
    delivery TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    attempt  BIGINT NOT NULL,
    status   BIGINT NOT NULL,
    error    TEXT   NOT NULL,
    took_ms  BIGINT NOT NULL,
    PRIMARY KEY (delivery, at, attempt)
);

-- +goose Down

DROP TABLE webhook_tries;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_endpoints;
DROP TABLE feed;
DROP TABLE rechecks;
DROP TABLE prints;
DROP TABLE evidence;
DROP TABLE verdict_codes;
DROP TABLE verdicts;
DROP TABLE intake_events;
DROP TABLE bucket_maps;
DROP TABLE uploads;
DROP TABLE idempotency;
DROP TABLE jobs;
DROP TABLE submissions;
