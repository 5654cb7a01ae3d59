package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

var uploadCases = []Case{
	{Name: "a claim that waits for its object", Run: upload},
	{Name: "an event starts the job of its claim once", Run: arrive},
	{Name: "an event before its claim", Run: arriveEarly},
	{Name: "events of nobody, of others, too late", Run: arriveOdd},
	{Name: "an event many times at the same time", Run: arriveRace},
	{Name: "a claim and its event at the same time", Run: claimRace},
	{Name: "a copy outlives its attempt", Run: copyKept},
	{Name: "lists of events", Run: events},
	{Name: "maps of buckets", Run: bucketMaps},
	{Name: "claims that nobody uses, old events", Alone: true, Run: oldClaims},
}

// copyKept: an attempt that copied the object and then failed gives the copy to the next one, who does not need the original.
func copyKept(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	u := newUpload(s, tenant, "e1")
	_, _, err := s.CreateUpload(ctx, u, "", "")
	require.NoError(t, err)
	e, src := written(s, u)
	_, err = s.Arrive(ctx, e, src)
	require.NoError(t, err)
	l := Claim(t, s, u.Job)
	require.Empty(t, l.Sub.Media.Key)
	m := results.Media{Key: tenant + "/e1/" + NewID(), SHA256: Sum("copy"), Bytes: 17, Name: "clip.mp4"}
	require.NoError(t, s.Pend(ctx, []string{m.Key}))
	r := results.Release{Job: u.Job, Token: l.Token, Error: modelMissing, Hold: true, Media: &m, Keep: []string{m.Key}}

	stale := r
	stale.Token--
	require.ErrorIs(t, s.Release(ctx, stale), results.ErrStale)
	require.Contains(t, pendingOf(t, s, tenant), m.Key, "who lost the job gives it nothing")
	sub, err := s.Submission(ctx, u.Job)
	require.NoError(t, err)
	require.Empty(t, sub.Media.Key)

	require.NoError(t, s.Release(ctx, r))
	require.Empty(t, pendingOf(t, s, tenant))
	named, err := s.Referenced(ctx, []string{m.Key})
	require.NoError(t, err)
	require.True(t, named[m.Key])
	require.True(t, Read(t, s, u.Job).Held)
	_, err = s.Unhold(ctx, modelMissing.Rule)
	require.NoError(t, err)
	l = Claim(t, s, u.Job)
	require.Equal(t, m, l.Sub.Media)
	require.NoError(t, s.Release(ctx, results.Release{Job: u.Job, Token: l.Token, Error: modelMissing}))
	require.Equal(t, m, Claim(t, s, u.Job).Sub.Media, "an attempt that made none leaves it")
}

// newUpload makes a claim for a fresh object.
func newUpload(s results.Store, tenant, subject string) results.Upload {
	n := NewSubmission(s, tenant, subject)
	n.Sub.Media, n.Sub.Source = results.Media{}, results.Source{}
	return results.Upload{Job: n.Sub.Job, Tenant: tenant, Bucket: "incoming", Key: tenant + "/" + n.Sub.Job, MaxBytes: 1 << 20, Sub: n.Sub,
		CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour)}
}

// written is the event of an object's writing.
func written(s results.Store, u results.Upload) (results.IntakeEvent, results.Source) {
	e := results.IntakeEvent{ID: NewID(), Source: "webhook", Raw: []byte(`{"Records":[]}`), Bucket: u.Bucket, Key: u.Key, Sequencer: NewID(),
		ETag: "abc", Bytes: 1000, ReceivedAt: s.Now()}
	return e, results.Source{Kind: "upload", Bucket: u.Bucket, Key: u.Key, ETag: e.ETag}
}

