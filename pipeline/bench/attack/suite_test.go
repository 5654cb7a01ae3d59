package attack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// film makes a synthetic clip of the given length, with sound.
func film(t *testing.T, dir, name, source string, seconds string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source+"=size=64x48:rate=10", "-f", "lavfi", "-i", "sine=440", "-t", seconds,
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", filepath.Join(dir, name)).CombinedOutput()
	require.NoError(t, err, "%s (the tests need ffmpeg: run `make setup`)", out)
}

func TestMake(t *testing.T) {
	clips, dir := t.TempDir(), t.TempDir()
	film(t, clips, "a.mp4", "testsrc2", "7.2")
	film(t, clips, "b.mp4", "testsrc", "2")
	film(t, clips, "c.mp4", "mandelbrot", "2")
	scenes := filepath.Join(dir, "scenes.csv")
	require.NoError(t, os.WriteFile(scenes, []byte("file,scene,person\na.mp4,desk,ann\nb.mp4,desk,bob\n"), 0o644))
	calls := 0
	o := Options{Clips: clips, Scenes: scenes, Seed: 3, Kinds: []string{"remux", "splice", "recapture2", "clock"}, Progress: func(int, int) { calls++ }}
	m, err := Make(context.Background(), dir, o)
	require.NoError(t, err)
	require.Equal(t, 3, m.Clips)
	require.Equal(t, 2, m.Families)
	require.Equal(t, 4, m.Originals) // a twice: its end is another part of the same take
	require.Equal(t, 13, m.Queries)  // the end of a is changed once
	require.Equal(t, 17, m.Written)
	require.Equal(t, 17, calls)
	require.Empty(t, m.Skipped)

	rows, err := pipeline.ReadTable(m.Table, Columns...)
	require.NoError(t, err)
	require.Len(t, rows, m.Pairs)
	byKind := map[string]int{}
	for _, r := range rows {
		for _, f := range []string{r.Get("query"), r.Get("original")} {
			require.FileExists(t, filepath.Join(dir, f))
		}
		require.Equal(t, r.Get("label") == "different", r.Get("transform") == OtherScene || Hard(r.Get("transform")))
		byKind[r.Get("transform")]++
		require.Equal(t, r.Get("transform") == OtherScene, r.Get("family") != r.Get(OriginalFamily))
		if r.Get("query") == "query/a__splice33.mp4" {
			require.NotEqual(t, "library/c.mp4", r.Get("original"), "c is the clip that was spliced in, so it is neither copy nor stranger")
		}
	}
	require.Equal(t, 5, byKind[Later])         // four attacks on the beginning, one on the end
	require.Equal(t, 5+8, byKind[OtherPerson]) // a's five against b, b's four against both cuts of a
	require.Zero(t, byKind[OtherTake])

	// A second run makes nothing anew, except for what is missing.
	require.NoError(t, os.Remove(filepath.Join(dir, "query", "b__clock.mp4")))
	again, err := Make(context.Background(), dir, o)
	require.NoError(t, err)
	require.Equal(t, 1, again.Written)
	require.Equal(t, 16, again.Kept)

	// A run of fewer kinds keeps the pairs of the others.
	fewer := o
	fewer.Kinds = o.Kinds[:1]
	less, err := Make(context.Background(), dir, fewer)
	require.NoError(t, err)
	require.Equal(t, m.Pairs, less.Pairs)
	kept, err := pipeline.ReadTable(m.Table, Columns...)
	require.NoError(t, err)
	lines := func(rows []pipeline.Row) (out []string) {
		for _, r := range rows {
			out = append(out, fmt.Sprint(r.Get("query"), r.Get("original"), r.Get("label"), r.Get("transform"), r.Get("severity"), r.Get("family"), r.Get("kind"), r.Get(OriginalFamily)))
		}
		return out
	}
	require.ElementsMatch(t, lines(rows), lines(kept))
	_, err = Make(context.Background(), dir, o)
	require.NoError(t, err)

	// Nor is a folder taken that holds anything else.
	var other *MixedError
	foreign := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "suite.csv"), []byte("mine"), 0o644))
	_, err = Make(context.Background(), foreign, o)
	require.ErrorAs(t, err, &other)
	require.Equal(t, "suite.csv", other.Foreign)
	mine, err := os.ReadFile(filepath.Join(foreign, "suite.csv"))
	require.NoError(t, err)
	require.Equal(t, "mine", string(mine))

	// Files of other sources or options are not mixed with those that are there.
	var mixed *MixedError
	spoilt := o
	spoilt.Seed++
	_, err = Make(context.Background(), dir, spoilt)
	require.ErrorAs(t, err, &mixed)
	require.ErrorContains(t, err, "seed 3, not 4")
	spoilt = o
	spoilt.Seconds = 4
	_, err = Make(context.Background(), dir, spoilt)
	require.ErrorContains(t, err, "cuts of 5 s, not 4 s")
	spoilt = o
	spoilt.Scenes = ""
	_, err = Make(context.Background(), dir, spoilt)
	require.ErrorContains(t, err, "another scene or person of a.mp4")
	require.NoError(t, os.Remove(filepath.Join(clips, "c.mp4")))
	film(t, clips, "c.mp4", "testsrc", "2")
	_, err = Make(context.Background(), dir, o)
	require.ErrorContains(t, err, "another file of the name c.mp4")
	require.NoError(t, os.Remove(filepath.Join(clips, "c.mp4")))
	_, err = Make(context.Background(), dir, o)
	require.ErrorContains(t, err, "3 sources, not 2")
	require.NoError(t, os.Remove(filepath.Join(dir, originFile)))
	_, err = Make(context.Background(), dir, o)
	require.ErrorContains(t, err, "no suite is noted")
}

