// Package vault seals what belongs to a subject with that subject's key and keeps it as objects: the one place in which Onsite encrypts.
//
// Every subject has a keyset of its own (Tink AEAD and streaming AEAD), wrapped by a key-encryption key from a file or the environment
// and kept in the results store; the associated data of everything sealed is tenant|subject|record. Destroying the key makes all of it
// unreadable for good. It may import results, object and Tink.
package vault

import (
	"context"
	"io"
	"os"

	"onsite/results"
	"onsite/results/object"
)

// Sealed says where a sealed object lies and what it holds.
type Sealed struct {
	Key    string // tenant/subject/ulid
	SHA256 string // of the plain bytes, hex
	Bytes  int64  // of the plain bytes
}

// Vault seals and opens. It is made once by New and used from many goroutines.
type Vault struct {
	// unexported: store, objects, kek, a small cache of unwrapped keysets that forgets erased subjects at once in this process and after
	// a few seconds in others
}

// New makes a vault over a results store, an object store and the key-encryption key.
func New(store results.Store, objects object.Store, kek KEK) *Vault { panic("to be built") }

// KEK wraps subjects' keys.
type KEK struct{ /* unexported; made by LoadKEK(path), KEKFromEnv(text), NewKEK(path) which writes a 0600 file */ }

// Put seals what r gives under a fresh key of the object store: the key is noted as pending first, so that a crash leaves nothing behind.
// It stays pending until the row that names it is written (Keep, or Photos of Enrol).
func (v *Vault) Put(ctx context.Context, tenant, subject string, r io.Reader) (Sealed, error) {
	panic("to be built")
}

// Discard deletes objects that were put and will not be named by a row after all.
func (v *Vault) Discard(ctx context.Context, keys ...string) error { panic("to be built") }

// Open gives the plain bytes of an object as an anonymous file in memory (memfd) at offset 0: plain media never touches a disk.
// results.ErrErased after the subject's key was destroyed, object.ErrNotFound, ErrForged when the object was changed.
func (v *Vault) Open(ctx context.Context, key string) (*os.File, error) { panic("to be built") }

// Read is Open for small objects, whole in memory, at most limit bytes.
func (v *Vault) Read(ctx context.Context, key string, limit int64) ([]byte, error) {
	panic("to be built")
}

// SealBytes seals a small record (a template) that lies in the results store itself.
func (v *Vault) SealBytes(ctx context.Context, tenant, subject, record string, plain []byte) ([]byte, error) {
	panic("to be built")
}

// OpenBytes opens what SealBytes made.
func (v *Vault) OpenBytes(ctx context.Context, tenant, subject, record string, sealed []byte) ([]byte, error) {
	panic("to be built")
}

// SealConfig and OpenConfig do the same for a tenant's own secrets (webhook keys), under the key of the pseudo-subject "_tenant".

// Erase erases a subject in the store, forgets its key and deletes its objects.
func (v *Vault) Erase(ctx context.Context, tenant, subject string, a results.AuditEntry) error {
	panic("to be built")
}

// Media is a pipeline.Media over a sealed object: Open gives the plain bytes as a memfd.
type Media struct {
	Vault *Vault
	Key   string
	Label string // the name for people
}
