// Package object keeps objects by key: in a folder on one machine, in an S3 bucket on many. It knows nothing of what they hold; package
// vault seals them before they come here. The S3 store also hands out presigned uploads and reads what others put into buckets. It may
// import results and client libraries, nothing of the core.
package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Errors of a store. They come wrapped with what was asked; ask with errors.Is.
var (
	ErrNotFound = errors.New("no such object")
	ErrAway     = errors.New("the object store cannot be reached")                             // retry
	ErrForeign  = errors.New("a bucket of others")                                             // said beside what went wrong with it
	ErrNoSpace  = errors.New("the object store has no space left")                             // retry, and alarm
	ErrDenied   = errors.New("the object store refuses our credentials or permissions")        // a person must look
	ErrNoBucket = errors.New("no such bucket; create it or name another one")                  // a person must look
	ErrChanged  = errors.New("the object is not the one that was asked for: it was changed")   // of OpenForeign
	ErrKey      = errors.New("not an object key: three parts of letters, digits and . _ : -")  // a fault in the program
	ErrShort    = errors.New("the reader ended before all the bytes that were announced came") // of Put
	ErrLong     = errors.New("the reader gave more bytes than were announced")                 // of Put
	ErrConfig   = errors.New("the settings of the object store cannot be used")                // of NewS3
	ErrUploaded = errors.New("a presigned upload cannot be made of what was asked")            // of PresignPost
)

// Info is one object of a list.
type Info struct {
	Key     string
	Bytes   int64
	Changed time.Time
}

// Store keeps objects. Package objecttest holds what every implementation must do. Keys are tenant/subject/ulid: three parts of
// [A-Za-z0-9._:-], none "." or ".."; anything else is refused with ErrKey.
type Store interface {
	// Put stores what r gives, whole or not at all: a reader never sees a part, and an error leaves nothing. size is -1 when not known.
	// An error of r comes back as it is, wrapped.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Get opens an object; ErrNotFound.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// Delete removes an object, also one whose Put was cut off; that it is gone already is no error.
	Delete(ctx context.Context, key string) error
	// List calls fn for every object whose key begins with prefix, in the order of the keys. An error of fn ends it and comes back.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Ping says whether the store takes and gives objects now.
	Ping(ctx context.Context) error
}

// maxPart bounds a part of a key: file systems take names of up to 255 bytes.
const maxPart = 200

// CheckKey says whether key may name an object.
func CheckKey(key string) error {
	parts := strings.Split(key, "/")
	if len(parts) != 3 {
		return fmt.Errorf("%q: %w", key, ErrKey)
	}
	for _, p := range parts {
		if !plainPart(p) {
			return fmt.Errorf("%q: %w", key, ErrKey)
		}
	}
	return nil
}

func plainPart(p string) bool {
	if p == "" || p == "." || p == ".." || len(p) > maxPart {
		return false
	}
	for i := range len(p) {
		c := p[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != ':' && c != '-' {
			return false
		}
	}
	return true
}

// source is the reader of a Put: it ends when the context ends, and keeps the reader's own error apart from the store's, so that a
// client who went away is never taken for a store that is away.
type source struct {
	ctx   context.Context // of this Put
	r     io.Reader
	size  int64 // -1: not known
	bytes int64
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		s.err = context.Cause(s.ctx)
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if s.bytes += int64(n); s.size >= 0 && s.bytes > s.size {
		s.err = fmt.Errorf("%w: more than %d", ErrLong, s.size)
		return n, s.err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// whole says whether the reader gave as many bytes as announced.
func (s *source) whole() error {
	if s.size >= 0 && s.bytes < s.size {
		return fmt.Errorf("%w: %d of %d", ErrShort, s.bytes, s.size)
	}
	return nil
}