func TestMakePhotos(t *testing.T) {
	photos, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"x.png", "y.png"} {
		out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=101x77", "-frames:v", "1", filepath.Join(photos, name)).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	m, err := Make(context.Background(), dir, Options{Photos: photos, Seed: 1, Kinds: []string{"jpeg10", "rot90", "combo3", "reverse"}})
	require.NoError(t, err)
	require.Equal(t, 6, m.Queries) // a photo has no time to reverse
	require.Equal(t, []string{"reverse: there is no footage of its kind (clips: true, photos: false)"}, m.Skipped)
	require.Equal(t, 2, m.Families)
	f, err := mustTools(t).probe(context.Background(), filepath.Join(dir, "query", "photo_x__rot90.jpg"))
	require.NoError(t, err)
	require.Equal(t, []int{78, 102}, []int{f.w, f.h})
}

func mustTools(t *testing.T) tools {
	t.Helper()
	got, err := findTools()
	require.NoError(t, err)
	return got
}

func TestMakeSaysWhatIsWrong(t *testing.T) {
	empty, photos := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(photos, "a.jpg"), []byte("no picture"), 0o644))
	scenes := filepath.Join(empty, ".scenes.csv")
	require.NoError(t, os.WriteFile(scenes, []byte("file,scene,person\nb.mp4,,\n"), 0o644))
	for want, o := range map[string]Options{
		"name a folder":         {},
		"has no files":          {Clips: empty},
		`no kind "crop99"`:      {Clips: empty, Kinds: []string{"crop99"}},
		"0.5 s, want 1.5 to 60": {Clips: empty, Seconds: 0.5},
		"look into":             {Photos: photos},
		"has no scene":          {Photos: photos, Scenes: scenes},
	} {
		_, err := Make(context.Background(), t.TempDir(), o)
		require.ErrorContains(t, err, want)
	}
	var source *SourceError
	dir := t.TempDir()
	_, err := Make(context.Background(), dir, Options{Photos: photos})
	require.ErrorAs(t, err, &source)
	require.Equal(t, filepath.Join(photos, "a.jpg"), source.Path)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "before anything is made")
	t.Setenv("PATH", empty)
	_, err = Make(context.Background(), t.TempDir(), Options{Photos: photos})
	require.ErrorIs(t, err, ErrNoFFmpeg)
}

// The choices of one transform depend on seed, clip and transform alone, and each transform writes a graph.
func TestSameSeedSameChoices(t *testing.T) {
	draw := func(seed uint64, name string) map[string][]string {
		out := map[string][]string{}
		for _, x := range transforms() {
			if x.apply == nil {
				continue
			}
			g := newGraph(rng(seed, name, x.tag()), footage{w: 320, h: 240, fps: 25, seconds: 5, sound: true})
			g.host = "host.mp4"
			x.apply(g)
			require.Zero(t, g.w%2+g.h%2, x.tag())
			out[x.tag()] = append(g.chains, g.audio...)
		}
		return out
	}
	one := draw(1, "a")
	require.Equal(t, one, draw(1, "a"))
	require.NotEqual(t, one["recapture2"], draw(2, "a")["recapture2"])
	require.NotEqual(t, one["recapture2"], draw(1, "b")["recapture2"])
	require.Len(t, Kinds(), len(one)+1, "two transforms have one tag")
}

