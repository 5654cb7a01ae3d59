package copies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/reuse"
)

// decode makes noise of a file: its first letter says which noise, so that "a2" shows what "a1" shows in another file.
func decode(_ context.Context, m pipeline.Media) (*media.Clip, error) {
	raw, err := os.ReadFile(string(m.(pipeline.File)))
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(uint64(raw[0]), 1))
	pix := make([]byte, 96*96)
	for i := range pix {
		pix[i] = byte(r.UintN(256))
	}
	small, err := gocv.NewMatFromBytes(96, 96, gocv.MatTypeCV8UC1, pix)
	if err != nil {
		return nil, err
	}
	sha := sha256.Sum256(raw)
	return &media.Clip{Info: media.Info{Kind: media.Photo, SHA256: hex.EncodeToString(sha[:]), Width: 96, Height: 96}, Frames: []media.Frame{{Image: small}}}, nil
}

// suite writes files and a table: for each of four families a copy and a stranger.
func suite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	table := "query,original,label,transform,severity,family,kind\n"
	for i, f := range []string{"a", "b", "c", "d"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, f+"1"), []byte(f+"1"), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, f+"2"), []byte(f+"2"), 0o644))
		other := []string{"b", "c", "d", "a"}[i]
		table += f + "2," + f + "1,same,jpeg,85," + f + ",photo\n" + f + "2," + other + "1,different,other_scene,jpeg85," + f + ",photo\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "suite.csv"), []byte(table), 0o644))
	return dir
}

func TestRun(t *testing.T) {
	dir := suite(t)
	last, total := 0, 0
	r, err := Run(context.Background(), dir, decode, Options{Seed: 1, Config: reuse.DefaultConfig(), Progress: func(d, n int) { last, total = d, n }})
	require.NoError(t, err)
	require.Nil(t, r.Video)
	require.Equal(t, 12, total)
	require.Equal(t, total, last)
	p := r.Photo
	require.Equal(t, []int{4, 0, 4, 4}, []int{p.Same, p.Hard, p.Easy, p.Families})
	require.InDelta(t, 1, *p.Content.Recall.Rate, 0)
	require.Zero(t, p.Content.Easy.Hits)
	require.Zero(t, p.Recording.Recall.Hits, "photos are never proved to be the same recording")
	require.Equal(t, 4, p.Asked.Hits)
	for _, m := range p.Methods[Content:] {
		require.NotNil(t, m.Strangers, m.Name)
		require.InDelta(t, 1, m.Strangers.Recall, 0, m.Name)
	}
	require.Positive(t, p.BytesMean)

	half, err := Run(context.Background(), dir, decode, Options{Half: "a", Seed: 1, Config: reuse.DefaultConfig()})
	require.NoError(t, err)
	other, err := Run(context.Background(), dir, decode, Options{Half: "b", Seed: 1, Config: reuse.DefaultConfig()})
	require.NoError(t, err)
	require.Equal(t, 4, half.Photo.Same+other.Photo.Same)
	require.NotEqual(t, half.Rows[0].Family, other.Rows[0].Family)

	raw, err := json.Marshal(r)
	require.NoError(t, err)
	require.NotContains(t, string(raw), `"rows"`)

	plots := filepath.Join(dir, "plots")
	require.NoError(t, r.Plot(plots))
	svg, err := os.ReadFile(filepath.Join(plots, "photos-transforms.svg"))
	require.NoError(t, err)
	require.Contains(t, string(svg), "jpeg85")
	require.True(t, strings.HasSuffix(string(svg), "</svg>\n"))
	require.FileExists(t, filepath.Join(plots, "photos-easy.svg"))
}

// All originals at once: every copy finds its own, and each is compared with the three others.
func TestHistory(t *testing.T) {
	dir := suite(t)
	r, err := Run(context.Background(), dir, decode, Options{Seed: 1, Config: reuse.DefaultConfig(), History: true})
	require.NoError(t, err)
	h := r.Photo.History
	require.Equal(t, []int{4, 4, 12, 12}, []int{h.Originals, h.Families, h.Pairs, h.Full})
	require.Equal(t, []int{4, 0, 4}, []int{h.Chosen.Hits, h.Reused.Hits, h.Asked.Hits}, "a photo is asked about")
	require.Equal(t, []int{0, 0, 0}, []int{h.SameContent, h.CannotTell, h.WrongReused})
	require.Empty(t, h.Wrong)
	require.Equal(t, []int{4, 0}, []int{r.Photo.Lookup.Recall.Hits, r.Photo.Lookup.Easy.Hits})
	require.Equal(t, 4, r.Photo.Kinds[0].Lookup.Hits)

	r, err = Run(context.Background(), dir, decode, Options{Seed: 1, Config: reuse.DefaultConfig()})
	require.NoError(t, err)
	require.Nil(t, r.Photo.History)
}

