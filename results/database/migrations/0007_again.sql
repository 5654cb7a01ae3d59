-- +goose Up
-- A job whose worker died goes before the other jobs of its tenant and priority: it has waited for a lease to run out.
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (priority, tenant, (CASE WHEN crashes > 0 THEN 0 ELSE 1 END), created_at, id) WHERE ready;

-- +goose Down
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (priority, tenant, created_at, id) WHERE ready;