func upload(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	u := newUpload(s, tenant, "e1")
	key := NewID()
	got, again, err := s.CreateUpload(ctx, u, key, Sum("a"))
	require.NoError(t, err)
	require.False(t, again)
	require.Equal(t, u, got)
	for name, read := range map[string]func() (results.Upload, error){
		"by job":    func() (results.Upload, error) { return s.Upload(ctx, tenant, u.Job) },
		"by object": func() (results.Upload, error) { return s.UploadAt(ctx, u.Bucket, u.Key) },
		"again": func() (results.Upload, error) {
			other := newUpload(s, tenant, "e1")
			got, again, err := s.CreateUpload(ctx, other, key, Sum("a"))
			require.True(t, again)
			return got, err
		},
		"the same call again": func() (results.Upload, error) {
			got, again, err := s.CreateUpload(ctx, u, "", "")
			require.True(t, again)
			return got, err
		},
	} {
		got, err := read()
		require.NoError(t, err, name)
		require.Equal(t, u, got, name)
	}
	_, err = s.Job(ctx, tenant, u.Job)
	require.ErrorIs(t, err, results.ErrNotFound, "no job before the object has come")
	_, _, err = s.CreateUpload(ctx, newUpload(s, tenant, "e1"), key, Sum("b"))
	require.ErrorIs(t, err, results.ErrKeyReuse)
	n := NewSubmission(s, tenant, "e1")
	n.Idempotency, n.BodySHA256 = key, Sum("a")
	_, _, err = s.Accept(ctx, n)
	require.ErrorIs(t, err, results.ErrKeyReuse, "a submission is not an upload")
	n.Idempotency = NewID()
	_, _, err = s.Accept(ctx, n)
	require.NoError(t, err)
	_, _, err = s.CreateUpload(ctx, newUpload(s, tenant, "e1"), n.Idempotency, Sum("a"))
	require.ErrorIs(t, err, results.ErrKeyReuse, "nor an upload a submission")
	taken := newUpload(s, tenant, "e2")
	taken.Key = u.Key
	_, _, err = s.CreateUpload(ctx, taken, "", "")
	require.ErrorIs(t, err, results.ErrExists)
	_, err = s.Upload(ctx, NewTenant(t, s), u.Job)
	require.ErrorIs(t, err, results.ErrNotFound)
	_, err = s.UploadAt(ctx, u.Bucket, "nowhere")
	require.ErrorIs(t, err, results.ErrNotFound)

	late := newUpload(s, tenant, "e1")
	late.ExpiresAt = s.Now().Add(-time.Minute)
	_, _, err = s.CreateUpload(ctx, late, "", "")
	require.NoError(t, err)
	next := newUpload(s, tenant, "e1")
	next.Key = late.Key
	got, again, err = s.CreateUpload(ctx, next, "", "")
	require.NoError(t, err, "a claim that ended makes room")
	require.False(t, again)
	require.Equal(t, next.Job, got.Job)

	NewSubject(t, s, tenant, "gone")
	_, err = s.EraseSubject(ctx, tenant, "gone", s.Now(), Audit(s, tenant, "subject.erased"))
	require.NoError(t, err)
	_, _, err = s.CreateUpload(ctx, newUpload(s, tenant, "gone"), "", "")
	require.ErrorIs(t, err, results.ErrErased)
}

