package liveness

import (
	"context"
	"errors"
	"image"
	"image/color"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// grey is a fake model: its live score is read from the face's red channel (0..255 is 0..1), so that a test paints what it wants to hear.
type grey struct {
	calls int
	fail  error
}

func (*grey) InputSize(models.Task) (int, int) { return 128, 128 }

func (g *grey) LiveScore(_ context.Context, im models.Image) (float32, error) {
	g.calls++
	if g.fail != nil {
		return 0, g.fail
	}
	i := (im.H/2*im.W + im.W/2) * 3
	return float32(im.Pix[i+2]) / 255, nil
}

// person is one face in a painted clip.
type person struct {
	live  []float64 // per frame; below 0: not in view
	size  int
	x     int
	light uint8 // of blue and green
	yaw   float32
}

// painted makes a clip of 640 x 480 frames with the given people, and what face.Find would say about it.
func painted(t *testing.T, kind media.Kind, frames int, people ...person) (*media.Clip, face.Found) {
	t.Helper()
	clip := &media.Clip{Info: media.Info{Kind: kind}}
	t.Cleanup(clip.Close)
	found := face.Found{Tracks: make([]face.Track, len(people))}
	for i := range frames {
		m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(90, 90, 90, 0), 480, 640, gocv.MatTypeCV8UC3)
		for _, at := range []image.Point{{0, 0}, {600, 0}, {0, 440}, {600, 440}} { // a room is not of one colour
			require.NoError(t, gocv.Rectangle(&m, image.Rectangle{at, at.Add(image.Pt(40, 40))}, color.RGBA{R: 70, G: 80, B: 75}, -1))
		}
		ff := face.FrameFaces{Index: i * 10, PTS: time.Duration(i) * time.Second, W: 640, H: 480}
		for p, who := range people {
			if i >= len(who.live) || who.live[i] < 0 {
				continue
			}
			box := image.Rect(who.x, 150, who.x+who.size, 150+who.size)
			require.NoError(t, gocv.Rectangle(&m, box, color.RGBA{R: uint8(who.live[i] * 255), G: who.light, B: who.light}, -1))
			found.Tracks[p].Spots = append(found.Tracks[p].Spots, face.Spot{Frame: i, Face: len(ff.Faces)})
			ff.Faces = append(ff.Faces, face.Face{Box: box, Track: p, Pose: models.Pose{Yaw: who.yaw}})
		}
		found.Frames = append(found.Frames, ff)
		clip.Frames = append(clip.Frames, media.Frame{Index: i * 10, Image: m})
	}
	return clip, found
}

