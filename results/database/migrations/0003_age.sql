-- +goose Up

-- What is removed by its age.
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (done_at) WHERE state <> 'pending';

-- +goose Down

DROP INDEX webhook_deliveries_age;
DROP INDEX idempotency_age;
