package notary_test

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
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
	path   string
	notary *notary.Notary
	shelf  object.Store
	tenant string
}

func newStand(t *testing.T) *stand {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "s.db")
	s, err := database.Open(t.Context(), database.Options{SQLite: path})
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
	return &stand{s, path, n, shelf, storetest.NewTenant(t, s)}
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
	s.notary.Witnesses = append([]notary.Witness{notary.Post{URL: strings.Replace(witness.URL, "//", "//user:secret@", 1) + "/secret/log?token=secret", Client: client}}, s.notary.Witnesses...)
	require.Equal(t, witness.URL, s.notary.Witnesses[0].Name())
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

// forge changes the database behind the service's back.
func (s *stand) forge(t *testing.T, all ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	defer db.Close()
	for _, one := range all {
		_, err := db.ExecContext(t.Context(), one)
		require.NoError(t, err, one)
	}
}

// rewrite makes the whole tree anew after an entry was changed, as whoever has the database's password can.
var rewrite = []string{`UPDATE audit SET actor = 'nobody' WHERE seq = 1`, `UPDATE audit SET seq = NULL`, `DELETE FROM audit_hashes`, `DELETE FROM audit_logs`}

// A rewritten log is not signed while a checkpoint is there, nor by a process that knows better.
func TestRewrittenLogIsNotSigned(t *testing.T) {
	refused := func(t *testing.T, s *stand, n *notary.Notary, grow bool) {
		before, err := s.Checkpoints(t.Context(), s.tenant, 0, 100)
		require.NoError(t, err)
		require.ErrorIs(t, n.Once(t.Context()), notary.ErrRewritten)
		if grow {
			storetest.AppendEntries(t, s, s.tenant, "", 1)
			require.ErrorIs(t, n.Once(t.Context()), notary.ErrRewritten, "also when it has grown")
		}
		after, err := s.Checkpoints(t.Context(), s.tenant, 0, 100)
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
	for _, c := range []struct {
		name  string
		sql   []string
		fresh bool // by a new process
		heals bool // the next entry's place makes it right again: the tree itself is
	}{
		{"made anew", rewrite, true, false},
		{"made anew, same process", rewrite, false, false},
		{"made anew, newest checkpoint gone, same process", append([]string{`DELETE FROM audit_checkpoints WHERE size = 4`}, rewrite...), false, false},
		{"made anew, all checkpoints gone, same process", append([]string{`DELETE FROM audit_checkpoints`}, rewrite...), false, false},
		{"only checkpoints gone", []string{`DELETE FROM audit_checkpoints`}, true, false},
		{"newest checkpoint gone", []string{`DELETE FROM audit_checkpoints WHERE size = 4`}, true, false},
		{"a checkpoint poses as the newest", []string{`UPDATE audit_checkpoints SET size = 99 WHERE size = 3`}, true, false},
		{"a root is another", []string{`UPDATE audit_logs SET root = zeroblob(32)`}, true, true},
		{"a root is another, same process", []string{`UPDATE audit_logs SET root = zeroblob(32)`}, false, true},
		{"fewer entries than were signed", []string{`UPDATE audit_logs SET size = 2`, `DELETE FROM audit WHERE seq >= 2`, `DELETE FROM audit_hashes WHERE idx >= 3`}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t)
			n := s.notary.Fresh()
			storetest.AppendEntries(t, s, s.tenant, "", 3)
			require.NoError(t, n.Once(t.Context()))
			storetest.AppendEntries(t, s, s.tenant, "", 1)
			require.NoError(t, n.Once(t.Context()))
			s.forge(t, c.sql...)
			if c.fresh {
				n = s.notary.Fresh()
			}
			refused(t, s, n, !c.heals)
		})
	}
}

