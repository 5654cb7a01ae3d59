// Package vault seals what belongs to a subject with that subject's key and keeps it as objects: the one place in which Onsite encrypts.
//
// Every subject has a keyset of its own (Tink AEAD and streaming AEAD), wrapped by a key-encryption key from a file or the environment
// and kept in the results store; the associated data of everything sealed is tenant|subject|record. Destroying the key makes all of it
// unreadable for good. It may import results, object and Tink.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/object"
)

// Errors of the vault. They come wrapped with what was asked; ask with errors.Is. Others are those of results (ErrErased, ErrAway) and of
// object (ErrNotFound, ErrAway, ErrNoSpace).
var (
	// ErrForged says that what was sealed is not what lies there: it was changed, cut off, or put in another's place.
	ErrForged = errors.New("sealed data was changed, cut off or moved from its place")
	// ErrLong says that an object is longer than the caller wanted to hold.
	ErrLong = errors.New("the object is longer than what is read at once")
)

// Keys is what the vault needs of the results store.
type Keys interface {
	SubjectKey(ctx context.Context, tenant, subject string) (results.SubjectKey, error)
	CreateSubjectKey(ctx context.Context, k results.SubjectKey) (results.SubjectKey, error)
	EraseSubject(ctx context.Context, tenant, subject string, at time.Time, a results.AuditEntry) ([]string, error)
	Pend(ctx context.Context, keys []string) error
	Forget(ctx context.Context, keys []string) error
	Remember(ctx context.Context, name string, value json.RawMessage) error
	Recall(ctx context.Context, name string) (json.RawMessage, error)
	Now() time.Time
}

// Vault seals and opens. It is made once by New and used from many goroutines.
type Vault struct {
	store   Keys
	objects object.Store
	kek     KEK
	cache   cache
}

// New makes a vault over a results store, an object store and the key-encryption key.
func New(store Keys, objects object.Store, kek KEK) *Vault {
	return &Vault{store: store, objects: objects, kek: kek, cache: cache{kept: map[owner]entry{}}}
}

// Sealed says where a sealed object lies and what it holds.
type Sealed struct {
	Key    string // tenant/subject/ulid
	SHA256 string // of the plain bytes, hex
	Bytes  int64  // of the plain bytes
}

// owner is whose key something is sealed with.
type owner struct{ tenant, subject string }

func (o owner) String() string { return o.tenant + "|" + o.subject }

// check refuses names that could be taken for two others once they are joined.
func (o owner) check() error {
	if object.CheckKey(o.tenant+"/"+o.subject+"/x") != nil {
		return fmt.Errorf("%q is no tenant or %q no subject", o.tenant, o.subject)
	}
	return nil
}

// about is the associated data of a record: what was sealed for one owner and record opens for no other. None of the parts holds a "|":
// check and object.CheckKey see to the first two, and the record comes last.
func (o owner) about(record string) []byte { return []byte(o.tenant + "|" + o.subject + "|" + record) }

// part takes an object key apart: its owner and its record, the ulid.
func part(key string) (owner, string, error) {
	if err := object.CheckKey(key); err != nil {
		return owner{}, "", err
	}
	p := strings.Split(key, "/")
	return owner{p[0], p[1]}, p[2], nil
}

// SealBytes seals a small record (a template) that lies in the results store itself.
func (v *Vault) SealBytes(ctx context.Context, tenant, subject, record string, plain []byte) ([]byte, error) {
	o := owner{tenant, subject}
	keys, err := v.keys(ctx, o, true)
	if err != nil {
		return nil, fmt.Errorf("seal a record: %w", err)
	}
	sealed, err := keys.records.Encrypt(plain, o.about(record))
	if err != nil {
		return nil, fmt.Errorf("seal a record: %w", err)
	}
	return sealed, nil
}

// OpenBytes opens what SealBytes made.
func (v *Vault) OpenBytes(ctx context.Context, tenant, subject, record string, sealed []byte) ([]byte, error) {
	o := owner{tenant, subject}
	keys, err := v.keys(ctx, o, false)
	if err != nil {
		return nil, fmt.Errorf("open record %s: %w", record, err)
	}
	plain, err := keys.records.Decrypt(sealed, o.about(record))
	if err != nil {
		return nil, fmt.Errorf("open record %s: %w", record, ErrForged) // Tink says no more than that it fails
	}
	return plain, nil
}

// SealConfig seals a tenant's own secret (webhook keys), under the key of the pseudo-subject results.TenantSubject.
func (v *Vault) SealConfig(ctx context.Context, tenant, record string, plain []byte) ([]byte, error) {
	return v.SealBytes(ctx, tenant, results.TenantSubject, record, plain)
}

// OpenConfig opens what SealConfig made.
func (v *Vault) OpenConfig(ctx context.Context, tenant, record string, sealed []byte) ([]byte, error) {
	return v.OpenBytes(ctx, tenant, results.TenantSubject, record, sealed)
}

// Erase erases a subject in the store and forgets its key; from then on nothing of it can be read. Then it deletes the objects. Those that
// cannot be deleted now stay noted as pending and are swept later: they are noise without the key, so that is no error.
func (v *Vault) Erase(ctx context.Context, tenant, subject string, a results.AuditEntry) error {
	o := owner{tenant, subject}
	keys, err := v.store.EraseSubject(ctx, tenant, subject, v.store.Now(), a)
	v.cache.forget(o) // also after an error: it may have come after the commit
	if err != nil {
		return fmt.Errorf("erase a subject: %w", err)
	}
	_ = v.Discard(ctx, keys...) // see above
	return nil
}

// Forget drops a subject's key from this process's memory, for whoever erases a subject by other means.
func (v *Vault) Forget(tenant, subject string) { v.cache.forget(owner{tenant, subject}) }

// kekName is under what the store remembers the key-encryption key that it was begun with.
const kekName = "vault.kek"

// Check says whether this key-encryption key is the one with which the store was begun; the first one is remembered. Whoever starts calls
// it, so that a wrong key shows at the start and not with the first subject. The error is a *KEKError.
func (v *Vault) Check(ctx context.Context) error {
	var known string
	text, err := v.store.Recall(ctx, kekName)
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	switch {
	case errors.Is(err, results.ErrNotFound):
		if text, err = json.Marshal(v.kek.ID()); err == nil {
			err = v.store.Remember(ctx, kekName, text)
		}
		if err != nil {
			return fmt.Errorf("remember the key-encryption key: %w", err)
		}
	case err != nil:
		return fmt.Errorf("look which key-encryption key the store was begun with: %w", err)
	case known != v.kek.ID():
		return &KEKError{Want: known, Have: v.kek.ID()}
	}
	return nil
}

// Ping says whether objects can be read and written now.
func (v *Vault) Ping(ctx context.Context) error { return v.objects.Ping(ctx) }

// KEKError says that something is wrapped by another key-encryption key than the one at hand.
type KEKError struct{ Want, Have string }

// Text is the error in words.
func (e *KEKError) Text() pipeline.Text {
	return pipeline.Text{
		EN: "the store's keys are wrapped by the key-encryption key " + e.Want + ", but the one that was given is " + e.Have +
			": give the file or the variable with which this store was begun",
		ZH: "结果库中的密钥由密钥加密密钥 " + e.Want + " 加密，但提供的是 " + e.Have + "：请提供建立该结果库时所用的密钥文件或环境变量",
	}
}

func (e *KEKError) Error() string { return e.Text().EN }
