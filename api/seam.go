package api

import (
	"context"
	"io"
	"os"
	"time"

	"onsite/results"
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

// Presigner lets clients upload straight into a bucket of ours.
type Presigner interface {
	// Bucket is the name of that bucket, as its notifications give it.
	Bucket() string
	// PresignPost gives the URL and the form fields of a POST policy for exactly this key and at most maxBytes, until it expires.
	PresignPost(ctx context.Context, key string, maxBytes int64, expires time.Time) (url string, fields map[string]string, err error)
}

// Events takes bucket notifications. It returns nil only after everything in the body was recorded.
type Events interface {
	Receive(ctx context.Context, source string, body []byte) error
}

// Core is what the API asks of the verification core. The routes of subjects and models add to it.
type Core interface{}