// What is left when nothing is: docs/audit.md says so. The witness keeps both and says it.
func TestWitnessKeepsBoth(t *testing.T) {
	s := newStand(t)
	ctx := t.Context()
	storetest.AppendEntries(t, s, s.tenant, "", 3)
	require.NoError(t, s.notary.Fresh().Once(ctx))
	first, err := s.Checkpoint(ctx, s.tenant, 0)
	require.NoError(t, err)
	s.forge(t, append([]string{`DELETE FROM audit_checkpoints`}, rewrite...)...)
	n := s.notary.Fresh()
	for range 2 { // as long as it is so
		require.ErrorIs(t, n.Once(ctx), notary.ErrConflict)
	}
	second, err := s.Checkpoint(ctx, s.tenant, 0)
	require.NoError(t, err)
	var kept []string
	require.NoError(t, s.shelf.List(ctx, s.tenant+"/", func(i object.Info) error {
		r, err := s.shelf.Get(ctx, i.Key)
		require.NoError(t, err)
		defer r.Close()
		note, err := io.ReadAll(r)
		kept = append(kept, string(note))
		return err
	}))
	require.Equal(t, []string{first.Note, second.Note}, kept)
	require.NotEqual(t, first.Note, second.Note)
}

// A new process goes on where another one was.
func TestNewProcessGoesOn(t *testing.T) {
	s := newStand(t)
	for i := range int64(4) {
		storetest.AppendEntries(t, s, s.tenant, "", 3)
		n := s.notary.Fresh()
		require.NoError(t, n.Once(t.Context()))
		require.NoError(t, n.Once(t.Context()))
		s.checkpoint(t, 3*i+3)
	}
}

// One tenant's damaged log stops nobody else's, and the backlog is seen.
func TestDamagedLogStopsNobodyElse(t *testing.T) {
	s := newStand(t)
	ctx := t.Context()
	registry := prometheus.NewRegistry()
	s.notary.Metrics = notary.NewMetrics(registry)
	n := s.notary.Fresh()
	others := []string{storetest.NewTenant(t, s), storetest.NewTenant(t, s)}
	storetest.AppendEntries(t, s, s.tenant, "", 3)
	require.NoError(t, n.Once(ctx))
	s.forge(t, `DELETE FROM audit_hashes`)
	for _, tenant := range append(others, s.tenant) {
		storetest.AppendEntries(t, s, tenant, "", 2)
	}
	require.ErrorContains(t, n.Once(ctx), s.tenant)
	for _, tenant := range others {
		c, err := s.Checkpoint(ctx, tenant, 0)
		require.NoError(t, err)
		require.EqualValues(t, 2, c.Size)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		if g := f.GetMetric()[0].GetGauge(); g != nil {
			got[f.GetName()] = g.GetValue()
		}
	}
	require.InDelta(t, 2, got["onsite_audit_waiting"], 0)
	require.Zero(t, got["onsite_audit_refused"], "what is signed still agrees")
}

// busy always has more to place.
type busy struct{ notary.Store }

func (b busy) SequenceAudit(ctx context.Context, n int) (int, bool, error) {
	placed, _, err := b.Store.SequenceAudit(ctx, n)
	return placed + 1, true, err
}

// However many entries come, heads are signed.
func TestBusyLogIsSigned(t *testing.T) {
	s := newStand(t)
	s.notary.Store = busy{s.Store}
	storetest.AppendEntries(t, s, s.tenant, "", 1)
	require.NoError(t, s.notary.Fresh().Once(t.Context()))
	s.checkpoint(t, 1)
}

// hung is a witness that does not look at its context, as a disk that hangs.
type hung struct{ asked, free chan struct{} }

func (h hung) Name() string { return "hung" }
func (h hung) Tell(context.Context, results.Checkpoint) error {
	h.asked <- struct{}{}
	<-h.free
	return nil
}

// A witness that hangs holds up neither the log nor other witnesses nor the end.
func TestHungWitnessHoldsUpNobody(t *testing.T) {
	s := newStand(t)
	h := hung{make(chan struct{}, 10), make(chan struct{})}
	defer close(h.free)
	s.notary.Witnesses = append([]notary.Witness{h}, s.notary.Witnesses...)
	storetest.AppendEntries(t, s, s.tenant, "", 1)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.notary.Run(ctx) }()
	<-h.asked
	s.checkpoint(t, 1)
	storetest.AppendEntries(t, s, s.tenant, "", 1)
	s.checkpoint(t, 2)
	stop()
	require.NoError(t, <-done)
	require.Empty(t, h.asked, "it is not asked again meanwhile")
}
