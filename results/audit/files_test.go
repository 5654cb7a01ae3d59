package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/audit"
	"onsite/results/object"
)

// shelf is a store with one verdict of a clip with two keyframes.
type shelf struct {
	verdict pipeline.Verdict
	erased  string
	gone    bool // the log says so
	since   bool // erased since Inspect
	rows    []results.Evidence
	sub     results.Submission
	now     time.Time
	objects map[string]string
	print   results.Print
	photos  []results.Photo
	sites   []results.Site

	templates []results.Template
	frames    []results.FrameHash
	late      time.Duration // by which the verdict's row says another time
	settings  results.Settings
}

var taken = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func newShelf() *shelf {
	s := &shelf{now: taken.AddDate(0, 0, 1), objects: map[string]string{"t/e/clip": "clip", "t/e/k0": "zero", "t/e/k7": "seven", "t/e/print": "print", "t/e/photo": "face", "t/_site.s/r": "logo"}}
	s.verdict.Media.SHA256, s.sub.Media.SHA256 = sum("clip"), sum("clip")
	s.verdict.Subject, s.sub.Subject, s.sub.Tenant = "e", "e", "t"
	s.frames, s.templates = hashes(), []results.Template{{Photo: "p", Sealed: []byte("sealed")}}
	s.verdict.Kept = []pipeline.Kept{{Kind: "keyframe", Index: 0, SHA256: sum("zero")}, {Kind: "keyframe", Index: 7, SHA256: sum("seven")}, {Kind: "fingerprint", SHA256: sum("print")}}
	s.rows = []results.Evidence{
		{Kind: "keyframe", Tenant: "t", Subject: "e", Index: 0, Key: "t/e/k0", SHA256: sum("zero")}, {Kind: "keyframe", Tenant: "t", Subject: "e", Index: 7, Key: "t/e/k7", SHA256: sum("seven")},
	}
	s.sub.Job, s.sub.Media.Key, s.sub.Claim, s.sub.ReceivedAt = "job", "t/e/clip", []byte(`{"wifi": ["till"]}`), taken
	claim, err := s.sub.CoreClaim()
	if err != nil {
		panic(err)
	}
	raw, err := json.Marshal(claim)
	if err != nil {
		panic(err)
	}
	s.verdict.Inputs.Claim = "sha256:" + sum(string(raw))
	s.print = results.Print{Job: "job", Subject: "e", SHA256: sum("clip"), Seq: 1, Key: "t/e/print"}
	s.photos = []results.Photo{{ID: "p", Subject: "e", Key: "t/e/photo", SHA256: sum("face")}}
	s.sites = []results.Site{{ID: "s", Rev: 1, Doc: results.SiteDoc{References: []results.SiteReference{{Name: "logo", Key: "t/_site.s/r", SHA256: sum("logo")}}}}}
	s.sites = append(s.sites, s.sites[0]) // a second revision with the same photo
	return s
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

func (s *shelf) Now() time.Time { return s.now }
func (s *shelf) Tenant(context.Context, string) (results.Tenant, error) {
	return results.Tenant{ID: "t", Settings: s.settings}, nil
}
func (s *shelf) Print(context.Context, string, string) (results.Print, error) { return s.print, nil }
func (s *shelf) Photos(context.Context, string, string, int) ([]results.Photo, error) {
	return s.photos, nil
}
func (s *shelf) Subject(_ context.Context, _, id string) (v results.Subject, err error) {
	if s.since && id == "e" {
		v.ErasedAt = s.now
	}
	return v, nil
}
func (s *shelf) Subjects(context.Context, string, results.Page) ([]results.Subject, error) {
	return []results.Subject{{ID: "e"}, {ID: "gone", ErasedAt: taken}}, nil
}
func (s *shelf) SiteRevisions(context.Context, string) ([]results.Site, error)  { return s.sites, nil }
func (s *shelf) Submission(context.Context, string) (results.Submission, error) { return s.sub, nil }
func (s *shelf) Evidence(context.Context, string, string) ([]results.Evidence, error) {
	return s.rows, nil
}
func (s *shelf) Verdicts(context.Context, string, results.VerdictFilter, results.Page) ([]results.Verdict, error) {
	body, err := json.Marshal(struct {
		pipeline.Verdict
		ErasedAt string `json:"erased_at,omitempty"`
	}{s.verdict, s.erased})
	return []results.Verdict{{Job: "job", Tenant: "t", Subject: "e", Revision: 1, SubmittedAt: taken.Add(s.late), Body: body}}, err
}

func (s *shelf) Templates(context.Context, string, string, []string, string) ([]results.Template, error) {
	return s.templates, nil
}
func (s *shelf) Template(_ context.Context, t results.Template) error {
	if string(t.Sealed) != "sealed" {
		return errors.New("it does not open")
	}
	return nil
}
func (s *shelf) Frames(_ context.Context, tenant string, f results.FrameFilter, _ int) ([]results.JobFrames, error) {
	if tenant != "t" || f.From != "job" || f.Before != "job0" || s.frames == nil {
		return nil, nil
	}
	return []results.JobFrames{{Job: "job", Frames: s.frames}}, nil
}

// drawer opens what lies on the shelf.
type drawer struct{ *shelf }

func (d drawer) Frames(context.Context, string) ([]results.FrameHash, error) { return hashes(), nil }

func hashes() []results.FrameHash { return []results.FrameHash{{AtMS: 7, Hash: [4]uint64{1, 2, 3, 4}}} }

func (s *shelf) Sum(_ context.Context, key string) (string, error) {
	text, ok := s.objects[key]
	switch {
	case text == "no key":
		return "", results.ErrErased
	case !ok:
		return "", object.ErrNotFound
	case text == "damaged":
		return "", errors.New("it does not open")
	case text == "away":
		return "", object.ErrAway
	}
	return sum(text), nil
}

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(s *shelf)
		files int
		want  []audit.Rule
	}{
		"as they were":                      {func(*shelf) {}, 7, nil},
		"a keyframe is another":             {func(s *shelf) { s.objects["t/e/k7"] = "other" }, 6, []audit.Rule{audit.ObjectBad}},
		"a keyframe's row has another sum":  {func(s *shelf) { s.rows[0].SHA256 = "x" }, 7, []audit.Rule{audit.RowChanged}},
		"a keyframe's row has another size": {func(s *shelf) { s.rows[1].Bytes++ }, 7, []audit.Rule{audit.RowChanged}},
		"a keyframe is somebody else's":     {func(s *shelf) { s.rows[1].Subject = "x" }, 7, []audit.Rule{audit.RowChanged}},
		"the clip does not open":            {func(s *shelf) { s.objects["t/e/clip"] = "damaged" }, 6, []audit.Rule{audit.ObjectBad}},
		"a keyframe is gone":                {func(s *shelf) { delete(s.objects, "t/e/k0") }, 6, []audit.Rule{audit.ObjectMissing}},
		"its row is gone":                   {func(s *shelf) { s.rows = s.rows[:1] }, 6, []audit.Rule{audit.ObjectMissing}},
		"everything is past its time": {func(s *shelf) {
			s.now, s.rows, s.sub.Media.Key, s.print = taken.AddDate(9, 0, 0), nil, "", results.Print{}
		}, 3, nil},
		"the subject was erased":       {func(s *shelf) { s.erased, s.gone, s.rows, s.photos = "2026-11-03", true, nil, nil }, 1, nil},
		"two keyframes changed places": {func(s *shelf) { s.rows[0].Key, s.rows[1].Key = s.rows[1].Key, s.rows[0].Key }, 5, []audit.Rule{audit.ObjectBad, audit.ObjectBad}},
		"a keyframe that nobody named": {func(s *shelf) {
			s.rows = append(s.rows, results.Evidence{Kind: "keyframe", Tenant: "t", Subject: "e", Index: 9, Key: "t/e/k9"})
		}, 7, []audit.Rule{audit.RowChanged}},
		"a row is of another kind":           {func(s *shelf) { s.rows[1].Kind, s.rows[1].SHA256 = "picture", "x" }, 6, []audit.Rule{audit.RowChanged, audit.ObjectMissing}},
		"a row is of the fingerprint's kind": {func(s *shelf) { s.rows[0].Kind = "fingerprint" }, 6, []audit.Rule{audit.RowChanged, audit.ObjectMissing}},
		"two rows of one keyframe":           {func(s *shelf) { s.rows = append(s.rows, s.rows[0]); s.rows[2].Revision++ }, 7, []audit.Rule{audit.RowChanged}},
		"another clip lies in its place":     {func(s *shelf) { s.objects["t/e/clip"] = "yesterday" }, 6, []audit.Rule{audit.ObjectBad}},
		"the fingerprint is another":         {func(s *shelf) { s.objects["t/e/print"] = "x" }, 6, []audit.Rule{audit.ObjectBad}},
		"an enrolled photo is another":       {func(s *shelf) { s.objects["t/e/photo"] = "x" }, 6, []audit.Rule{audit.ObjectBad}},
		"an enrolled photo is gone":          {func(s *shelf) { delete(s.objects, "t/e/photo") }, 6, []audit.Rule{audit.ObjectMissing}},
		"a site's photo is damaged":          {func(s *shelf) { s.objects["t/_site.s/r"] = "damaged" }, 6, []audit.Rule{audit.ObjectBad}},
		"an old revision names another": {func(s *shelf) {
			s.sites[0].Doc.References = []results.SiteReference{{Name: "old", Key: "t/_site.s/old"}}
		}, 7, []audit.Rule{audit.ObjectMissing}},
		"the claim was changed":               {func(s *shelf) { s.sub.Claim = []byte(`{"taken_at": "2026-11-02T08:00:00Z"}`) }, 7, []audit.Rule{audit.ClaimChanged}},
		"the claim cannot be read":            {func(s *shelf) { s.sub.Claim = []byte(`{`) }, 7, []audit.Rule{audit.ClaimChanged}},
		"it is somebody else's":               {func(s *shelf) { s.sub.Subject = "x" }, 7, []audit.Rule{audit.ClaimChanged}},
		"it was somewhere else":               {func(s *shelf) { s.sub.Site = "x" }, 7, []audit.Rule{audit.ClaimChanged}},
		"it names another clip":               {func(s *shelf) { s.sub.Media.SHA256 = "x" }, 7, []audit.Rule{audit.ClaimChanged}},
		"the verdict's row is of another day": {func(s *shelf) { s.late = time.Hour }, 7, []audit.Rule{audit.ClaimChanged}},
		"the fingerprint is of another file":  {func(s *shelf) { s.print.SHA256 = "x" }, 7, []audit.Rule{audit.PrintChanged}},
		"a frame's hash was changed":          {func(s *shelf) { s.frames[0].Hash[3]++ }, 7, []audit.Rule{audit.PrintChanged}},
		"the frames' hashes are gone":         {func(s *shelf) { s.frames = nil }, 7, []audit.Rule{audit.PrintChanged}},
		"a vector was changed":                {func(s *shelf) { s.templates[0].Sealed[0]++ }, 6, []audit.Rule{audit.ObjectBad}},
		"a key was destroyed":                 {func(s *shelf) { s.objects["t/e/clip"] = "no key" }, 6, []audit.Rule{audit.ObjectBad}},
		"they were erased meanwhile": {func(s *shelf) {
			s.since, s.sub.Claim, s.objects = true, []byte(`{}`), map[string]string{"t/e/photo": "no key", "t/e/clip": "no key", "t/_site.s/r": "logo"}
		}, 2, nil}, // a site's photo, and the vector that was read before
		"its time was changed": {func(s *shelf) { s.sub.ReceivedAt = taken.Add(1) }, 7, []audit.Rule{audit.ClaimChanged}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			c.do(s)
			r := audit.ReportFor("t", s.gone, "e")
			seen := 0
			require.NoError(t, r.Files(t.Context(), s, drawer{s}, func(n int) { seen = n }))
			want := 4 // one verdict, one person, two revisions of a site
			if s.gone {
				want = 3
			}
			require.Equal(t, want, seen)
			require.Equal(t, c.files, r.Objects)
			var rules []audit.Rule
			for _, f := range r.Findings {
				rules = append(rules, f.Rule)
				require.NotEmpty(t, f.Text.ZH)
			}
			require.Equal(t, c.want, rules)
		})
	}
	s := newShelf()
	s.objects["t/e/clip"] = "away"
	require.ErrorIs(t, (&audit.Report{Tenant: "t"}).Files(t.Context(), s, drawer{s}, nil), object.ErrAway, "nobody is accused while the store is away")
}

