package storetest

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

const model = "sha256-of-a-model"

var peopleCases = []Case{
	{Name: "subjects", Run: subjects},
	{Name: "enrolment", Run: enrolment},
	{Name: "enrolment that is refused leaves nothing", Run: enrolmentRefused},
	{Name: "templates", Run: templatesCase},
	{Name: "consent", Run: consent},
	{Name: "no template without consent", Run: noTemplateWithoutConsent},
	{Name: "subject keys", Run: subjectKeys},
	{Name: "one of many makes the key", Run: keyRace},
	{Name: "enrolments at the same time", Run: enrolRace},
}

func subjects(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	one := results.Subject{Tenant: tenant, ID: long("E-"), Label: "王小明", CreatedAt: s.Now()}
	a := Audit(s, tenant, "subject.created")
	require.NoError(t, s.CreateSubject(ctx, one, a))
	got, err := s.Subject(ctx, tenant, one.ID)
	require.NoError(t, err)
	require.Equal(t, one, got)
	require.ErrorIs(t, s.CreateSubject(ctx, one, Audit(s, tenant, "subject.created")), results.ErrExists)
	log, err := s.AuditLog(ctx, tenant, results.Page{})
	require.NoError(t, err)
	a.Subject, a.Digest = one.ID, one.Digest()
	require.Equal(t, []results.AuditEntry{a}, log, "what was refused is not in the log")
	_, err = s.Subject(ctx, tenant, "nobody")
	require.ErrorIs(t, err, results.ErrNotFound)
	a = Audit(s, tenant, "subject.changed")
	renamed, err := s.Relabel(ctx, tenant, one.ID, "another", a)
	require.NoError(t, err)
	one.Label = "another"
	require.Equal(t, one, renamed)
	log, err = s.AuditLog(ctx, tenant, results.Page{})
	require.NoError(t, err)
	a.Subject, a.Digest = one.ID, one.Digest()
	require.Contains(t, log, a)
	_, err = s.Relabel(ctx, tenant, "nobody", "x", Audit(s, tenant, "subject.changed"))
	require.ErrorIs(t, err, results.ErrNotFound)
	one.Tenant = "nobody"
	require.ErrorIs(t, s.CreateSubject(ctx, one, results.AuditEntry{}), results.ErrNotFound)

	var ids []string
	for i := range 7 {
		NewSubject(t, s, tenant, "p"+strconv.Itoa(i))
	}
	for after := ""; ; {
		some, err := s.Subjects(ctx, tenant, results.Page{After: after, Limit: 3})
		require.NoError(t, err)
		if len(some) == 0 {
			break
		}
		require.LessOrEqual(t, len(some), 3)
		for _, one := range some {
			ids = append(ids, one.ID)
		}
		after = ids[len(ids)-1]
	}
	require.ElementsMatch(t, []string{long("E-"), "p0", "p1", "p2", "p3", "p4", "p5", "p6"}, ids)
}

// enrolled makes a subject with consent and n photos, each with a template.
func enrolled(t *testing.T, s results.Store, tenant, subject string, n int) []results.Photo {
	t.Helper()
	NewSubject(t, s, tenant, subject)
	give(t, s, tenant, subject)
	return enrol(t, s, tenant, subject, n)
}

func give(t *testing.T, s results.Store, tenant, subject string) {
	t.Helper()
	require.NoError(t, s.GiveConsent(t.Context(), results.Consent{ID: NewID(), Tenant: tenant, Subject: subject, Purpose: results.PurposeFace,
		Notice: "2026-01", Reference: "HR file 7", RecordedBy: "key", GivenAt: s.Now()}, Audit(s, tenant, "consent.given")))
}

func enrol(t *testing.T, s results.Store, tenant, subject string, n int) []results.Photo {
	t.Helper()
	var photos []results.Photo
	var templates []results.Template
	for range n {
		p := NewPhoto(s, tenant, subject)
		require.NoError(t, s.Pend(t.Context(), []string{p.Key}))
		photos = append(photos, p)
		templates = append(templates, templateOf(p, "vector"))
	}
	rev, err := s.Enrol(t.Context(), tenant, subject, -1, photos, templates, nil, Audit(s, tenant, "photos.changed"))
	require.NoError(t, err)
	for i := range photos {
		photos[i].FromRev = rev
	}
	return photos
}