// Who shares a place or a face is one family, over any number of steps.
func TestFamilies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scenes.csv")
	require.NoError(t, os.WriteFile(path, []byte("file,scene,person\na,1,ann\nb,2,ann\nc,2,bob\nd,3,\ne,3,\nnone,4,x\n"), 0o644))
	got, err := families(path, []string{"a", "b", "c", "d", "e", "f"})
	require.NoError(t, err)
	require.Len(t, got, 6)
	for _, same := range [][2]string{{"a", "b"}, {"b", "c"}, {"d", "e"}} {
		require.Equal(t, got[same[0]].family, got[same[1]].family)
	}
	require.NotEqual(t, got["a"].family, got["d"].family)
	require.NotEqual(t, got["f"].family, got["d"].family)
	c := func(f string) cut { return cut{file: f, place: got[f]} }
	require.Equal(t, Later, relation(c("a"), c("a")))
	require.Equal(t, OtherPlace, relation(c("a"), c("b")))
	require.Equal(t, OtherPerson, relation(c("b"), c("c")))
	require.Equal(t, OtherPerson, relation(c("d"), c("e")), "two files without a name need not be of one person")
	require.Equal(t, OtherTake, relation(cut{file: "x", place: got["a"]}, c("a")))
	require.Equal(t, OtherScene, relation(c("a"), c("d")))
}

// Photos that were cut from one recording: seconds apart they look as a copy does, later they are another part.
func TestTakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scenes.csv")
	require.NoError(t, os.WriteFile(path, []byte("file,scene,person,take,at\na,1,ann,x,0.5\nb,1,ann,x,3.5\nc,1,ann,x,3.6\nd,1,ann,x,\ne,1,ann,y,0.5\nf,1,ann,,\n"), 0o644))
	got, err := families(path, []string{"a", "b", "c", "d", "e", "f"})
	require.NoError(t, err)
	c := func(f string) cut { return cut{file: f, photo: true, place: got[f]} }
	for other, want := range map[string]string{"b": Soon, "c": Later, "d": Later, "e": OtherTake, "f": OtherTake} {
		require.Equal(t, want, relation(c("a"), c(other)), other)
	}
	require.True(t, Hard(Soon))
	first, later := c("a"), c("a") // both cuts of a clip have the clip's moment
	first.photo, later.photo = false, false
	require.Equal(t, Later, relation(first, later))
	require.NoError(t, os.WriteFile(path, []byte("file,scene,person,take,at\na,1,,x,0.5\nb,2,,x,1.5\nc,3,,,\n"), 0o644))
	got, err = families(path, []string{"a", "b", "c"})
	require.NoError(t, err)
	require.Equal(t, got["a"].family, got["b"].family, "one take is one family, whatever its scenes are called")
	require.NotEqual(t, got["a"].family, got["c"].family)
	for _, line := range []string{"a,1,ann,x,soon", "a,1,ann,x,-1", "a,1,ann,x,NaN", "a,1,ann,x,Inf", "a,1,ann,,2"} {
		require.NoError(t, os.WriteFile(path, []byte("file,scene,person,take,at\n"+line+"\n"), 0o644))
		_, err := families(path, []string{"a"})
		require.ErrorContains(t, err, "line 2: at is", line)
	}
}

func TestStretches(t *testing.T) {
	for _, c := range []struct{ have, want, first, later float64 }{{15, 5, 5, 5}, {7, 5, 3, 3}, {6, 5, 5, 0}, {3, 5, 3, 0}, {5, 2, 2, 2}} {
		first, later := stretches(c.have, c.want)
		require.Equal(t, []float64{c.first, c.later}, []float64{first, later}, "%+v", c)
	}
}

func TestMixes(t *testing.T) {
	for name, want := range map[string]bool{"pip": true, "splice": true, "insert": true, "combo3": true, "crop": false, "reverse": false, "": false} {
		require.Equal(t, want, Mixes(name), name)
	}
}
