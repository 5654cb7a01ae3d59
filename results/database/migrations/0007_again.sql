-- +goose Up
-- A job that ran before goes before the other jobs of its tenant and priority: its worker died, or something was away, and it has waited.
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (priority, tenant, (CASE WHEN token > 0 THEN 0 ELSE 1 END), created_at, id) WHERE ready;
CREATE INDEX jobs_again ON jobs (priority, run_at) WHERE ready AND token > 0;

-- +goose Down
DROP INDEX jobs_again;
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (priority, tenant, created_at, id) WHERE ready;