func arrive(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	u, _, err := s.CreateUpload(ctx, newUpload(s, tenant, "e1"), "", "")
	require.NoError(t, err)
	e, src := written(s, u)
	got, err := s.Arrive(ctx, e, src)
	require.NoError(t, err)
	require.Equal(t, results.IntakeStarted, got.State)
	require.Equal(t, u.Job, got.Job)
	require.Equal(t, tenant, got.Tenant)
	j := Read(t, s, u.Job)
	require.Equal(t, results.Accepted, j.State)
	sub, err := s.Submission(ctx, u.Job)
	require.NoError(t, err)
	want := u.Sub
	want.Source, want.ReceivedAt = src, e.ReceivedAt
	require.Equal(t, want, sub, "claim and identity come from the store")
	u, err = s.Upload(ctx, tenant, u.Job)
	require.NoError(t, err)
	require.Equal(t, e.ReceivedAt, u.ArrivedAt)
	require.Contains(t, actions(t, s, tenant), "submission.accepted")

	got, err = s.Arrive(ctx, e, src)
	require.NoError(t, err)
	require.Equal(t, results.IntakeStarted, got.State, "the same call again, after its answer got lost")
	twice := e
	twice.ID = NewID()
	got, err = s.Arrive(ctx, twice, src)
	require.NoError(t, err)
	require.Equal(t, results.IntakeDuplicate, got.State)
	require.Equal(t, u.Job, got.Job)
	over, src := written(s, u)
	got, err = s.Arrive(ctx, over, src)
	require.NoError(t, err)
	require.Equal(t, results.IntakeDuplicate, got.State, "an object that is written again starts nothing")
	require.Equal(t, u.Job, got.Job)
	require.NotEmpty(t, got.Why)

	// Each kind of bucket tells writings apart in its own way.
	for name, change := range map[string]func(*results.IntakeEvent){
		"version":             func(e *results.IntakeEvent) { e.Version, e.Sequencer = "v1", "" },
		"null version":        func(e *results.IntakeEvent) { e.Version = "null" },
		"etag":                func(e *results.IntakeEvent) { e.Sequencer = "" },
		"nothing to tell by":  func(e *results.IntakeEvent) { e.Sequencer, e.ETag = "", "" },
		"no id, nor its time": func(e *results.IntakeEvent) { e.ID, e.ReceivedAt = "", time.Time{} },
	} {
		u, _, err := s.CreateUpload(ctx, newUpload(s, tenant, "e1"), "", "")
		require.NoError(t, err)
		e, src := written(s, u)
		change(&e)
		got, err := s.Arrive(ctx, e, src)
		require.NoError(t, err, name)
		require.Equal(t, results.IntakeStarted, got.State, name)
		require.NotEmpty(t, got.ID)
		e.ID = NewID()
		got, err = s.Arrive(ctx, e, src)
		require.NoError(t, err, name)
		require.Equal(t, results.IntakeDuplicate, got.State, name)
		require.Equal(t, u.Job, got.Job)
		require.Empty(t, got.Why, name)
	}
}

func arriveEarly(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	require.NoError(t, s.PutBucketMap(ctx, results.BucketMap{Bucket: tenant, Prefix: "in/", Tenant: tenant}, Audit(s, tenant, "bucket.mapped")))
	u := newUpload(s, tenant, "e1")
	u.Bucket, u.Key = tenant, "in/1.mp4"
	e, src := written(s, u)
	got, err := s.Arrive(ctx, e, src)
	require.NoError(t, err)
	require.Equal(t, results.IntakeUnclaimed, got.State)
	require.Equal(t, tenant, got.Tenant)
	_, _, err = s.CreateUpload(ctx, u, "", "")
	require.NoError(t, err)
	waiting, err := s.Unclaimed(ctx, u.Bucket, u.Key)
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.Equal(t, e.Raw, waiting[0].Raw)
	got, err = s.Arrive(ctx, waiting[0], src)
	require.NoError(t, err)
	require.Equal(t, results.IntakeStarted, got.State)
	require.Equal(t, u.Job, Read(t, s, u.Job).ID)
	waiting, err = s.Unclaimed(ctx, u.Bucket, u.Key)
	require.NoError(t, err)
	require.Empty(t, waiting)
	all, err := s.IntakeEvents(ctx, tenant, "", results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 1, "it is one event")
	require.Equal(t, got, all[0])
}

func arriveOdd(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	is := func(u results.Upload, state results.IntakeState, of string, change ...func(*results.IntakeEvent)) {
		t.Helper()
		e, src := written(s, u)
		for _, c := range change {
			c(&e)
		}
		got, err := s.Arrive(ctx, e, src)
		require.NoError(t, err)
		require.Equal(t, state, got.State, got.Why)
		require.Equal(t, of, got.Tenant)
		if state != results.IntakeStarted {
			require.NotEmpty(t, got.Why)
			require.Empty(t, got.Job)
		}
	}
	foreign := newUpload(s, tenant, "e1")
	foreign.Bucket = NewID()
	is(foreign, results.IntakeForeign, "")
	is(foreign, results.IntakeUnclaimed, other, func(e *results.IntakeEvent) { e.Tenant = other })

	require.NoError(t, s.PutBucketMap(ctx, results.BucketMap{Bucket: foreign.Bucket, Prefix: "theirs/", Tenant: other}, Audit(s, other, "bucket.mapped")))
	require.NoError(t, s.PutBucketMap(ctx, results.BucketMap{Bucket: foreign.Bucket, Prefix: "theirs/deep/", Tenant: other}, Audit(s, other, "bucket.mapped")))
	foreign.Key = "theirs/1.mp4"
	_, _, err := s.CreateUpload(ctx, foreign, "", "")
	require.NoError(t, err)
	is(foreign, results.IntakeUnclaimed, other)
	_, err = s.Job(ctx, "", foreign.Job)
	require.ErrorIs(t, err, results.ErrNotFound, "nobody claims what lies in another's place")

	late := newUpload(s, tenant, "e1")
	late.CreatedAt, late.ExpiresAt = s.Now().Add(-2*time.Hour), s.Now().Add(-time.Hour)
	_, _, err = s.CreateUpload(ctx, late, "", "")
	require.NoError(t, err)
	is(late, results.IntakeUnclaimed, tenant)
	is(late, results.IntakeUnclaimed, tenant, func(e *results.IntakeEvent) { e.HappenedAt = late.ExpiresAt.Add(time.Second) })
	is(late, results.IntakeStarted, tenant, func(e *results.IntakeEvent) { e.HappenedAt = late.ExpiresAt.Add(-time.Second) }) // only its news came late
}

func arriveRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	u, _, err := s.CreateUpload(ctx, newUpload(s, tenant, "e1"), "", "")
	require.NoError(t, err)
	var started, doubled atomic.Int32
	e, src := written(s, u)
	together(12, func(int) {
		e := e
		e.ID = NewID()
		got, err := s.Arrive(ctx, e, src)
		require.NoError(t, err)
		require.Equal(t, u.Job, got.Job)
		switch got.State {
		case results.IntakeStarted:
			started.Add(1)
		case results.IntakeDuplicate:
			doubled.Add(1)
		default:
		}
	})
	require.EqualValues(t, 1, started.Load())
	require.EqualValues(t, 11, doubled.Load())
	all, err := s.IntakeEvents(ctx, tenant, results.IntakeDuplicate, results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 11, "none is dropped")
}

// claimRace: whoever of the two comes second must find the first.
func claimRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	for range 25 {
		u := newUpload(s, tenant, "e1")
		var got results.IntakeEvent
		var waiting []results.IntakeEvent
		together(2, func(i int) {
			var err error
			if i == 0 {
				e, src := written(s, u)
				e.Tenant = tenant
				got, err = s.Arrive(ctx, e, src)
				require.NoError(t, err)
				return
			}
			_, _, err = s.CreateUpload(ctx, u, "", "")
			require.NoError(t, err)
			waiting, err = s.Unclaimed(ctx, u.Bucket, u.Key)
			require.NoError(t, err)
		})
		if got.State == results.IntakeUnclaimed {
			require.Len(t, waiting, 1)
		} else {
			require.Equal(t, results.IntakeStarted, got.State)
			require.Empty(t, waiting)
		}
	}
}

func events(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant, other := NewTenant(t, s), NewTenant(t, s)
	var want []results.IntakeEvent
	for i := range 5 {
		e := results.IntakeEvent{ID: NewID(), Tenant: tenant, Source: "redis", Raw: []byte("{not JSON"), Bytes: 1, State: results.IntakeUnread,
			Why: results.Because("event_not_json", "not JSON", "不是 JSON"), HappenedAt: s.Now(), ReceivedAt: s.Now()}
		if i == 4 {
			e.State = results.IntakeIgnored
		}
		require.NoError(t, s.RecordEvent(ctx, e))
		require.NoError(t, s.RecordEvent(ctx, e), "the same call again")
		want = append([]results.IntakeEvent{e}, want...)
	}
	first, err := s.IntakeEvents(ctx, tenant, "", results.Page{Limit: 2})
	require.NoError(t, err)
	rest, err := s.IntakeEvents(ctx, tenant, "", results.Page{After: first[1].ID})
	require.NoError(t, err)
	require.Equal(t, want, append(first, rest...), "newest first")
	unread, err := s.IntakeEvents(ctx, tenant, results.IntakeUnread, results.Page{})
	require.NoError(t, err)
	require.Equal(t, want[1:], unread)
	none, err := s.IntakeEvents(ctx, other, "", results.Page{})
	require.NoError(t, err)
	require.Empty(t, none)
	require.Error(t, s.RecordEvent(ctx, results.IntakeEvent{ID: NewID(), State: results.IntakeStarted}), "only Arrive starts jobs")

	nobodys := results.IntakeEvent{ID: NewID(), Source: "webhook", State: results.IntakeUnread, Why: results.Because("event_field", "no bucket", "没有存储桶")}
	require.NoError(t, s.RecordEvent(ctx, nobodys))
	all, err := s.IntakeEvents(ctx, "", results.IntakeUnread, results.Page{})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, nobodys.ID, all[0].ID)
	require.False(t, all[0].ReceivedAt.IsZero())
}