func same(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// Five of many faces must weigh half of what ten must: fewer are asked to spare time, not because there is less to see.
func TestSmallFacesWeighOverTheWholeTime(t *testing.T) {
	for n, want := range map[int]pipeline.Outcome{5: pipeline.Uncertain, 10: pipeline.Pass, 12: pipeline.Pass} { // faces in view
		clip, found := painted(t, media.Video, n, person{live: same(0.9, n), size: 42, x: 240, light: 120})
		got, err := Check(t.Context(), &grey{}, clip, found, &Track{}, DefaultConfig())
		require.NoError(t, err)
		require.Equal(t, want, got.Detail["votes"], "%d: %v", n, got.Detail)
		require.Less(t, got.Detail["weight"], 0.8)
	}
}

func TestCheckClipsUnraced(t *testing.T) {
	live := person{live: same(0.95, 10), size: 120, x: 240, light: 120}
	cases := []struct {
		name    string
		people  []person
		outcome pipeline.Outcome
		code    pipeline.Code
		lacking string
		near    bool
	}{
		{"a live person", []person{live}, pipeline.Pass, "", "", false},
		{"four bad frames of ten do not decide", []person{{live: []float64{0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9}, size: 120, x: 240, light: 120}}, pipeline.Pass, "", "", false},
		{"a print", []person{{live: same(0.1, 10), size: 120, x: 240, light: 120}}, pipeline.Fail, pipeline.SpoofSuspected, "", false},
		{"just below the threshold", []person{{live: same(0.48, 10), size: 120, x: 240, light: 120}}, pipeline.Uncertain, pipeline.LivenessUncertain, LackSure, true},
		{"clearly below", []person{{live: same(0.3, 10), size: 120, x: 240, light: 120}}, pipeline.Uncertain, pipeline.LivenessUncertain, LackSure, false},
		{"a phone beside the live person", []person{live, {live: same(0.05, 10), size: 90, x: 20, light: 120}}, pipeline.Fail, pipeline.SpoofSuspected, "", false},
		{"a doubtful poster beside the live person", []person{live, {live: same(0.4, 10), size: 90, x: 20, light: 120}}, pipeline.Pass, "", "", false},
		{"a small face far behind is nobody's business", []person{live, {live: same(0.05, 10), size: 45, x: 20, light: 120}}, pipeline.Pass, "", "", false},
		{"a picture seen for one frame", []person{live, {live: []float64{0.05}, size: 90, x: 20, light: 120}}, pipeline.Pass, "", "", false},
		{"too dark to say", []person{{live: same(0.1, 10), size: 120, x: 240, light: 20}}, pipeline.Uncertain, pipeline.LivenessUncertain, "dark", false},
		{"too small to say", []person{{live: same(0.1, 10), size: 20, x: 240, light: 120}}, pipeline.Uncertain, pipeline.LivenessUncertain, "small", false},
		{"one frame of a clip is too few", []person{{live: []float64{0.9}, size: 120, x: 240, light: 120}}, pipeline.Uncertain, pipeline.LivenessUncertain, "few", false},
		{"turned away all the time", []person{{live: same(0.9, 10), size: 120, x: 240, light: 120, yaw: 80}}, pipeline.Uncertain, pipeline.LivenessUncertain, "small", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			clip, found := painted(t, media.Video, 10, c.people...)
			got, err := Check(context.Background(), &grey{}, clip, found, &Track{}, DefaultConfig())
			require.NoError(t, err)
			require.Equal(t, c.outcome, got.Outcome, "%v", got.Detail)
			require.Equal(t, "model_votes", got.Detail["basis"])
			require.Equal(t, c.near, got.Near)
			if c.code == "" {
				require.Empty(t, got.Findings)
				return
			}
			require.Len(t, got.Findings, 1)
			require.Equal(t, c.code, got.Findings[0].Code)
			require.False(t, got.Findings[0].Certain)
			if c.lacking != "" {
				require.Equal(t, c.lacking, got.Detail["lacking"])
			}
		})
	}
}

func TestEvidencePointsToTheLeastLiveFaces(t *testing.T) {
	clip, found := painted(t, media.Video, 6,
		person{live: same(0.9, 6), size: 120, x: 300, light: 120},
		person{live: []float64{0.1, 0.1, 0.0, 0.1, 0.05, 0.1}, size: 100, x: 20, light: 120})
	got, err := Check(context.Background(), &grey{}, clip, found, &Track{}, DefaultConfig())
	require.NoError(t, err)
	require.Len(t, got.Findings, 1)
	ev := got.Findings[0].Evidence
	require.Len(t, ev, shown)
	require.Equal(t, 20, *ev[0].Keyframe, "the index of the frame, not its place")
	require.Equal(t, 40, *ev[1].Keyframe)
	require.Equal(t, pipeline.Box{X: 20, Y: 150, W: 100, H: 100}, *ev[0].Box)
	require.InDelta(t, 0, *ev[0].Score, 0.01)
	require.InDelta(t, 0.2, *ev[0].Threshold, 1e-9)
	require.Equal(t, "other_face", ev[0].Label)
	require.InDelta(t, 0.1, *got.Score, 0.01, "the score that decided is shown")
	require.InDelta(t, 0.2, *got.Threshold, 1e-9)
}

func TestLargeBrightFacesWeighMore(t *testing.T) {
	clip, found := painted(t, media.Video, 5, person{live: []float64{0.9, 0.9, 0.1, 0.1, 0.1}, size: 120, x: 240, light: 120})
	for i := 2; i < 5; i++ { // the three bad votes come from small faces
		f := &found.Frames[i].Faces[0]
		f.Box = image.Rect(280, 190, 322, 232)
	}
	got, err := Check(context.Background(), &grey{}, clip, found, &Track{}, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, got.Outcome)
	require.InDelta(t, 0.9, got.Detail["votes_score"], 0.01, "the small ones hardly count")
}