func templateOf(p results.Photo, sealed string) results.Template {
	return results.Template{Photo: p.ID, Tenant: p.Tenant, Subject: p.Subject, ModelSHA256: model, Sealed: []byte(sealed)}
}

func enrolment(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	give(t, s, tenant, "e1")
	a, b, c := NewPhoto(s, tenant, "e1"), NewPhoto(s, tenant, "e1"), NewPhoto(s, tenant, "e1")
	require.NoError(t, s.Pend(ctx, []string{a.Key, b.Key, c.Key}))

	rev, err := s.Enrol(ctx, tenant, "e1", 0, []results.Photo{a, b}, []results.Template{templateOf(a, "1"), templateOf(b, "2")}, nil, Audit(s, tenant, "photos.changed"))
	require.NoError(t, err)
	require.Equal(t, 1, rev)
	rev, err = s.Enrol(ctx, tenant, "e1", 1, []results.Photo{c}, []results.Template{templateOf(c, "3")}, []string{a.ID, a.ID}, Audit(s, tenant, "photos.changed"))
	require.NoError(t, err)
	require.Equal(t, 2, rev)
	sub, err := s.Subject(ctx, tenant, "e1")
	require.NoError(t, err)
	require.Equal(t, 2, sub.Rev)

	// A removed photo is gone; what is left says that there was one.
	require.Equal(t, []string{a.Key}, pendingOf(t, s, tenant), "its object is deleted by the caller, or by the sweeper")
	left, err := s.Templates(ctx, tenant, "e1", []string{a.ID, b.ID, c.ID}, model)
	require.NoError(t, err)
	require.Equal(t, []results.Template{templateOf(b, "2"), templateOf(c, "3")}, left)
	object := a.Key
	a.FromRev, a.ToRev, a.Key, b.FromRev, c.FromRev = 1, 2, "", 1, 2
	for rev, want := range map[int][]results.Photo{1: {a, b}, 2: {b, c}, 0: {b, c}, 3: {b, c}} {
		got, err := s.Photos(ctx, tenant, "e1", rev)
		require.NoError(t, err)
		for i := range got {
			require.JSONEq(t, `{"sharpness": 0.5}`, string(got[i].Quality))
			got[i].Quality = want[i].Quality
		}
		require.Equal(t, want, got, "revision %d", rev)
	}
	found, err := s.Referenced(ctx, []string{object, b.Key, c.Key, "x/y/z"})
	require.NoError(t, err)
	require.Equal(t, map[string]bool{b.Key: true, c.Key: true}, found)
	// Removing it again is refused, and others can be removed.
	_, err = s.Enrol(ctx, tenant, "e1", 2, nil, nil, []string{a.ID}, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrNotFound)
	_, err = s.Enrol(ctx, tenant, "e1", 2, nil, nil, []string{b.ID, c.ID}, Audit(s, tenant, "photos.changed"))
	require.NoError(t, err)
}

// pendingOf gives the pending objects of a tenant.
func pendingOf(t *testing.T, s results.Store, tenant string) []string {
	t.Helper()
	all, err := s.Orphans(t.Context(), s.Now().Add(time.Hour), 10000)
	require.NoError(t, err)
	return slices.DeleteFunc(all, func(key string) bool { return key[:min(len(key), len(tenant)+1)] != tenant+"/" })
}

func enrolmentRefused(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	photos := enrolled(t, s, tenant, "e1", 1)
	before, err := s.AuditLog(ctx, tenant, results.Page{})
	require.NoError(t, err)
	p := NewPhoto(s, tenant, "e1")
	require.NoError(t, s.Pend(ctx, []string{p.Key}))
	for name, try := range map[string]struct {
		subject string
		rev     int
		remove  []string
		want    error
	}{
		"stale revision":                    {"e1", 0, nil, results.ErrConflict},
		"revision that is not there yet":    {"e1", 2, nil, results.ErrConflict},
		"subject that is not there":         {"e2", -1, nil, results.ErrNotFound},
		"removing what is not there":        {"e1", 1, []string{"nothing"}, results.ErrNotFound},
		"removing one of two is not enough": {"e1", 1, []string{photos[0].ID, "nothing"}, results.ErrNotFound},
	} {
		_, err := s.Enrol(ctx, tenant, try.subject, try.rev, []results.Photo{p}, nil, try.remove, Audit(s, tenant, "photos.changed"))
		require.ErrorIs(t, err, try.want, name)
	}
	_, err = s.Enrol(ctx, tenant, "e1", 1, nil, []results.Template{templateOf(photos[0], "x")}, nil, results.AuditEntry{})
	require.Error(t, err, "a template of a photo that is not added")
	_, err = s.Enrol(ctx, tenant, "e1", 1, photos, nil, nil, results.AuditEntry{})
	require.ErrorIs(t, err, results.ErrExists, "a photo that is there")

	now, err := s.Photos(ctx, tenant, "e1", 0)
	require.NoError(t, err)
	require.Len(t, now, 1)
	require.Zero(t, now[0].ToRev)
	sub, err := s.Subject(ctx, tenant, "e1")
	require.NoError(t, err)
	require.Equal(t, 1, sub.Rev)
	after, err := s.AuditLog(ctx, tenant, results.Page{})
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, []string{p.Key}, pendingOf(t, s, tenant), "still pending, so that the sweeper finds it")
}

