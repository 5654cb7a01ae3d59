package api

import (
	"context"
	"io"
	"os"
	"time"

	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

// Vault is what the API needs of *vault.Vault.
type Vault interface {
	Put(ctx context.Context, tenant, subject string, r io.Reader) (vault.Sealed, error)
	Discard(ctx context.Context, keys ...string) error
	Open(ctx context.Context, key string) (*os.File, error)
	Read(ctx context.Context, key string, limit int64) ([]byte, error)
	SealBytes(ctx context.Context, tenant, subject, record string, plain []byte) ([]byte, error)
	OpenBytes(ctx context.Context, tenant, subject, record string, sealed []byte) ([]byte, error)
	Erase(ctx context.Context, tenant, subject string, a results.AuditEntry) error
}

// Presigner lets clients upload straight into a bucket of ours: *object.S3.
type Presigner interface {
	PresignPost(ctx context.Context, bucket, key string, maxBytes int64, contentTypes []string, expiry time.Duration) (object.Post, error)
}

// Events takes bucket notifications. It returns nil only after everything in the body was recorded.
type Events interface {
	Receive(ctx context.Context, source string, body []byte) error
	// Claimed starts the job of an object whose event came before its claim was recorded.
	Claimed(ctx context.Context, bucket, key string) error
}
