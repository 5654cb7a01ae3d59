-- +goose Up

-- Whose footage the policy of the print's job has searched by its frames, where that is more than its scope. In rechecks, a row whose job is
-- empty says that the frames of the late print are to be looked for among what ran at the same time.
ALTER TABLE prints ADD COLUMN alike TEXT NOT NULL DEFAULT '';
CREATE INDEX prints_alike ON prints (tenant, job) WHERE alike <> '';

-- +goose Down

DELETE FROM rechecks WHERE job = '';
DROP INDEX prints_alike;
ALTER TABLE prints DROP COLUMN alike;