// What goes when is written down with the settings of its time: raising the days later accuses nobody, and what was removed by hand is named.
func TestFilesGoByTheSettingsOfTheirTime(t *testing.T) {
	raised := results.Settings{MediaDays: 3_000, KeyframeDays: 3_000, PrintDays: 3_000}
	day := func(n int) time.Time { return taken.AddDate(0, 0, n) }
	for name, c := range map[string]struct {
		changed map[int]string // day
		now     int
		missing int
		untimed int
	}{
		"raised after they went":        {map[int]string{200: raised.Target()}, 201, 0, 0},
		"raised before they would":      {map[int]string{80: raised.Target()}, 85, 4, 0},
		"raised, and only media due":    {map[int]string{20: raised.Target()}, 100, 3, 0},
		"raised before they came":       {map[int]string{-9: results.Settings{MediaDays: 1}.Target(), -8: raised.Target()}, 201, 4, 0},
		"lower, and raised again":       {map[int]string{1: results.Settings{MediaDays: 7}.Target(), 9: raised.Target()}, 10, 3, 0},
		"nobody wrote it down":          {map[int]string{-9: results.LoggedSettings + " verdict_days=1095"}, 5, 0, 4},
		"nobody did, and it is over":    {map[int]string{-9: results.LoggedSettings, 1: results.Settings{MediaDays: 1, KeyframeDays: 1, PrintDays: 1}.Target()}, 5, 0, 0},
		"nobody wrote one of them down": {map[int]string{1: results.LoggedSettings}, 5, 0, 4},
		"it was written down since":     {map[int]string{-9: results.LoggedSettings, -8: raised.Target()}, 5, 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.settings, s.now = raised, day(c.now)
			s.rows, s.sub.Media.Key, s.print = nil, "", results.Print{}
			r := audit.ReportFor("t", false, "")
			for at, target := range c.changed {
				r.Since(day(at), target)
			}
			require.NoError(t, r.Files(t.Context(), s, drawer{s}, nil))
			require.Len(t, r.Findings, c.missing, "%+v", r.Findings)
			require.Equal(t, c.untimed, r.Untimed)
			for _, f := range r.Findings {
				require.Equal(t, audit.ObjectMissing, f.Rule)
			}
		})
	}
}