func TestOthersNamesWhatIsWrong(t *testing.T) {
	var h History
	w := wholeRow{&Row{Query: "q", Family: "f"}, map[string]*reuse.Match{
		"alike": {Content: 0.6, Verdict: reuse.Different}, "asked": {Verdict: reuse.CannotTell}, "reused": {Verdict: reuse.Same}, "fine": {Verdict: reuse.Different}, "own": {Verdict: reuse.Same}}}
	h.others(&w, map[string]string{"alike": "a", "asked": "b", "reused": "c", "fine": "d", "own": "f", "not chosen": "e"})
	require.Equal(t, []int{5, 4, 1, 1, 1, 3}, []int{h.Pairs, h.Full, h.SameContent, h.CannotTell, h.WrongReused, len(h.Wrong)})
}

func TestNearestFrame(t *testing.T) {
	still := func(quality int, plain, mirrored uint64) reuse.Still {
		s := reuse.Still{Quality: quality}
		s.PDQ[reuse.AsIs][0], s.PDQ[reuse.FlipY][0] = plain, mirrored
		return s
	}
	o := &reuse.Fingerprint{Stills: []reuse.Still{still(90, 0xff, 0)}}
	for want, q := range map[int]reuse.Still{0: still(90, 0xff, 7), 1: still(90, 1, 0xfe), 8: still(90, 0, ^uint64(0)), bitsOfHash + 1: still(40, 0xff, 0)} {
		require.Equal(t, want, nearestFrame(&reuse.Fingerprint{Stills: []reuse.Still{q}}, o))
	}
	require.True(t, (&Row{Lookup: 31}).lookup())
	require.False(t, (&Row{Lookup: 32}).lookup())
}

func TestBaselinesPassOverStillsWithoutQuality(t *testing.T) {
	of := func(quality ...int) *reuse.Fingerprint {
		f := &reuse.Fingerprint{}
		for i, q := range quality {
			f.Stills = append(f.Stills, reuse.Still{Quality: q, PDQ: [reuse.Forms]reuse.Bits256{{^uint64(0) * uint64(i)}}})
		}
		return f
	}
	for name, c := range map[string]struct {
		q, o      *reuse.Fingerprint
		pdq, vpdq float64
	}{
		"all good":           {of(90, 90), of(90, 90), 1, 1},
		"poor query":         {of(49), of(90), 0, 0},
		"poor original":      {of(90), of(49), 0, 0},
		"one still counts":   {of(49, 50), of(90, 90), 1, 1},
		"its partner is bad": {of(49, 90), of(90, 49), 0.75, 0},
	} {
		var r Row
		r.baselines(c.q, c.o)
		require.InDelta(t, c.pdq, r.Scores[PDQ], 1e-9, name)
		require.InDelta(t, c.vpdq, r.Scores[VPDQ], 1e-9, name)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	head := "query,original,label,transform,severity,family,kind\n"
	for text, want := range map[string]string{
		"query,original,label\n":             "no column",
		head:                                 "no pairs",
		head + "a,b,maybe,crop,,f,photo\n":   "line 2",
		head + "a,b,different,crop,,f,x\n":   "line 2",
		head + "a,b,same,crop,,,photo\n":     "line 2",
		head + "gone,b,same,crop,,f,photo\n": "gone",

		head + "a,b,same,crop,,f,photo\na,c,different,other_scene,,f,photo\n": "which family c is of",
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "suite.csv"), []byte(text), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "b"), []byte("b1"), 0o644))
		_, err := Run(context.Background(), dir, decode, Options{Config: reuse.DefaultConfig()})
		require.ErrorContains(t, err, want, text)
	}
	_, err := Run(context.Background(), t.TempDir(), decode, Options{Config: reuse.DefaultConfig()})
	require.ErrorContains(t, err, "--make")
	_, err = Run(context.Background(), t.TempDir(), decode, Options{Half: "c"})
	require.ErrorContains(t, err, "half")
}

func TestFamilyOfEveryOriginal(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "suite.csv"), []byte("query,original,label,transform,severity,family,kind,original_family\n"+
		"a2,a1,same,crop,,f,photo,f\na2,b1,different,other_scene,,f,photo,g\na2,a3,different,later,,f,photo,\n"), 0o644))
	rows, err := load(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"f", "g", "f"}, []string{rows[0].Other, rows[1].Other, rows[2].Other}, "b1 has no copy in the suite")
}