func templatesCase(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	a := enrolled(t, s, tenant, "e1", 2)
	b := enrolled(t, s, tenant, "e2", 1)
	got, err := s.Templates(ctx, tenant, "e1", []string{a[1].ID, a[0].ID, b[0].ID}, model)
	require.NoError(t, err)
	require.Equal(t, []results.Template{templateOf(a[0], "vector"), templateOf(a[1], "vector")}, got, "another subject's photo gives nothing")
	got, err = s.Templates(ctx, tenant, "e1", []string{a[0].ID}, "another model")
	require.NoError(t, err)
	require.Empty(t, got, "vectors of another model are not given")
	got, err = s.Templates(ctx, tenant, "e1", nil, model)
	require.NoError(t, err)
	require.Empty(t, got)

	changed, other := templateOf(a[0], "better"), templateOf(b[0], "of another model")
	other.ModelSHA256 = "another model"
	require.NoError(t, s.PutTemplates(ctx, []results.Template{other, changed}))
	require.NoError(t, s.PutTemplates(ctx, nil))
	// A removed photo is no candidate for a look-alike any more.
	_, err = s.Enrol(ctx, tenant, "e1", -1, nil, nil, []string{a[1].ID}, Audit(s, tenant, "photos.changed"))
	require.NoError(t, err)
	var walked []results.Template
	require.NoError(t, s.EachTemplate(ctx, tenant, model, func(one results.Template) error {
		walked = append(walked, one)
		return nil
	}))
	require.ElementsMatch(t, []results.Template{changed, templateOf(b[0], "vector")}, walked)
	stop := errStop{}
	require.ErrorIs(t, s.EachTemplate(ctx, tenant, model, func(results.Template) error { return stop }), stop)
	// A template whose photo is another subject's is not kept.
	wrong := templateOf(a[0], "wrong")
	wrong.Subject = "e2"
	require.NoError(t, s.PutTemplates(ctx, []results.Template{wrong}))
	got, err = s.Templates(ctx, tenant, "e1", []string{a[0].ID}, model)
	require.NoError(t, err)
	require.Equal(t, []results.Template{changed}, got)
}

type errStop struct{}

func (errStop) Error() string { return "stop" }

func consent(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	has := func() bool {
		ok, err := s.Consented(ctx, tenant, "e1", results.PurposeFace)
		require.NoError(t, err)
		return ok
	}
	require.False(t, has())
	require.ErrorIs(t, s.WithdrawConsent(ctx, tenant, "e1", results.PurposeFace, s.Now(), Audit(s, tenant, "consent.withdrawn")), results.ErrNotFound)
	c := results.Consent{ID: NewID(), Tenant: tenant, Subject: "e1", Purpose: results.PurposeFace, Notice: "v1", Reference: "file", RecordedBy: "key", GivenAt: s.Now()}
	require.NoError(t, s.GiveConsent(ctx, c, Audit(s, tenant, "consent.given")))
	require.True(t, has())
	other, err := s.Consented(ctx, tenant, "e1", "newsletter")
	require.NoError(t, err)
	require.False(t, other, "a consent is for its purpose")
	when := s.Now()
	require.NoError(t, s.WithdrawConsent(ctx, tenant, "e1", results.PurposeFace, when, Audit(s, tenant, "consent.withdrawn")))
	require.False(t, has())
	give(t, s, tenant, "e1")
	require.True(t, has(), "given again")
	all, err := s.Consents(ctx, tenant, "e1")
	require.NoError(t, err)
	require.Len(t, all, 2)
	c.WithdrawnAt = when
	require.Contains(t, all, c)
	c.ID, c.Subject = NewID(), "nobody"
	require.ErrorIs(t, s.GiveConsent(ctx, c, results.AuditEntry{}), results.ErrNotFound)
}