func TestPhotos(t *testing.T) {
	for _, c := range []struct {
		live    float64
		outcome pipeline.Outcome
	}{{0.9, pipeline.Pass}, {0.4, pipeline.Uncertain}, {0.1, pipeline.Fail}} {
		clip, found := painted(t, media.Photo, 1, person{live: []float64{c.live}, size: 120, x: 240, light: 120})
		got, err := Check(context.Background(), &grey{}, clip, found, &Track{}, DefaultConfig())
		require.NoError(t, err)
		require.Equal(t, c.outcome, got.Outcome)
		require.Equal(t, "single_frame", got.Detail["basis"])
		require.Equal(t, 1, got.Frames)
	}
}

func TestAPhotoWithoutSurroundingsIsNotCalledASpoof(t *testing.T) {
	for _, c := range []struct {
		live    float64
		outcome pipeline.Outcome
	}{{0.1, pipeline.Uncertain}, {0.9, pipeline.Pass}} {
		clip, found := painted(t, media.Photo, 1, person{live: []float64{c.live}, size: 300, x: 100, light: 120})
		found.Frames[0].Faces[0].Box = image.Rect(100, 20, 540, 460) // the picture is 480 high
		got, err := Check(context.Background(), &grey{}, clip, found, &Track{}, DefaultConfig())
		require.NoError(t, err)
		require.Equal(t, c.outcome, got.Outcome, "%v", got.Detail)
	}
}

func TestAPolicyMayLowerTheThresholdAlone(t *testing.T) {
	clip, found := painted(t, media.Video, 5, person{live: same(0.25, 5), size: 120, x: 240, light: 120})
	cfg := DefaultConfig()
	cfg.Threshold = 0.2
	got, err := Check(context.Background(), &grey{}, clip, found, &Track{}, cfg)
	require.NoError(t, err)
	require.Equal(t, pipeline.Pass, got.Outcome)
}

func TestNoFaceIsNotChecked(t *testing.T) {
	clip, _ := painted(t, media.Video, 2)
	m := &grey{}
	got, err := Check(context.Background(), m, clip, face.Found{Frames: make([]face.FrameFaces, 2)}, &Track{}, DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, pipeline.NotChecked, got.Outcome)
	require.Equal(t, "no_face", got.Why)
	require.Zero(t, m.calls)
}

func TestTheModelIsCalledWithinItsBudget(t *testing.T) {
	everybody := []person{}
	for i := range 4 {
		everybody = append(everybody, person{live: same(0.9, 60), size: 110, x: 10 + 150*i, light: 120})
	}
	clip, found := painted(t, media.Video, 60, everybody...)
	m := &grey{}
	cfg := DefaultConfig()
	got, err := Check(context.Background(), m, clip, found, &Track{}, cfg)
	require.NoError(t, err)
	require.Equal(t, cfg.MaxVotes, got.Frames)
	require.LessOrEqual(t, m.calls, cfg.MaxVotes+cfg.MaxOthers)
	require.Len(t, got.Detail["others"], 3, "everybody in front is looked at")
}

func TestModelErrorsSayWhere(t *testing.T) {
	clip, found := painted(t, media.Video, 3, person{live: same(0.9, 3), size: 120, x: 240, light: 120})
	broken := errors.New("no memory")
	_, err := Check(context.Background(), &grey{fail: broken}, clip, found, &Track{}, DefaultConfig())
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "frame 0")
}

func TestSquareStaysInsideThePicture(t *testing.T) {
	for _, c := range []struct{ box, want image.Rectangle }{
		{image.Rect(300, 200, 380, 300), image.Rect(240, 150, 440, 350)},
		{image.Rect(0, 0, 80, 100), image.Rect(0, 0, 200, 200)},
		{image.Rect(560, 380, 640, 480), image.Rect(440, 280, 640, 480)},
		{image.Rect(100, 50, 500, 450), image.Rect(60, 0, 540, 480)}, // twice 400 is more than the picture is high
	} {
		require.Equal(t, c.want, square(c.box, 2, 640, 480), "%v", c.box)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, cfg.Validate())
	cfg.Threshold, cfg.Crop, cfg.MinVotes = 1.5, 9, 0
	err := cfg.Validate()
	require.ErrorContains(t, err, "threshold")
	require.ErrorContains(t, err, "crop")
	require.ErrorContains(t, err, "min_votes")
	_, err = Check(context.Background(), &grey{}, &media.Clip{}, face.Found{}, &Track{}, cfg)
	require.Error(t, err)
}
