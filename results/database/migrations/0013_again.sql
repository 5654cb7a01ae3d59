-- +goose Up

-- Verdicts that were made again: beside the revisions of a verdict, never among them.
CREATE TABLE reverifications (
    tenant     TEXT   NOT NULL,
    id         TEXT   NOT NULL, -- ULID; its audit entry has the same
    job        TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    body       BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX reverifications_job ON reverifications (tenant, job, id);
CREATE INDEX reverifications_of_job ON reverifications (job);
CREATE INDEX reverifications_subject ON reverifications (tenant, subject);

-- An entry that was there when its subject was erased: its salt is gone. The entry of the erasure vouches for which these are.
ALTER TABLE audit ADD COLUMN hidden BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX audit_subject ON audit (tenant, subject) WHERE subject <> '';
UPDATE audit SET hidden = TRUE WHERE action <> 'subject.erased'
    AND EXISTS (SELECT 1 FROM subjects s WHERE s.tenant = audit.tenant AND s.id = audit.subject AND s.erased_at <> 0);

-- +goose Down

DROP INDEX audit_subject;
ALTER TABLE audit DROP COLUMN hidden;
DROP TABLE reverifications;