func TestHeadIsReadAsWritten(t *testing.T) {
	key, err := audit.NewKey("acme")
	require.NoError(t, err)
	h := audit.Head{Origin: audit.Origin("acme"), Size: 7, Root: [32]byte{1, 2, 3}}
	note, err := audit.Sign(h, key.Secret)
	require.NoError(t, err)
	got, err := audit.Open(note, key.Public)
	require.NoError(t, err)
	require.Equal(t, h, got)
	require.NoError(t, audit.CheckKey(key.Public, "acme"))
	require.Error(t, audit.CheckKey(key.Public, "other"))
	require.Error(t, audit.CheckKey("x", "acme"))
	for i := range note { // no byte of it can be another one
		bad := []byte(note)
		bad[i] ^= 1
		got, err := audit.Open(string(bad), key.Public)
		require.True(t, err != nil || got == h, "byte %d", i)
	}
}

func FuzzHead(f *testing.F) {
	f.Add("onsite.audit/t\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	f.Add("\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := audit.ParseHead(text)
		if err != nil {
			require.ErrorIs(t, err, audit.ErrHead)
			return
		}
		again, err := audit.ParseHead(h.Text())
		require.NoError(t, err)
		require.Equal(t, h, again)
	})
}

func FuzzInclusion(f *testing.F) {
	f.Add([]byte(`{"entry":{},"leaf":"00","index":-1,"path":["zz"],"checkpoint":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p audit.Inclusion
		if json.Unmarshal(raw, &p) != nil {
			return
		}
		_, err := p.Check("")
		if err == nil {
			require.NotEmpty(t, p.Checkpoint)
		}
	})
}
