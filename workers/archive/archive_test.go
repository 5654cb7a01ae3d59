package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/pipeline/reuse/index"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
	"onsite/workers/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon bounds waits for what does come; a busy machine may need it.
const soon = 30 * time.Second

func openStore(t *testing.T) *database.Store {
	t.Helper()
	s, err := database.Open(t.Context(), database.Options{SQLite: filepath.Join(t.TempDir(), "s.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

// start runs an archive with an index until the test or stop ends it.
func start(t *testing.T, s Store, dir string, change ...func(*Options)) (a *Archive, stop func()) {
	t.Helper()
	x, err := index.Open(dir, index.Options{Tail: 64})
	require.NoError(t, err)
	o := Options{Store: s, Index: x, Poll: 5 * time.Millisecond, Patience: soon, Page: 7}
	for _, c := range change {
		c(&o)
	}
	a = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, x.Close())
	})
	t.Cleanup(stop)
	return a, stop
}

// clipsOf are made-up hashes of n clips.
func clipsOf(n int) (all []index.Clip) {
	for c := range index.Synthetic(3, n*8) {
		all = append(all, c)
	}
	return all
}

// submit ends a job with a clip's hashes, and gives it a position.
func submit(t *testing.T, s results.Store, tenant, subject string, c *index.Clip) string {
	t.Helper()
	id := storetest.Accept(t, s, tenant, subject).ID
	end(t, s, id, c)
	storetest.Sequenced(t, s)
	return id
}

func end(t *testing.T, s results.Store, id string, c *index.Clip) {
	t.Helper()
	storetest.Finish(t, s, storetest.Claim(t, s, id), func(f *results.Finish) {
		for _, h := range c.Frames {
			f.Frames = append(f.Frames, results.FrameHash{AtMS: h.AtMS, Hash: h.Hash})
		}
	})
}

func asked(c *index.Clip) (all []index.Asked) {
	for _, f := range c.Frames {
		all = append(all, index.Asked{AtMS: f.AtMS, Forms: []index.Hash{f.Hash}})
	}
	return all
}

func position(t *testing.T, s results.Store, tenant string) int64 {
	t.Helper()
	p, err := s.Position(t.Context(), tenant)
	require.NoError(t, err)
	return p
}

// TestBothWaysGiveTheSame asks the index and the store's rows the same questions, while jobs end out of order and are deleted.
func TestBothWaysGiveTheSame(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	for i := range 4 {
		storetest.NewSubject(t, s, tenant, fmt.Sprintf("e%d", i))
	}
	memory, _ := start(t, s, t.TempDir())
	rows := New(Options{Store: s, Page: 5})
	r := rand.New(rand.NewPCG(1, 1))
	clips := clipsOf(60)
	var jobs, open []string
	matched := 0
	for i := range clips {
		who := i % 4
		if i > 30 {
			who %= 3 // the fourth was erased
		}
		id := storetest.Accept(t, s, tenant, fmt.Sprintf("e%d", who)).ID
		jobs = append(jobs, id)
		open = append(open, id)
		if len(open) < 3 {
			continue
		}
		k := r.IntN(len(open)) // any of the last ones ends first
		c := &clips[r.IntN(i+1)]
		end(t, s, open[k], c)
		open = append(open[:k], open[k+1:]...)
		if i%3 == 0 {
			storetest.Sequenced(t, s)
		}
		if i == 30 {
			for len(open) > 0 { // its open jobs would be refused
				end(t, s, open[0], c)
				open = open[1:]
			}
			_, err := s.EraseSubject(t.Context(), tenant, "e3", s.Now(), storetest.Audit(s, tenant, "subject.erased"))
			require.NoError(t, err)
		}
		q := index.Query{Tenant: tenant, Frames: asked(c), Radius: index.MaxRadius, AsOf: position(t, s, tenant), Before: jobs[r.IntN(len(jobs))]}
		q.Since = r.Int64N(q.AsOf+1) / 2
		switch i % 3 {
		case 0:
			q.Before = ""
		case 1:
			q.Subject = fmt.Sprintf("e%d", r.IntN(3))
		}
		want, err := rows.Find(t.Context(), q)
		require.NoError(t, err)
		matched += len(want.Matches)
		if i == 30 || i > 30 && len(open) > 0 { // what was erased leaves the index a little later
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				got, err := memory.Find(t.Context(), q)
				require.NoError(c, err)
				require.Equal(c, want, got)
			}, soon, time.Millisecond)
			continue
		}
		got, err := memory.Find(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, want, got, "job %d", i)
	}
	require.Greater(t, matched, 20)
}

