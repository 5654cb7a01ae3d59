package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/streamingaead/aesgcmhkdf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"onsite/results"
)

// segmentBytes is what the streaming AEAD seals at a time. Tink's own template has 1 MiB, of which every Put and Open would hold three:
// most of our objects are keyframes and photos of some 100 KiB.
const segmentBytes = 64 << 10

// keyTTL is how long an unwrapped key is used without asking the store: for so long another process may still read what an erasure destroyed.
const keyTTL = 5 * time.Second

// maxCached bounds the unwrapped keys in memory.
const maxCached = 4096

// keys are a subject's unwrapped keysets.
type keys struct {
	records tink.AEAD          // small records in the results store
	objects tink.StreamingAEAD // objects
}

// wrapped is how they lie in the store: two Tink keysets, each encrypted with the KEK; a keyset holds keys of one kind only.
type wrapped struct {
	Version int    `json:"v"`
	Records []byte `json:"records"`
	Objects []byte `json:"objects"`
}

// The records that the wrapped keysets are sealed as: neither can be put in the other's place, nor in another subject's.
const (
	recordsKeyset = "keyset.records"
	objectsKeyset = "keyset.objects"
)

// keys gives a subject's keys, and makes them if wanted and there are none.
func (v *Vault) keys(ctx context.Context, o owner, create bool) (keys, error) {
	if err := o.check(); err != nil {
		return keys{}, err
	}
	k, epoch, ok := v.cache.get(o)
	if ok {
		return k, nil
	}
	row, err := v.store.SubjectKey(ctx, o.tenant, o.subject)
	if errors.Is(err, results.ErrNotFound) && create {
		row, err = v.newKeys(ctx, o)
	}
	if err != nil {
		return keys{}, fmt.Errorf("the subject's key: %w", err)
	}
	if !row.DestroyedAt.IsZero() {
		return keys{}, fmt.Errorf("the subject's key: %w", results.ErrErased)
	}
	if k, err = v.unwrap(o, row); err != nil {
		return keys{}, fmt.Errorf("the subject's key: %w", err)
	}
	v.cache.put(o, k, epoch)
	return k, nil
}

// newKeys makes and stores a subject's keys. When another process does so at the same time, both use those that were stored first.
func (v *Vault) newKeys(ctx context.Context, o owner) (results.SubjectKey, error) {
	w := wrapped{Version: 1}
	var err error
	if w.Records, err = v.wrap(o, recordsKeyset, func(m *keyset.Manager) (uint32, error) { return m.Add(aead.AES256GCMKeyTemplate()) }); err != nil {
		return results.SubjectKey{}, err
	}
	streaming, err := aesgcmhkdf.NewParameters(aesgcmhkdf.ParametersOpts{
		KeySizeInBytes: 32, DerivedKeySizeInBytes: 32, HKDFHashType: aesgcmhkdf.SHA256, SegmentSizeInBytes: segmentBytes,
	})
	if err != nil {
		return results.SubjectKey{}, err
	}
	if w.Objects, err = v.wrap(o, objectsKeyset, func(m *keyset.Manager) (uint32, error) { return m.AddNewKeyFromParameters(streaming) }); err != nil {
		return results.SubjectKey{}, err
	}
	text, err := json.Marshal(w)
	if err != nil {
		return results.SubjectKey{}, err
	}
	return v.store.CreateSubjectKey(ctx, results.SubjectKey{Tenant: o.tenant, Subject: o.subject, Wrapped: text, KEK: v.kek.ID(), CreatedAt: v.store.Now()})
}

// wrap makes a keyset of one key and encrypts it with the KEK.
func (v *Vault) wrap(o owner, what string, add func(*keyset.Manager) (uint32, error)) ([]byte, error) {
	m := keyset.NewManager()
	id, err := add(m)
	if err == nil {
		err = m.SetPrimary(id)
	}
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", what, err)
	}
	h, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", what, err)
	}
	var b bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewBinaryWriter(&b), v.kek.aead, o.about(what)); err != nil {
		return nil, fmt.Errorf("wrap %s: %w", what, err)
	}
	return b.Bytes(), nil
}

func (v *Vault) unwrap(o owner, row results.SubjectKey) (keys, error) {
	if row.KEK != v.kek.ID() {
		return keys{}, &KEKError{Want: row.KEK, Have: v.kek.ID()}
	}
	var w wrapped
	if err := json.Unmarshal(row.Wrapped, &w); err != nil {
		return keys{}, fmt.Errorf("%w: the row is not of a form that this version knows", ErrForged)
	}
	if w.Version != 1 {
		return keys{}, fmt.Errorf("%w: the row has form %d, this version knows 1", ErrForged, w.Version)
	}
	records, err := v.read(o, recordsKeyset, w.Records)
	if err != nil {
		return keys{}, err
	}
	objects, err := v.read(o, objectsKeyset, w.Objects)
	if err != nil {
		return keys{}, err
	}
	var k keys
	if k.records, err = aead.New(records); err != nil {
		return keys{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if k.objects, err = streamingaead.New(objects); err != nil {
		return keys{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return k, nil
}

func (v *Vault) read(o owner, what string, sealed []byte) (*keyset.Handle, error) {
	h, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(sealed)), v.kek.aead, o.about(what))
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not open with the key-encryption key that wrapped it", ErrForged, what)
	}
	return h, nil
}

// cache keeps unwrapped keys for a short time.
type cache struct {
	mu    sync.Mutex
	kept  map[owner]entry
	epoch uint64 // rises with every erasure: a key that was read before one is not kept after it
}

type entry struct {
	keys  keys
	until time.Time
}

func (c *cache) get(o owner) (keys, uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.kept[o]
	if ok && time.Now().After(e.until) {
		delete(c.kept, o)
		ok = false
	}
	return e.keys, c.epoch, ok
}

func (c *cache) put(o owner, k keys, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch {
		return
	}
	now := time.Now()
	if len(c.kept) >= maxCached {
		for o, e := range c.kept {
			if now.After(e.until) {
				delete(c.kept, o)
			}
		}
		if len(c.kept) >= maxCached { // thousands of subjects within seconds: begin anew
			clear(c.kept)
		}
	}
	c.kept[o] = entry{k, now.Add(keyTTL)}
}

func (c *cache) forget(o owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	delete(c.kept, o)
}
