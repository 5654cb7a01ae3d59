-- +goose Up

-- The device that a submission's claim names, by its digest, so that others' uploads from the same device are found. Submissions from
-- before have none, and are not found by it.
ALTER TABLE submissions ADD COLUMN device TEXT NOT NULL DEFAULT '';
CREATE INDEX submissions_device ON submissions (tenant, device, received_at) WHERE device <> '';
CREATE INDEX submissions_trail ON submissions (tenant, subject, received_at);

-- +goose Down

DROP INDEX submissions_trail;
DROP INDEX submissions_device;
ALTER TABLE submissions DROP COLUMN device;