// TestNewAndDeletedShowOnEveryWorker lets two workers follow: what is new is found by its position at once, what is deleted is gone soon.
func TestNewAndDeletedShowOnEveryWorker(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	storetest.NewSubject(t, s, tenant, "e1")
	clips := clipsOf(2)
	bell := new(queue.LocalBell)
	slow := func(o *Options) { o.Bell, o.Poll = bell, time.Hour } // only the bell wakes them
	one, _ := start(t, s, "", slow)
	two, _ := start(t, s, "", slow)
	job := submit(t, s, tenant, "e1", &clips[0])
	at := position(t, s, tenant)
	for _, a := range []*Archive{one, two} {
		require.Eventually(t, func() bool { // without any question: the index follows by itself
			bell.Ring(t.Context(), results.BellFeed)
			n, err := a.Index.UpTo(tenant)
			return err == nil && n == at
		}, soon, time.Millisecond)
		got, err := a.Find(t.Context(), index.Query{Tenant: tenant, Frames: asked(&clips[0]), AsOf: at})
		require.NoError(t, err)
		require.Len(t, got.Matches, 1)
		require.Equal(t, job, got.Matches[0].Job)
		before, err := a.Find(t.Context(), index.Query{Tenant: tenant, Frames: asked(&clips[0]), AsOf: at, Before: job})
		require.NoError(t, err)
		require.Empty(t, before.Matches, "a job does not find itself, nor those accepted later")
	}
	next := submit(t, s, tenant, "e1", &clips[1])
	got, err := two.Find(t.Context(), index.Query{Tenant: tenant, Frames: asked(&clips[1]), AsOf: position(t, s, tenant)})
	require.NoError(t, err)
	require.Equal(t, next, got.Matches[0].Job, "nobody rang: the question itself brings the index forward")

	_, err = s.EraseSubject(t.Context(), tenant, "e1", s.Now(), storetest.Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	for _, a := range []*Archive{one, two} {
		require.Eventually(t, func() bool {
			bell.Ring(t.Context(), results.BellFeed)
			n, err := a.Index.Stats(tenant)
			return err == nil && n.Clips == 0 && n.DeadClips > 0
		}, soon, time.Millisecond)
	}
}

// TestRestart takes up a snapshot: what came and went meanwhile shows, and what must not be kept leaves the file.
func TestRestart(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	storetest.NewSubject(t, s, tenant, "e1")
	clips := clipsOf(12)
	gone := submit(t, s, tenant, "e1", &clips[0])
	for i := 1; i < 10; i++ {
		submit(t, s, tenant, "e2", &clips[i])
	}
	dir := t.TempDir()
	a, stop := start(t, s, dir)
	filled := func(a *Archive) { <-a.tenant(tenant).whenFilled() }
	filled(a)
	require.NoError(t, a.Index.Snapshot(t.Context(), tenant))
	stop()

	_, err := s.EraseSubject(t.Context(), tenant, "e1", s.Now(), storetest.Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	fresh := submit(t, s, tenant, "e2", &clips[10])
	b, stop := start(t, s, dir, func(o *Options) { o.Tidy = 5 * time.Millisecond })
	filled(b)
	got, err := b.Find(t.Context(), index.Query{Tenant: tenant, Frames: asked(&clips[10]), AsOf: position(t, s, tenant)})
	require.NoError(t, err)
	require.Equal(t, fresh, got.Matches[0].Job)
	require.Eventually(t, func() bool {
		n, err := b.Index.Stats(tenant)
		return err == nil && n.Clips == 10 && n.DeadClips == 0 && n.Since == 0
	}, soon, time.Millisecond, "the erased one is gone, from the snapshot too")
	stop()
	files, err := filepath.Glob(filepath.Join(dir, "*.hashes"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	raw, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.False(t, bytes.Contains(raw, []byte(gone)))
	require.True(t, bytes.Contains(raw, []byte(fresh)))

	// A store that is not as far as the snapshot is another one, or was restored.
	other := openStore(t)
	require.NoError(t, other.CreateTenant(t.Context(), results.Tenant{ID: tenant, Name: "the same", CreatedAt: other.Now()}))
	only := submit(t, other, tenant, "e9", &clips[11])
	c, _ := start(t, other, dir)
	filled(c)
	got, err = c.Find(t.Context(), index.Query{Tenant: tenant, Frames: append(asked(&clips[11]), asked(&clips[10])...), AsOf: 1})
	require.NoError(t, err)
	require.Len(t, got.Matches, 1)
	require.Equal(t, only, got.Matches[0].Job)
}

// away is a store that fails as long as it is told to.
type away struct {
	Store
	off atomic.Bool
}

func (a *away) Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error) {
	if a.off.Load() {
		return nil, results.ErrAway
	}
	return a.Store.Frames(ctx, tenant, f, n)
}

// TestAnOutageIsNoAnswer: what cannot be asked is an error, never an empty answer; later it goes on.
func TestAnOutageIsNoAnswer(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	clips := clipsOf(1)
	job := submit(t, s, tenant, "e1", &clips[0])
	off := &away{Store: s}
	off.off.Store(true)
	a, _ := start(t, off, "", func(o *Options) { o.Patience = 20 * time.Millisecond })
	q := index.Query{Tenant: tenant, Frames: asked(&clips[0]), AsOf: 1}
	_, err := a.Find(t.Context(), q)
	require.ErrorIs(t, err, results.ErrAway)
	off.off.Store(false)
	got, err := a.Find(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, job, got.Matches[0].Job)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Find(ctx, q); err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// broken is a store with one tenant that cannot be read, and one row that cannot.
type broken struct {
	Store
	tenant, job string
}

func (b *broken) Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error) {
	if tenant == b.tenant {
		return nil, results.ErrAway
	}
	rows, err := b.Store.Frames(ctx, tenant, f, n)
	for i := range rows {
		if rows[i].Job == b.job {
			rows[i].Frames, rows[i].Unread = nil, errors.New("half a row")
		}
	}
	return rows, err
}

// TestOneTenantsTroubleIsItsOwn: neither a tenant whose fill fails nor a row that cannot be read keeps the others from being filled.
func TestOneTenantsTroubleIsItsOwn(t *testing.T) {
	s := openStore(t)
	clips := clipsOf(3)
	bad, good := storetest.NewTenant(t, s), storetest.NewTenant(t, s)
	if bad > good {
		bad, good = good, bad // it comes first
	}
	submit(t, s, bad, "e1", &clips[0])
	unread := submit(t, s, good, "e1", &clips[1])
	fine := submit(t, s, good, "e1", &clips[2])
	var log lines
	a, stop := start(t, &broken{s, bad, unread}, "", func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	select {
	case <-a.tenant(good).whenFilled():
	case <-time.After(soon):
		t.Fatal("the other tenant waits")
	}
	got, err := a.Find(t.Context(), index.Query{Tenant: good, Frames: append(asked(&clips[1]), asked(&clips[2])...), AsOf: position(t, s, good)})
	require.NoError(t, err)
	require.Len(t, got.Matches, 1)
	require.Equal(t, fine, got.Matches[0].Job)
	require.False(t, a.tenant(bad).isFilled())
	stop()
	require.Contains(t, log.String(), "job="+unread)
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestSnapshotThatFailsIsTriedAgain takes the folder away for a while.
func TestSnapshotThatFailsIsTriedAgain(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	clips := clipsOf(1)
	submit(t, s, tenant, "e1", &clips[0])
	dir := t.TempDir()
	var log lines
	a, _ := start(t, s, dir, func(o *Options) {
		o.Tidy, o.Logger = 5*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
	})
	<-a.tenant(tenant).whenFilled()
	require.NoError(t, os.Rename(dir, dir+"-away"))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir+"-away")) })
	stored, err := s.Frames(t.Context(), tenant, results.FrameFilter{UpTo: 1}, 1)
	require.NoError(t, err)
	_, err = a.Index.Remove(tenant, stored[0].Job)
	require.NoError(t, err)
	a.tenant(tenant).stale.Store(true)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "could not be written") }, soon, time.Millisecond)
	require.NoError(t, os.Rename(dir+"-away", dir))
	require.Eventually(t, func() bool {
		n, err := a.Index.Stats(tenant)
		return err == nil && n.DeadClips == 0
	}, soon, time.Millisecond, "it is stale still")
}

