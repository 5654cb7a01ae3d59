package spoof

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// pattern writes a second of a test pattern.
func pattern(t *testing.T, path, source string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source+"=size=96x64:rate=12:duration=2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestMakeASuite(t *testing.T) {
	clips, out := t.TempDir(), t.TempDir()
	pattern(t, filepath.Join(clips, "ann", "one.mp4"), "testsrc2")
	pattern(t, filepath.Join(clips, "bob__two.mp4"), "testsrc")
	calls, o := 0, Options{Clips: clips, Seed: 3, Species: []string{"phone_beside", "print_held"}, Seconds: 1}
	o.Progress = func(done, total int) {
		calls++
		require.Equal(t, calls, done)
		require.Equal(t, 2*(4+2), total, "four species of honest clips")
	}
	rows, err := Make(context.Background(), out, o)
	require.NoError(t, err)
	require.Len(t, rows, 12)
	sums := map[string]int64{}
	for _, r := range rows {
		info, err := os.Stat(filepath.Join(out, r.File))
		require.NoError(t, err)
		sums[r.File] = info.Size()
		require.Contains(t, []string{"ann", "bob"}, r.Person)
		require.Equal(t, r.Species == "real", r.Group == "")
	}
	require.Contains(t, sums, filepath.Join("fake", "phone_beside", "bob__two.mp4"))
	require.Contains(t, sums, filepath.Join("real", "ann__one__shaken.mp4"))
	read, err := ReadTable(out)
	require.NoError(t, err)
	require.Equal(t, rows, read)

	// A file of somebody else's is no part of it, wherever it lies, and a clip that cannot be read is named before anything is made.
	for _, name := range []string{"notes.txt", filepath.Join("real", "carl.mp4")} {
		require.NoError(t, os.WriteFile(filepath.Join(out, name), []byte("x"), 0o644))
		var foreign *ForeignError
		_, err = Make(context.Background(), out, o)
		require.ErrorAs(t, err, &foreign)
		require.Equal(t, name, foreign.File)
		require.NoError(t, os.Remove(filepath.Join(out, name)))
	}
	broken := filepath.Join(clips, "zoe.mp4")
	require.NoError(t, os.WriteFile(broken, []byte("x"), 0o644))
	var source *SourceError
	none := t.TempDir()
	_, err = Make(context.Background(), none, o)
	require.ErrorAs(t, err, &source)
	require.Equal(t, broken, source.Path)
	left, err := os.ReadDir(none)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, os.Remove(broken))

	// One more species leaves the others as they are, and so does making a file again.
	again := filepath.Join(out, "fake", "print_held", "ann__one.mp4")
	before, err := os.ReadFile(again)
	require.NoError(t, err)
	require.NoError(t, os.Remove(again))
	require.NoError(t, os.Remove(filepath.Join(clips, "bob__two.mp4")))
	o.Progress, o.Species = nil, []string{"print_held", "freeze"}
	_, err = Make(context.Background(), out, o)
	require.NoError(t, err)
	after, err := os.ReadFile(again)
	require.NoError(t, err)
	require.Equal(t, before, after)
	read, err = ReadTable(out)
	require.NoError(t, err)
	require.Len(t, read, 12+1, "what another run made stays in the list")
	for _, r := range rows {
		require.Contains(t, read, r)
	}
	require.NoError(t, os.Remove(filepath.Join(out, "fake", "phone_beside", "bob__two.mp4")))
	_, err = Make(context.Background(), out, o)
	require.NoError(t, err)
	read, err = ReadTable(out)
	require.NoError(t, err)
	require.Len(t, read, 12, "but what is gone does not")

	_, err = Make(context.Background(), out, Options{Clips: clips, Species: []string{"deepfake"}})
	require.ErrorContains(t, err, "no species is called deepfake; there are still,")
	_, err = Make(context.Background(), out, Options{Clips: t.TempDir()})
	require.ErrorContains(t, err, "no clips")
}

// flat is a film of grey pictures that get brighter.
func flat(w, h, n int) *film {
	f := &film{w: w, h: h, fps: 10}
	for i := range n {
		p := newPicture(w, h)
		for k := range p.pix {
			p.pix[k] = byte(100 + i)
		}
		f.frames = append(f.frames, p)
	}
	return f
}

func TestEverySpeciesDraws(t *testing.T) {
	for _, s := range append(append([]species{}, honest...), all...) {
		t.Run(s.name, func(t *testing.T) {
			f := flat(64, 48, 20)
			shot := s.make(take{r: rand.New(rand.NewPCG(1, 2)), film: f, second: flat(64, 48, 20), other: flat(80, 60, 20)})
			require.GreaterOrEqual(t, shot.n, 10)
			require.Positive(t, shot.fps)
			require.Zero(t, shot.w%2+shot.h%2, "H.264 wants even sides")
			for _, i := range []int{0, shot.n / 2, shot.n - 1} {
				p := shot.motion(i)
				require.Len(t, p.pix, shot.w*shot.h*3)
			}
		})
	}
}

func TestAPlaneMapsItsCorners(t *testing.T) {
	q := [4][2]float64{{10, 20}, {110, 25}, {105, 90}, {12, 80}}
	p := fromQuad(q)
	for i, want := range [4][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 1}} {
		u, v := p.uv(q[i][0], q[i][1])
		require.InDelta(t, want[0], u, 1e-9)
		require.InDelta(t, want[1], v, 1e-9)
	}
	straight := place(50, 40, 60, 20, 0, 0, 0, 100, 50, 40)
	u, v := straight.uv(50, 40)
	require.InDelta(t, 0.5, u, 1e-9)
	require.InDelta(t, 0.5, v, 1e-9)
	u, _ = straight.uv(80, 40)
	require.InDelta(t, 1, u, 1e-9)
}

func TestLoopsRepeatAndWavesAreSmooth(t *testing.T) {
	f := flat(64, 48, 40)
	got := repeated(take{film: f}, 1.5, 6)
	require.Len(t, got, 60)
	for i := range got[15:] {
		require.Equal(t, got[i].pix[0], got[i+15].pix[0])
	}
	w := newWave(rand.New(rand.NewPCG(4, 4)), 3, 4)
	last, most := w.at(0), 0.0
	for i := 1; i < 500; i++ {
		v := w.at(float64(i) / 100)
		require.Less(t, math.Abs(v-last), 1.5, "a hand does not jump")
		last, most = v, math.Max(most, math.Abs(v))
	}
	require.Greater(t, most, 1.0)
}
