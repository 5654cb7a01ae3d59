package face

import (
	"context"
	"image"
	"testing"

	"github.com/stretchr/testify/require"
)

func find(t *testing.T, w, h int, frames ...[]person) Found {
	t.Helper()
	found, err := New(&fakeModels{}, DefaultConfig()).Find(context.Background(), fakeClipOf(t, w, h, frames...))
	require.NoError(t, err)
	return found
}

func TestTilesCoverThePictureWithOverlap(t *testing.T) {
	for _, size := range []image.Point{{1920, 1080}, {1080, 1920}, {640, 480}, {1000, 1000}, {150, 150}, {2000, 300}} {
		for _, share := range DefaultConfig().Tiles {
			all := tiles(size.X, size.Y, share)
			whole := image.Rect(0, 0, size.X, size.Y)
			// A face of a fifth of a tile, wherever it is, lies whole in one tile.
			side := all[0].Dy() / 5
			for y := 0; y+side <= size.Y; y += max(side/2, 1) {
				for x := 0; x+side <= size.X; x += max(side/2, 1) {
					face, inOne := image.Rect(x, y, x+side, y+side), false
					for _, tile := range all {
						require.True(t, tile.In(whole.Inset(-1)))
						inOne = inOne || face.In(tile.Inset(-1))
					}
					require.True(t, inOne, "%v in %v at %v", face, size, share)
				}
			}
		}
	}
}

func TestMergeKeepsOneBoxOfAFace(t *testing.T) {
	a := box{0, 0, 100, 100, 0.9}
	near := box{10, 10, 110, 110, 0.95}
	within := box{20, 20, 60, 60, 0.7}
	other := box{200, 0, 300, 100, 0.8}
	require.Equal(t, []box{near, other}, merge([]box{a, near, within, other}, 0.4))
	require.Empty(t, merge(nil, 0.4))
}

func TestSmallFacesOfAPhotoAreFoundInTiles(t *testing.T) {
	small := at(1500, 300, 36) // 8 pixels high at the detector's input: lost in the first pass
	found := find(t, 1920, 1080, []person{{who: 1, at: small}})
	require.Len(t, found.Frames[0].Faces, 1)
	require.Greater(t, iou(found.Frames[0].Faces[0].Box, small), 0.8)
}

func TestSmallFacesOfAClipAreFoundWhenThereAreNoOthers(t *testing.T) {
	small := person{who: 1, at: at(1500, 300, 42)}
	found := find(t, 1920, 1080, still(10, small)...)
	require.Len(t, found.Tracks, 1)
	require.Len(t, found.Tracks[0].Spots, DefaultConfig().MaxTiledFrames)

	withLarge := find(t, 1920, 1080, still(3, small, person{who: 2, at: at(600, 600, 400)})...)
	require.Len(t, withLarge.Tracks, 1, "no tiles where a large face was found")
}

func TestSweepFindsThePeopleToBlur(t *testing.T) {
	small, large := at(1500, 300, 36), at(600, 600, 400)
	clip := fakeClipOf(t, 1920, 1080, still(3, person{who: 2, at: small}, person{who: 1, at: large})...)
	m := New(&fakeModels{}, DefaultConfig())
	found, err := m.Find(context.Background(), clip)
	require.NoError(t, err)
	require.Empty(t, found.Others(1))
	require.NoError(t, m.Sweep(context.Background(), clip, &found, 1))
	others := found.Others(1)
	require.Len(t, others, 1)
	require.True(t, small.In(others[0]), "%v covers %v", others[0], small)
	require.Empty(t, found.Others(2))
	require.NoError(t, m.Sweep(context.Background(), clip, &found, 1))
	require.Len(t, found.Others(1), 1, "a second look adds nothing")
	require.Error(t, m.Sweep(context.Background(), clip, &found, 77))
}

func TestWhatIsOnTheHeadIsNobodyElse(t *testing.T) {
	face := &Face{Box: image.Rect(100, 100, 300, 400)}
	small := func(x, y int) image.Rectangle { return image.Rect(x-20, y-30, x+20, y+30) }
	for name, on := range map[string]image.Point{"ear": {75, 280}, "other ear": {325, 280}, "chin": {200, 395}, "hair": {210, 60}} {
		require.True(t, ofHead(face, small(on.X, on.Y)), name)
	}
	for name, off := range map[string]image.Point{
		"beside": {50, 280}, "above": {200, 20}, "below": {200, 480}, "over the shoulder": {300, 410}, "the other": {100, 410}, "beside the crown": {310, 110}, "and left": {90, 110},
	} {
		require.False(t, ofHead(face, small(off.X, off.Y)), name)
	}
	require.True(t, ofHead(face, image.Rect(110, 100, 230, 260)), "the left half of the forehead")
	require.False(t, ofHead(face, image.Rect(250, 150, 370, 330)), "a child next to it")
	require.False(t, ofHead(face, image.Rect(150, 150, 300, 360)), "nearly as large")
	require.False(t, ofHead(nil, small(200, 300)), "nobody in front")
}

func TestTracksFollowPeopleWhoMove(t *testing.T) {
	var frames [][]person
	for i := range 8 {
		frames = append(frames, []person{{who: 1, at: at(150+40*i, 240, 160)}, {who: 2, at: at(560, 100+15*i, 60)}})
	}
	found := find(t, 640, 480, frames...)
	require.Len(t, found.Tracks, 2)
	require.Len(t, found.Tracks[0].Spots, 8)
	require.Len(t, found.Tracks[1].Spots, 8)
	require.Equal(t, 0, found.Subject())
	require.Greater(t, found.Tracks[0].Prominence, found.Tracks[1].Prominence)
	for i := range frames {
		require.InDelta(t, 160, found.SubjectIn(i).Box.Dy(), 8)
		others := found.Others(i)
		require.Len(t, others, 1)
		require.True(t, at(560, 100+15*i, 60).In(others[0]))
		require.Len(t, found.All(i), 2)
	}
	require.Nil(t, found.SubjectIn(99))
}

func TestSubjectIsTheOneInFrontWhoeverItIs(t *testing.T) {
	// Person 1 is large but only passes; person 2 is in view all the time.
	frames := still(9, person{who: 2, at: at(320, 240, 120)})
	frames[4] = append([]person{{who: 1, at: at(540, 360, 200)}}, frames[4]...)
	found := find(t, 640, 480, frames...)
	require.InDelta(t, 120, found.SubjectIn(0).Box.Dy(), 8)
}

func TestSomebodyWhoCameBackIsOneTrack(t *testing.T) {
	frames := append(append(still(3, person{who: 1, at: at(150, 150, 160)}), still(6)...), still(3, person{who: 1, at: at(500, 330, 160)})...)
	found := find(t, 640, 480, frames...)
	require.Len(t, found.Tracks, 1)
	require.Len(t, found.Tracks[0].Spots, 6)

	frames = append(append(still(3, person{who: 1, at: at(150, 150, 160)}), still(6)...), still(3, person{who: 2, at: at(500, 330, 160)})...)
	found = find(t, 640, 480, frames...)
	require.Len(t, found.Tracks, 2)
}

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	c.Threshold, c.MaxFrames, c.Tiles = 2, 1, []float64{0}
	err := c.Validate()
	require.ErrorContains(t, err, "face.threshold")
	require.ErrorContains(t, err, "face.max_frames")
	require.ErrorContains(t, err, "face.tiles")
}