func noTemplateWithoutConsent(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	kept := func(photos []results.Photo) int {
		var ids []string
		for _, p := range photos {
			ids = append(ids, p.ID)
		}
		got, err := s.Templates(ctx, tenant, "e1", ids, model)
		require.NoError(t, err)
		return len(got)
	}
	photos := enrol(t, s, tenant, "e1", 1)
	require.Zero(t, kept(photos))
	give(t, s, tenant, "e1")
	require.NoError(t, s.PutTemplates(ctx, []results.Template{templateOf(photos[0], "v")}))
	require.Equal(t, 1, kept(photos))
	require.NoError(t, s.WithdrawConsent(ctx, tenant, "e1", results.PurposeFace, s.Now(), Audit(s, tenant, "consent.withdrawn")))
	require.Zero(t, kept(photos))
	require.NoError(t, s.PutTemplates(ctx, []results.Template{templateOf(photos[0], "v")}))
	require.Zero(t, kept(photos), "a worker that was slow to notice")
}

func subjectKeys(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	_, err := s.SubjectKey(ctx, tenant, "e1")
	require.ErrorIs(t, err, results.ErrNotFound)
	k := results.SubjectKey{Tenant: tenant, Subject: "e1", Wrapped: []byte{0, 1, 255}, KEK: "kek-1", CreatedAt: s.Now()}
	got, err := s.CreateSubjectKey(ctx, k)
	require.NoError(t, err)
	require.Equal(t, k, got)
	other := k
	other.Wrapped, other.KEK = []byte("other"), "kek-2"
	got, err = s.CreateSubjectKey(ctx, other)
	require.NoError(t, err)
	require.Equal(t, k, got, "the first one stays")
	got, err = s.SubjectKey(ctx, tenant, "e1")
	require.NoError(t, err)
	require.Equal(t, k, got)
	site := k
	site.Subject = results.SiteSubject(long("s"))
	_, err = s.CreateSubjectKey(ctx, site)
	require.NoError(t, err)
	k.Subject, k.Wrapped = "e2", nil
	_, err = s.CreateSubjectKey(ctx, k)
	require.Error(t, err, "a key without bytes looks destroyed")
}

func keyRace(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	const n = 16
	got := make([]results.SubjectKey, n)
	errs := make([]error, n)
	together(n, func(i int) {
		got[i], errs[i] = s.CreateSubjectKey(t.Context(), results.SubjectKey{Tenant: tenant, Subject: "e1", Wrapped: []byte{byte(i + 1)}, KEK: "k", CreatedAt: s.Now()})
	})
	for i := range n {
		require.NoError(t, errs[i])
		require.Equal(t, got[0], got[i], "everybody has the same key")
	}
}

func enrolRace(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "e1")
	give(t, s, tenant, "e1")
	const n = 12
	revs := make([]int, n)
	errs := make([]error, n)
	together(n, func(i int) {
		p := NewPhoto(s, tenant, "e1")
		revs[i], errs[i] = s.Enrol(ctx, tenant, "e1", -1, []results.Photo{p}, []results.Template{templateOf(p, "v")}, nil, Audit(s, tenant, "photos.changed"))
	})
	for i := range n {
		require.NoError(t, errs[i])
	}
	slices.Sort(revs)
	for i := range n {
		require.Equal(t, i+1, revs[i], "every enrolment has a revision of its own")
	}
	photos, err := s.Photos(ctx, tenant, "e1", 0)
	require.NoError(t, err)
	require.Len(t, photos, n)

	// Of many that saw the same revision one gets through.
	together(n, func(i int) {
		_, errs[i] = s.Enrol(ctx, tenant, "e1", n, nil, nil, []string{photos[i].ID}, results.AuditEntry{})
	})
	won := 0
	for i := range n {
		if errs[i] == nil {
			won++
		} else {
			require.ErrorIs(t, errs[i], results.ErrConflict)
		}
	}
	require.Equal(t, 1, won)
}

// together runs fn n times at the same time and waits.
func together(n int, fn func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	all.Wait()
}