func bucketMaps(t *testing.T, s results.Store) {
	ctx := t.Context()
	one, two := NewTenant(t, s), NewTenant(t, s)
	bucket := NewID()
	put := func(tenant, prefix string) error {
		return s.PutBucketMap(ctx, results.BucketMap{Bucket: bucket, Prefix: prefix, Tenant: tenant, CreatedAt: s.Now()}, Audit(s, tenant, "bucket.mapped"))
	}
	require.NoError(t, put(one, "acme/"))
	require.NoError(t, put(one, "acme/"), "said again")
	require.NoError(t, put(one, "acme/shops/"))
	for _, prefix := range []string{"acme/", "acme/shops/north/", "acme", ""} {
		require.ErrorIs(t, put(two, prefix), results.ErrExists, "%q: a tenant must not get at another's uploads", prefix)
	}
	require.NoError(t, put(two, "beta/"))
	require.NoError(t, s.PutBucketMap(ctx, results.BucketMap{Bucket: bucket + "-b", Prefix: "", Tenant: two}, Audit(s, two, "bucket.mapped")))
	own, err := s.BucketMaps(ctx, one)
	require.NoError(t, err)
	require.Len(t, own, 2)
	require.Equal(t, "acme/", own[0].Prefix)
	all, err := s.BucketMaps(ctx, "")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 4)
	require.ErrorIs(t, s.DeleteBucketMap(ctx, two, bucket, "acme/", Audit(s, two, "bucket.unmapped")), results.ErrNotFound)
	require.NoError(t, s.DeleteBucketMap(ctx, one, bucket, "acme/", Audit(s, one, "bucket.unmapped")))
	require.NoError(t, s.DeleteBucketMap(ctx, one, bucket, "acme/shops/", Audit(s, one, "bucket.unmapped")))
	require.NoError(t, put(two, "acme/"))

	var got atomic.Int32
	together(8, func(i int) {
		tenant, prefix := one, "race/"
		if i%2 == 1 {
			tenant, prefix = two, "race/inner/"
		}
		if err := put(tenant, prefix); err == nil {
			got.Add(1)
		} else {
			require.ErrorIs(t, err, results.ErrExists)
		}
	})
	require.EqualValues(t, 4, got.Load(), "all of one tenant, none of the other")
}

func oldClaims(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	used, _, err := s.CreateUpload(ctx, newUpload(s, tenant, "e1"), "", "")
	require.NoError(t, err)
	e, src := written(s, used)
	_, err = s.Arrive(ctx, e, src)
	require.NoError(t, err)
	unused, _, err := s.CreateUpload(ctx, newUpload(s, tenant, "e1"), "", "")
	require.NoError(t, err)
	after := func(d time.Duration, claims, events int) {
		t.Helper()
		_, err := s.Expire(ctx, s.Now().Add(d), 100)
		require.NoError(t, err)
		n := 0
		for _, job := range []string{used.Job, unused.Job} {
			if _, err := s.Upload(ctx, tenant, job); err == nil {
				n++
			} else {
				require.ErrorIs(t, err, results.ErrNotFound)
			}
		}
		require.Equal(t, claims, n)
		all, err := s.IntakeEvents(ctx, tenant, "", results.Page{})
		require.NoError(t, err)
		require.Len(t, all, events)
	}
	after(7*24*time.Hour, 2, 1)
	after(9*24*time.Hour, 1, 1)
	after(89*24*time.Hour, 1, 1)
	after(91*24*time.Hour, 1, 0)
	_, err = s.Upload(ctx, tenant, used.Job)
	require.NoError(t, err, "it goes with its job")
}
