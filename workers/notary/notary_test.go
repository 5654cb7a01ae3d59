package notary_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/results"
	"onsite/results/audit"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/storetest"
	"onsite/results/vault"
	"onsite/workers/notary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type stand struct {
	*database.Store
	notary *notary.Notary
	shelf  object.Store
	tenant string
}

func newStand(t *testing.T) *stand {
	t.Helper()
	dir := t.TempDir()
	s, err := database.Open(t.Context(), database.Options{SQLite: filepath.Join(dir, "s.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	kek, err := vault.NewKEK(filepath.Join(dir, "kek"))
	require.NoError(t, err)
	objects, err := object.NewFolder(filepath.Join(dir, "objects"))
	require.NoError(t, err)
	shelf, err := object.NewFolder(filepath.Join(dir, "witness"))
	require.NoError(t, err)
	n := &notary.Notary{Store: s, Vault: vault.New(s, objects, kek), Name: "test", Every: 20 * time.Millisecond, Metrics: notary.NewMetrics(prometheus.NewRegistry())}
	n.Witnesses = []notary.Witness{notary.Shelf{Objects: shelf, Called: "shelf"}}
	return &stand{s, n, shelf, storetest.NewTenant(t, s)}
}

// run plays the notary until the test ends.
func (s *stand) run(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.notary.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
}

// checkpoint waits for a checkpoint of n entries on the shelf.
func (s *stand) checkpoint(t *testing.T, n int64) (found audit.Head) {
	t.Helper()
	require.Eventually(t, func() bool {
		key, err := s.LogKey(t.Context(), s.tenant)
		if err != nil {
			return false
		}
		require.NoError(t, s.shelf.List(t.Context(), s.tenant+"/", func(i object.Info) error {
			r, err := s.shelf.Get(t.Context(), i.Key)
			require.NoError(t, err)
			defer r.Close()
			note, err := io.ReadAll(r)
			require.NoError(t, err)
			h, err := audit.Open(string(note), key.Public)
			if h.Size == n {
				found = h
			}
			return err
		}))
		return found.Size == n
	}, 10*time.Second, 10*time.Millisecond)
	return found
}

func TestNotarySignsAndTells(t *testing.T) {
	s := newStand(t)
	storetest.AppendEntries(t, s, s.tenant, "e1", 3)
	s.run(t)
	first := s.checkpoint(t, 3)
	storetest.AppendEntries(t, s, s.tenant, "e1", 1)
	second := s.checkpoint(t, 4)
	proof, err := audit.Consist(first.Size, second.Size, storetest.Reader(t, s, s.tenant))
	require.NoError(t, err)
	require.NoError(t, proof.Check(first, second))
	r, err := audit.Inspect(t.Context(), s, s.tenant, audit.Options{})
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.Equal(t, 2, r.Checkpoints)
}

// A witness that is away holds up nobody, and is told what it missed when it is back.
func TestWitnessComesBack(t *testing.T) {
	s := newStand(t)
	var away atomic.Bool
	got := make(chan string, 10)
	witness := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		raw, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("Onsite-Tenant") + "\n" + string(raw)
	}))
	defer witness.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	s.notary.Witnesses = append([]notary.Witness{notary.Post{URL: witness.URL + "/log?token=secret", Client: client}}, s.notary.Witnesses...)
	require.NotContains(t, s.notary.Witnesses[0].Name(), "secret")
	storetest.AppendEntries(t, s, s.tenant, "", 2)
	ctx := t.Context()
	n := s.notary.Fresh()
	away.Store(true)
	require.ErrorContains(t, n.Once(ctx), "502")
	s.checkpoint(t, 2)
	require.Empty(t, got)
	away.Store(false)
	require.NoError(t, n.Once(ctx))
	c, err := s.Checkpoint(ctx, s.tenant, 0)
	require.NoError(t, err)
	require.Equal(t, s.tenant+"\n"+c.Note, <-got)
	require.NoError(t, n.Once(ctx))
	require.Empty(t, got, "nothing is new")
	witness.Close()
	storetest.AppendEntries(t, s, s.tenant, "", 1)
	err = n.Once(ctx)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
	s.checkpoint(t, 3)
}

// A key that somebody else put into the store signs nothing.
func TestForeignKeySignsNothing(t *testing.T) {
	s := newStand(t)
	ctx := t.Context()
	other, err := audit.NewKey(s.tenant)
	require.NoError(t, err)
	_, err = s.CreateLogKey(ctx, results.LogKey{Tenant: s.tenant, Public: other.Public, Sealed: []byte("not sealed by us"), CreatedAt: s.Now()})
	require.NoError(t, err)
	storetest.AppendEntries(t, s, s.tenant, "", 1)
	require.Error(t, s.notary.Fresh().Once(ctx))
	_, err = s.Checkpoint(ctx, s.tenant, 0)
	require.ErrorIs(t, err, results.ErrNotFound)
	waiting, _, err := s.AuditBacklog(ctx)
	require.NoError(t, err)
	require.Zero(t, waiting, "entries get their places all the same")
}
