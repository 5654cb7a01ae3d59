-- +goose Up

-- What the policy of the print's job compares it with. Jobs of before compare with the site, as is usual.
ALTER TABLE prints ADD COLUMN scope TEXT NOT NULL DEFAULT 'site';
CREATE INDEX prints_wide ON prints (tenant, job) WHERE scope = 'tenant';

-- +goose Down

DROP INDEX prints_wide;
ALTER TABLE prints DROP COLUMN scope;
