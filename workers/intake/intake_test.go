package intake_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers/intake"
)

// written is the notification of an object; mark is its sequencer.
func written(bucket, key, mark string) []byte {
	return []byte(`{"Records":[` + one("s3:ObjectCreated:Put", bucket, fmt.Sprintf(`{"key":%q,"size":5,"eTag":"e-%s","sequencer":%q}`, key, mark, mark)) + `]}`)
}

func take(t *testing.T, in *intake.Intake, raw []byte) results.IntakeEvent {
	t.Helper()
	events, err := in.Take(t.Context(), "webhook", raw)
	require.NoError(t, err)
	require.Len(t, events, 1)
	return events[0]
}

func TestStart(t *testing.T) {
	h := newHouse(t, "own")
	r := prometheus.NewRegistry()
	m := intake.NewMetrics(r)
	var sources []string
	in := intake.New(intake.Options{Store: h, Bell: h.bell, UploadBucket: "own", Metrics: m, Accepted: func(s string) { sources = append(sources, s) }})
	job := h.claim(t, "acme", "own", "k1")
	e := take(t, in, written("own", "k1", "01"))
	require.Equal(t, results.IntakeStarted, e.State, e.Why)
	require.Equal(t, job, e.Job)
	require.Equal(t, "acme", e.Tenant)
	sub, err := h.Submission(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, results.Source{Kind: "upload", Bucket: "own", Key: "k1", ETag: "e-01"}, sub.Source)
	require.Equal(t, 1, h.bell.work())
	require.Equal(t, []string{"upload"}, sources)

	// The same again, however often and in whatever order.
	for range 3 {
		e = take(t, in, written("own", "k1", "01"))
		require.Equal(t, results.IntakeDuplicate, e.State)
		require.Equal(t, job, e.Job)
	}
	e = take(t, in, written("own", "k1", "00"))
	require.Equal(t, results.IntakeDuplicate, e.State, "an earlier writing whose event came late")
	require.Equal(t, 1, h.bell.work())
	require.Equal(t, 1, h.jobs(t, "acme"))
	require.Len(t, h.events(t, "acme"), 5, "every event is kept")
	require.InDelta(t, 4, counted(t, r, "duplicate"), 0)
	require.InDelta(t, 1, counted(t, r, "started"), 0)
}

