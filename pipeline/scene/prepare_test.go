package scene

import (
	"context"
	"errors"
	"image"
	"testing"

	"github.com/stretchr/testify/require"
	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

func TestPrepareRefusesWhatCannotBeFoundAgain(t *testing.T) {
	a := album{"good": drawn(t, 600, 400, 1), "plain": blank(t, 600, 400)}
	ref := func(photo string, crop *pipeline.Box) pipeline.Reference {
		return pipeline.Reference{Kind: pipeline.RefLogo, Name: photo, Media: pipeline.File(photo), Crop: crop}
	}
	_, err := Prepare(context.Background(), &pipeline.Site{ID: "s", References: []pipeline.Reference{
		ref("good", nil), ref("plain", nil), ref("broken", nil), ref("good", &pipeline.Box{X: 500, Y: 10, W: 200, H: 100}),
		ref("good", &pipeline.Box{X: 5, Y: 10, W: 20, H: 100}), {Kind: "door", Name: "d", Media: pipeline.File("good")}, {Kind: pipeline.RefLogo, Name: "none"},
	}}, a.decode)
	var bad *SiteError
	require.ErrorAs(t, err, &bad)
	var got []Trouble
	for _, p := range bad.Problems {
		got = append(got, p.Trouble)
	}
	require.Equal(t, []Trouble{LittleTexture, UnreadPhoto, BadCrop, BadCrop, UnknownKind, MissingPhoto}, got)
	require.Contains(t, err.Error(), `references[1].photo "plain": this logo crop has too little texture; take the picture from nearer, or crop a part with more detail (0 stable keypoints; 12 are needed`)
	require.Contains(t, bad.Text().ZH, "该标志参考图的纹理太少")
	for _, p := range bad.Problems {
		if p.Trouble != UnreadPhoto || p.Value != "broken" { // its words are the fake decoder's
			noEnglish(t, p.Text.ZH)
		}
	}
	for _, e := range Elements {
		require.Regexp(t, `^\p{Han}+$`, namesZH[e], e)
	}
}

func TestPrepareOtherErrors(t *testing.T) {
	site := &pipeline.Site{ID: "s", References: []pipeline.Reference{logo("x")}}
	gone := errors.New("gone")
	_, err := Prepare(context.Background(), site, func(context.Context, pipeline.Media) (*media.Clip, error) { return nil, gone })
	require.ErrorIs(t, err, gone)
	var bad *SiteError
	require.NotErrorAs(t, err, &bad, "a machine's error is not the site's")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Prepare(ctx, site, func(context.Context, pipeline.Media) (*media.Clip, error) { return nil, gone })
	require.ErrorIs(t, err, context.Canceled)

	_, err = Prepare(context.Background(), site, func(context.Context, pipeline.Media) (*media.Clip, error) { return nil, media.ErrUnreadable })
	require.ErrorAs(t, err, &bad)
	require.Equal(t, MissingPhoto, bad.Problems[0].Trouble)

	_, err = Prepare(context.Background(), nil, nil)
	require.Error(t, err)
}

// A photo larger than the decoder gives is scaled down; its crop with it.
func TestCropFollowsTheDecodedSize(t *testing.T) {
	m := blank(t, 1000, 500)
	r, problem := cropOf(&pipeline.Box{X: 2000, Y: 400, W: 1000, H: 800}, media.Info{Width: 4000, Height: 2000}, m)
	require.Nil(t, problem)
	require.Equal(t, "(500,100)-(750,300)", r.String())
}

func TestPickTakesSharpDifferentFrames(t *testing.T) {
	a, b, c := drawn(t, 640, 360, 1), drawn(t, 640, 360, 2), drawn(t, 640, 360, 3)
	blurred := gocv.NewMat()
	defer blurred.Close()
	require.NoError(t, gocv.GaussianBlur(c, &blurred, image.Pt(0, 0), 6, 0, gocv.BorderDefault))
	near := a.Clone()
	defer near.Close()
	require.NoError(t, near.ConvertToWithParams(&near, gocv.MatTypeCV8UC3, .97, 3))
	picks, err := pick(clipOf(near, blurred, b, a, near).Frames, 4)
	require.NoError(t, err)
	var got []int
	for _, f := range picks {
		got = append(got, f.Index)
	}
	require.ElementsMatch(t, []int{2, 3}, got, "the same view once, the blurred one not at all")
	picks, err = pick(nil, 4)
	require.NoError(t, err)
	require.Empty(t, picks)
}

func BenchmarkKeypoints(b *testing.B) {
	m := drawn(b, 1280, 720, 1)
	cfg := DefaultConfig()
	for b.Loop() {
		k, err := at(m, cfg.FrameSide, cfg.FrameKeypoints)
		require.NoError(b, err)
		k.close()
	}
}

func BenchmarkMatchPlane(b *testing.B) {
	picture, wall := drawn(b, 600, 400, 1), drawn(b, 1280, 720, 2)
	hang(b, wall, picture, aslant)
	r, err := enrol(picture)
	require.NoError(b, err)
	defer r.close()
	cfg := DefaultConfig()
	k, err := at(wall, cfg.FrameSide, cfg.FrameKeypoints)
	require.NoError(b, err)
	defer k.close()
	for b.Loop() {
		matchPlane(&r.plain, &k, r.w, r.h, 2*reprojectionPixels)
	}
}
