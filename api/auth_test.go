package api

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

type keyring struct {
	results.Store
	mu    sync.Mutex
	keys  map[string]results.APIKey
	asked atomic.Int32
}

func (k *keyring) Key(_ context.Context, id string) (results.APIKey, error) {
	k.asked.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[id]
	if !ok {
		return key, results.ErrNotFound
	}
	return key, nil
}

func TestNewKey(t *testing.T) {
	text, k, err := NewKey("t", "till", []results.Role{results.RoleSubmit}, time.Now())
	require.NoError(t, err)
	require.Regexp(t, `^ons_[a-z]{12}_[0-9A-Za-z]{43}$`, text)
	id, ok := keyID(text)
	require.True(t, ok)
	require.Equal(t, k.ID, id)
	sum := sha256.Sum256([]byte(text))
	require.Equal(t, sum[:], k.SHA256)
	other, _, err := NewKey("t", "till", []results.Role{results.RoleSubmit}, time.Now())
	require.NoError(t, err)
	require.NotEqual(t, text, other)
	_, _, err = NewKey("t", "till", nil, time.Now())
	require.ErrorContains(t, err, "at least one role")
	_, _, err = NewKey("t", "till", []results.Role{"boss"}, time.Now())
	require.ErrorContains(t, err, `"boss"`)
}

func TestKeysThatAreNone(t *testing.T) {
	text, k, err := NewKey("t", "till", []results.Role{results.RoleSubmit}, time.Now())
	require.NoError(t, err)
	ring := &keyring{keys: map[string]results.APIKey{k.ID: k}}
	s, _ := bare(t, ring)
	now := time.Now()
	s.Clock = func() time.Time { return now }
	s.Handler()
	p, err := s.authenticate(t.Context(), "Bearer "+text)
	require.NoError(t, err)
	require.Equal(t, Principal{Tenant: "t", Key: k.ID, Roles: k.Roles}, p)
	require.True(t, p.Has(results.RoleSubmit))
	require.False(t, p.Has(results.RoleRead, results.RoleAdmin))
	_, err = s.authenticate(t.Context(), "bearer   "+text)
	require.NoError(t, err, "the scheme's case does not matter")

	flipped := []byte(text)
	flipped[len(flipped)-1] ^= 1
	stranger, _, err := NewKey("t", "till", []results.Role{results.RoleAdmin}, time.Now())
	require.NoError(t, err)
	for header, want := range map[string]code{"": codeNoKey, "Basic " + text: codeNoKey, text: codeNoKey, "Bearer": codeBadKey, "Bearer " + text[:20]: codeBadKey,
		"Bearer " + text + "x": codeBadKey, "Bearer " + string(flipped): codeBadKey, "Bearer " + stranger: codeBadKey, "Bearer ons_" + k.ID + "_": codeBadKey} {
		_, err := s.authenticate(t.Context(), header)
		require.Error(t, err)
		require.Equal(t, string(want), fault(err).Code, header)
		require.Equal(t, 401, fault(err).Status)
	}

	// Asked once in two seconds; what was revoked works no longer than that.
	asked := ring.asked.Load()
	for range 20 {
		_, err := s.authenticate(t.Context(), "Bearer "+text)
		require.NoError(t, err)
	}
	require.Equal(t, asked, ring.asked.Load())
	k.RevokedAt = now
	ring.mu.Lock()
	ring.keys[k.ID] = k
	ring.mu.Unlock()
	now = now.Add(2*time.Second + time.Millisecond)
	_, err = s.authenticate(t.Context(), "Bearer "+text)
	require.Equal(t, string(codeBadKey), fault(err).Code)

	k.RevokedAt, k.ExpiresAt = time.Time{}, now.Add(time.Minute)
	ring.mu.Lock()
	ring.keys[k.ID] = k
	ring.mu.Unlock()
	now = now.Add(3 * time.Second)
	_, err = s.authenticate(t.Context(), "Bearer "+text)
	require.NoError(t, err)
	now = k.ExpiresAt
	_, err = s.authenticate(t.Context(), "Bearer "+text)
	require.Equal(t, string(codeBadKey), fault(err).Code)
}

func TestAuthenticateWithoutAStore(t *testing.T) {
	s, _ := bare(t, away{})
	s.Handler()
	text, _, err := NewKey("t", "till", []results.Role{results.RoleSubmit}, time.Now())
	require.NoError(t, err)
	_, err = s.authenticate(t.Context(), "Bearer "+text)
	require.Equal(t, 503, fault(err).Status, "a store that is away is no wrong key")
}

func FuzzKeyID(f *testing.F) {
	text, _, err := NewKey("t", "till", []results.Role{results.RoleSubmit}, time.Now())
	require.NoError(f, err)
	f.Add(text)
	f.Add("ons__")
	f.Add("ons_abcdefghijkl_")
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := keyID(text)
		if !ok {
			require.Empty(t, id)
			return
		}
		require.Regexp(t, `^ons_[a-z]{12}_[0-9A-Za-z]{43}$`, text)
		require.Equal(t, text[4:16], id)
	})
}
