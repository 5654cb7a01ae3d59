-- +goose Up
-- A job whose worker died goes before the other jobs of its tenant and priority: it has waited for a lease to run out.
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (priority, tenant, (CASE WHEN error_rule = 'crashed' THEN 0 ELSE 1 END), created_at, id) WHERE ready;
CREATE INDEX jobs_again ON jobs (priority, run_at) WHERE ready AND error_rule = 'crashed';

-- +goose Down
DROP INDEX jobs_again;
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (priority, tenant, created_at, id) WHERE ready;