// late is a store whose time the test says.
type late struct {
	Store
	at time.Time
}

func (l *late) Now() time.Time { return l.at }

// TestDeletionsThatShowLate: one that took minutes to commit is found by the next look far back.
func TestDeletionsThatShowLate(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	storetest.NewSubject(t, s, tenant, "e1")
	clips := clipsOf(1)
	submit(t, s, tenant, "e1", &clips[0])
	x, err := index.Open("", index.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	now := s.Now()
	l := &late{Store: s, at: now}
	a := New(Options{Store: l, Index: x})
	require.NoError(t, a.fill(t.Context(), a.tenant(tenant)))
	_, err = s.EraseSubject(t.Context(), tenant, "e1", now, storetest.Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	read := deletions{upTo: now.Add(4 * time.Minute), far: now.Add(4 * time.Minute)}
	left := func() int {
		_, err := a.step(t.Context(), &read, map[string]bool{})
		require.NoError(t, err)
		n, err := x.Stats(tenant)
		require.NoError(t, err)
		return n.Clips
	}
	l.at = now.Add(4*time.Minute + time.Second)
	require.Equal(t, 1, left(), "its time is minutes ago")
	read.upTo = now.Add(4 * time.Minute)
	l.at = now.Add(5 * time.Minute)
	require.Zero(t, left())
}

// held is a store whose rows come when the test lets them.
type held struct {
	Store
	calls atomic.Int32
	began chan struct{}
	gate  chan struct{}
}

func (h *held) Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error) {
	h.calls.Add(1)
	close(h.began)
	<-h.gate
	return h.Store.Frames(ctx, tenant, f, n)
}

// TestOneScanAtATime: without an index that is ready the rows of a tenant are read for one question, then for the next.
func TestOneScanAtATime(t *testing.T) {
	s := openStore(t)
	tenant := storetest.NewTenant(t, s)
	clips := clipsOf(1)
	submit(t, s, tenant, "e1", &clips[0])
	x, err := index.Open("", index.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	h := &held{Store: s, began: make(chan struct{}), gate: make(chan struct{})}
	a := New(Options{Store: h, Index: x, Patience: time.Millisecond})
	q := index.Query{Tenant: tenant, Frames: asked(&clips[0]), AsOf: 1}
	first := make(chan error, 1)
	go func() {
		_, err := a.Find(context.Background(), q)
		first <- err
	}()
	<-h.began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = a.Find(ctx, q)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, h.calls.Load())
	close(h.gate)
	require.NoError(t, <-first)
}
