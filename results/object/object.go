// Package object keeps objects by key: in a folder on one machine, in an S3 bucket on many. It knows nothing of what they hold; package
// vault seals them before they come here. It may import results and client libraries, nothing of the core.
package object

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors of a store. They come wrapped with what was asked; ask with errors.Is.
var (
	ErrNotFound = errors.New("no such object")
	ErrAway     = errors.New("the object store cannot be reached") // retry
	ErrNoSpace  = errors.New("the object store has no space left") // retry, and alarm
)

// Info is one object of a list.
type Info struct {
	Key     string
	Bytes   int64
	Changed time.Time
}

// Store keeps objects. Package objecttest holds what every implementation must do. Keys are tenant/subject/ulid: three parts of
// [A-Za-z0-9._:-], none "." or ".."; anything else is refused.
type Store interface {
	// Put stores what r gives, whole or not at all: a reader never sees a part, and an error leaves nothing. size is -1 when not known.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Get opens an object; ErrNotFound.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// Delete removes an object; that it is gone already is no error.
	Delete(ctx context.Context, key string) error
	// List calls fn for every object whose key begins with prefix, in the order of the keys.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Ping says whether the store takes and gives objects now.
	Ping(ctx context.Context) error
}