// counted is how many events ended in a state.
func counted(t *testing.T, r *prometheus.Registry, state string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "state" && l.GetValue() == state {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

func TestMappedBucket(t *testing.T) {
	h := newHouse(t, "own")
	in := h.intake(nil)
	e := take(t, in, written("theirs", "in/k1", "01"))
	require.Equal(t, results.IntakeForeign, e.State, "nobody's bucket")
	require.Len(t, h.events(t, ""), 1)
	require.NoError(t, h.PutBucketMap(t.Context(), results.BucketMap{Bucket: "theirs", Prefix: "in/", Tenant: "acme"}, results.AuditEntry{}))
	e = take(t, in, written("theirs", "out/k1", "01"))
	require.Equal(t, results.IntakeForeign, e.State, "beside the prefix")

	// The event came before its claim.
	e = take(t, in, written("theirs", "in/k2", "01"))
	require.Equal(t, results.IntakeUnclaimed, e.State)
	require.Equal(t, "acme", e.Tenant)
	require.Zero(t, h.jobs(t, "acme"))
	job := h.claim(t, "acme", "theirs", "in/k2")
	require.NoError(t, in.Claimed(t.Context(), "theirs", "in/k2"))
	sub, err := h.Submission(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, results.Source{Kind: "bucket", Bucket: "theirs", Key: "in/k2", ETag: "e-01"}, sub.Source)
	require.Equal(t, 1, h.bell.work())
	require.NoError(t, in.Claimed(t.Context(), "theirs", "in/k2"), "twice is once")
	require.Equal(t, 1, h.jobs(t, "acme"))
	require.Equal(t, results.IntakeStarted, h.events(t, "acme")[0].State, "the event now says so itself")
	require.NoError(t, in.Claimed(t.Context(), "theirs", "nothing"))

	// Another tenant's claim of an object under acme's prefix starts nothing.
	h.claim(t, "other", "theirs", "in/k3")
	e = take(t, in, written("theirs", "in/k3", "01"))
	require.Equal(t, results.IntakeUnclaimed, e.State)
	require.Equal(t, "acme", e.Tenant)
	require.Zero(t, h.jobs(t, "other"))
}

// The event and its claim meet at the same moment, many times over: exactly one job each.
func TestClaimRace(t *testing.T) {
	h := newHouse(t, "own")
	in := h.intake(nil)
	require.NoError(t, h.PutBucketMap(t.Context(), results.BucketMap{Bucket: "theirs", Tenant: "acme"}, results.AuditEntry{}))
	const n = 30
	var wg sync.WaitGroup
	errs := make(chan error, 2*n)
	for i := range n {
		key := fmt.Sprint("k", i)
		wg.Go(func() { errs <- in.Receive(context.Background(), "webhook", written("theirs", key, "01")) })
		wg.Go(func() {
			job := fmt.Sprintf("01J%023d", i)
			_, _, err := h.CreateUpload(context.Background(), results.Upload{Job: job, Tenant: "acme", Bucket: "theirs", Key: key, ExpiresAt: h.Now().Add(time.Hour),
				Sub: results.Submission{Job: job, Tenant: "acme", Subject: "e1", Claim: []byte(`{}`)}}, "", "")
			errs <- errors.Join(err, in.Claimed(context.Background(), "theirs", key))
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, n, h.jobs(t, "acme"))
}

func TestKept(t *testing.T) {
	h := newHouse(t, "own")
	in := h.intake(nil)
	for _, raw := range []string{"hello", "\x00\xff", `{"Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"own"},"object":{"key":"a%00"}}}]}`} {
		e := take(t, in, []byte(raw))
		require.Equal(t, results.IntakeUnread, e.State)
	}
	require.Equal(t, results.IntakeIgnored, take(t, in, []byte(`{"Event":"s3:TestEvent"}`)).State)
	events := h.events(t, "")
	require.Len(t, events, 4)
	require.Equal(t, "hello", string(events[0].Raw))
	require.Equal(t, "\x00\xff", string(events[1].Raw))
	for _, e := range events {
		require.NotNil(t, e.Why)
		require.Equal(t, "webhook", e.Source)
		require.WithinDuration(t, h.Now(), e.ReceivedAt, time.Minute)
	}
	// Several in one, of which some are good.
	job := h.claim(t, "acme", "own", "k")
	all, err := in.Take(t.Context(), "redis", []byte(`[{"Event":[{},`+one("s3:ObjectCreated:Put", "own", `{"key":"k"}`)+`,7]}]`))
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, job, all[1].Job)
	require.Len(t, h.events(t, ""), 6)
}

// A bucket's service sends again for ever what is refused, so that what is too long is kept like what cannot be read.
func TestTooLongIsKept(t *testing.T) {
	h := newHouse(t, "own")
	raw := []byte(`{"Records":[` + strings.Repeat(" ", 8<<20) + `]}`)
	e := take(t, h.intake(nil), raw)
	require.Equal(t, results.IntakeUnread, e.State)
	require.Equal(t, "event_too_large", e.Why.Rule)
	kept := h.events(t, "")
	require.Len(t, kept, 1)
	require.Equal(t, raw[:64<<10], kept[0].Raw)
	require.Contains(t, kept[0].Why.Text.EN, "more than 8388608 bytes; the first 65536")
	require.Contains(t, kept[0].Why.Text.ZH, "仅保留前 65536 字节")
}

// failing is a store that fails as told.
type failing struct {
	*house
	mu      sync.Mutex
	arrive  error
	keep    func(e results.IntakeEvent) error
	arrived int
}

func (f *failing) Arrive(ctx context.Context, e results.IntakeEvent, src results.Source) (results.IntakeEvent, error) {
	f.mu.Lock()
	f.arrived++
	err := f.arrive
	f.mu.Unlock()
	if err != nil {
		return e, err
	}
	return f.house.Arrive(ctx, e, src)
}

func (f *failing) RecordEvent(ctx context.Context, e results.IntakeEvent) error {
	if f.keep != nil {
		if err := f.keep(e); err != nil {
			return err
		}
	}
	return f.house.RecordEvent(ctx, e)
}

func TestStoreAway(t *testing.T) {
	h := newHouse(t, "own")
	f := &failing{house: h, arrive: fmt.Errorf("take it: %w", results.ErrAway)}
	in := h.intake(f)
	job := h.claim(t, "acme", "own", "k2")
	raw := []byte(`{"Records":[{},` + one("s3:ObjectCreated:Put", "own", `{"key":"k2"}`) + `]}`)
	require.ErrorIs(t, in.Receive(t.Context(), "webhook", raw), results.ErrAway)
	require.Zero(t, h.jobs(t, "acme"))
	f.arrive = nil
	require.NoError(t, in.Receive(t.Context(), "webhook", raw), "sent again")
	_, err := h.Job(t.Context(), "acme", job)
	require.NoError(t, err)

	f.keep = func(results.IntakeEvent) error { return results.ErrAway }
	require.ErrorIs(t, in.Receive(t.Context(), "webhook", []byte("hello")), results.ErrAway)
}

// An event that the store can never take is kept as unread; the others behind it go on.
func TestPoison(t *testing.T) {
	h := newHouse(t, "own")
	f := &failing{house: h, arrive: errors.New("invalid byte sequence")}
	in := h.intake(f)
	e := take(t, in, written("own", "k1", "01"))
	require.Equal(t, results.IntakeUnread, e.State)
	require.Contains(t, e.Why.Say(), "invalid byte sequence")
	require.Len(t, h.events(t, ""), 1)

	f.keep = func(e results.IntakeEvent) error {
		if e.Key != "" {
			return errors.New("invalid byte sequence")
		}
		return nil
	}
	take(t, in, written("own", "k1", "01"))
	events := h.events(t, "")
	require.Len(t, events, 2)
	require.Empty(t, events[1].Key)
	require.Contains(t, string(events[1].Raw), "k1")

	f.keep = func(results.IntakeEvent) error { return errors.New("no") }
	require.Error(t, in.Receive(t.Context(), "webhook", written("own", "k1", "01")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, in.Receive(ctx, "webhook", written("own", "k1", "01")), "a caller who went is no poison")
	require.Len(t, h.events(t, ""), 2)
}

func TestExpiredClaim(t *testing.T) {
	h := newHouse(t, "own")
	h.claimUntil(t, "acme", "own", "k1", h.Now().Add(-time.Minute))
	e := take(t, h.intake(nil), written("own", "k1", "01"))
	require.Equal(t, results.IntakeUnclaimed, e.State)
	require.Contains(t, e.Why.Say(), "ended")
	// Written in time, told of late: the claim holds.
	job := h.claimUntil(t, "acme", "own", "k2", h.Now().Add(-time.Minute))
	raw := strings.Replace(string(written("own", "k2", "01")), `{"eventName"`, fmt.Sprintf(`{"eventTime":%q,"eventName"`, h.Now().Add(-2*time.Minute).Format(time.RFC3339Nano)), 1)
	e = take(t, h.intake(nil), []byte(raw))
	require.Equal(t, job, e.Job, e.Why)
}
