-- +goose Up

-- The hashes of a print's frames, from which the workers' indexes are made. They go with the print.
CREATE TABLE frame_hashes (
    job    TEXT   NOT NULL PRIMARY KEY REFERENCES prints (job) ON DELETE CASCADE,
    tenant TEXT   NOT NULL,
    format BIGINT NOT NULL, -- which hash, and how it is written
    frames BYTEA  NOT NULL
);

-- Which hashes were deleted in the last days, so that indexes follow.
CREATE TABLE frame_gone (
    job    TEXT   NOT NULL PRIMARY KEY,
    tenant TEXT   NOT NULL,
    at     BIGINT NOT NULL
);
CREATE INDEX frame_gone_at ON frame_gone (at, job);

-- +goose Down

DROP TABLE frame_gone;
DROP TABLE frame_hashes;
