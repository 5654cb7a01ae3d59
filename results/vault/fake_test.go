package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is what the vault needs of a results store, in memory.
type store struct {
	mu       sync.Mutex
	keys     map[string]results.SubjectKey
	pending  map[string]bool
	values   map[string]json.RawMessage
	asked    int                 // for subjects' keys
	fail     error               // of everything, when set
	onAsk    func()              // before a key is given, without the lock
	onCreate func()              // before a key is stored, without the lock
	byOwner  map[string][]string // objects that EraseSubject gives
}

func newStore() *store {
	return &store{keys: map[string]results.SubjectKey{}, pending: map[string]bool{}, values: map[string]json.RawMessage{}, byOwner: map[string][]string{}}
}

func (s *store) SubjectKey(_ context.Context, tenant, subject string) (results.SubjectKey, error) {
	s.mu.Lock()
	s.asked++
	k, ok := s.keys[tenant+"/"+subject]
	hook, fail := s.onAsk, s.fail
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	switch {
	case fail != nil:
		return k, fail
	case !ok:
		return k, fmt.Errorf("key of %s: %w", subject, results.ErrNotFound)
	case !k.DestroyedAt.IsZero():
		return k, fmt.Errorf("key of %s: %w", subject, results.ErrErased)
	}
	return k, nil
}

func (s *store) CreateSubjectKey(_ context.Context, k results.SubjectKey) (results.SubjectKey, error) {
	if s.onCreate != nil {
		s.onCreate()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return k, s.fail
	}
	at := k.Tenant + "/" + k.Subject
	if first, ok := s.keys[at]; ok {
		return first, nil
	}
	s.keys[at] = k
	return k, nil
}

func (s *store) EraseSubject(_ context.Context, tenant, subject string, at time.Time, _ results.AuditEntry) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	k := s.keys[tenant+"/"+subject]
	k.Wrapped, k.DestroyedAt = nil, at
	s.keys[tenant+"/"+subject] = k
	keys := s.byOwner[tenant+"/"+subject]
	for _, key := range keys {
		s.pending[key] = true
	}
	return keys, nil
}

func (s *store) Pend(_ context.Context, keys []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, k := range keys {
		s.pending[k] = true
	}
	return nil
}

func (s *store) Forget(_ context.Context, keys []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, k := range keys {
		delete(s.pending, k)
	}
	return nil
}

// keep is what a transaction does that names the object.
func (s *store) keep(k vault.Sealed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, k.Key)
	at := k.Key[:strings.LastIndex(k.Key, "/")]
	s.byOwner[at] = append(s.byOwner[at], k.Key)
}

func (s *store) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.pending))
}

func (s *store) Remember(_ context.Context, name string, value json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = value
	return s.fail
}

func (s *store) Recall(_ context.Context, name string) (json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	v, ok := s.values[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, results.ErrNotFound)
	}
	return v, nil
}

func (s *store) Now() time.Time { return time.Now().UTC() }

// objects are objects in memory.
type objects struct {
	mu        sync.Mutex
	kept      map[string][]byte
	onPut     func(key string)
	failPut   error // after everything was read and stored, as when an answer is lost
	failGone  error // of deletions
	breakRead error // in the middle of a read
}

func newObjects() *objects { return &objects{kept: map[string][]byte{}} }

func (o *objects) Put(ctx context.Context, key string, r io.Reader, _ int64) error {
	if o.onPut != nil {
		o.onPut(key)
	}
	b, err := io.ReadAll(r)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("store object %s: %w", key, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept[key] = b
	return o.failPut
}

func (o *objects) Get(_ context.Context, key string) (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.kept[key]
	if !ok {
		return nil, fmt.Errorf("read object %s: %w", key, object.ErrNotFound)
	}
	if o.breakRead != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)/2]), &broken{o.breakRead})), nil
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) { return 0, b.err }

func (o *objects) Delete(ctx context.Context, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failGone != nil {
		return o.failGone
	}
	delete(o.kept, key)
	return ctx.Err()
}

func (o *objects) List(context.Context, string, func(object.Info) error) error { return nil }
func (o *objects) Ping(context.Context) error                                  { return nil }

func (o *objects) get(key string) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.kept[key])
}

func (o *objects) set(key string, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept[key] = b
}

func (o *objects) names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.kept))
}

// bench is a vault over stores in memory.
type bench struct {
	*vault.Vault
	store   *store
	objects *objects
	kek     vault.KEK
}

func newBench(t testing.TB) bench {
	t.Helper()
	kek, err := vault.NewKEK(t.TempDir() + "/kek")
	require.NoError(t, err)
	b := bench{store: newStore(), objects: newObjects(), kek: kek}
	b.Vault = vault.New(b.store, b.objects, kek)
	return b
}

// other is the vault of another process over the same stores.
func (b bench) other() bench {
	b.Vault = vault.New(b.store, b.objects, b.kek)
	return b
}

func (b bench) put(t testing.TB, tenant, subject string, plain []byte) vault.Sealed {
	t.Helper()
	s, err := b.Put(t.Context(), tenant, subject, bytes.NewReader(plain))
	require.NoError(t, err)
	b.store.keep(s)
	return s
}
