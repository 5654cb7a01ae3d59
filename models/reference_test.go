package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reference is what another route gave on the same bytes: onnxruntime-node 1.30.0 in JavaScript with its own layout and decoding code; for
// the two models that we convert, the runtimes of their own formats (TensorFlow Lite in WebAssembly, tfjs-tflite 0.0.1-alpha.10;
// TensorFlow.js 4.22.0, backend cpu) with decoding in Python. The mean feature of object_detect, which TensorFlow Lite does not give, comes from
// a converter in Python with onnxruntime-node.
type reference struct {
	Patterns []struct {
		Task          Task
		Width, Height int
		Seed          uint32
		InputSHA256   string `json:"input_sha256"`
		Values        []float64
	}
	Pictures []struct {
		Task          Task
		Width, Height int
		Args          []string // of ffmpeg, which writes bgr24
		InputSHA256   string   `json:"input_sha256"`
		Values        []float64
		Text          string
	}
	Voice []struct {
		Seed    uint32
		Samples int
		Values  []float64
	}
}

func readReference(t *testing.T) reference {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	require.NoError(t, err)
	var r reference
	require.NoError(t, json.Unmarshal(data, &r))
	return r
}

// tolerance is how far the two routes may lie apart; angles and such above 1 relative to their size.
const tolerance = 1e-4

func requireNear(t *testing.T, want, got []float64) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.LessOrEqual(t, math.Abs(got[i]-want[i]), tolerance*max(1, math.Abs(want[i])), "value %d: want %v, got %v", i, want[i], got[i])
	}
}

// answer runs a task and flattens its answer in the order of the reference.
func answer(t *testing.T, s *Set, task Task, img Image) (values []float64, text string) {
	t.Helper()
	ctx := context.Background()
	add := func(vs ...float32) {
		for _, v := range vs {
			values = append(values, float64(v))
		}
	}
	switch task {
	case FaceDetect:
		boxes, err := s.DetectFaces(ctx, img)
		require.NoError(t, err)
		for _, b := range boxes {
			add(b.X1, b.Y1, b.X2, b.Y2, b.Score)
		}
	case FaceLandmark:
		points, err := s.Landmarks(ctx, img)
		require.NoError(t, err)
		for _, p := range points {
			add(p.X, p.Y)
		}
	case FaceEmbed:
		v, err := s.Embed(ctx, img)
		require.NoError(t, err)
		require.Len(t, v.V, 512)
		require.Equal(t, s.Ref(FaceEmbed).SHA256, v.Model)
		norm := 0.0
		for _, x := range v.V {
			norm += float64(x) * float64(x)
		}
		require.InDelta(t, 1, norm, 1e-5)
		add(v.V[:16]...)
	case Liveness:
		p, err := s.LiveScore(ctx, img)
		require.NoError(t, err)
		add(p)
	case EyeState:
		p, err := s.EyeOpen(ctx, img)
		require.NoError(t, err)
		add(p)
	case HeadPose:
		p, err := s.HeadPose(ctx, img)
		require.NoError(t, err)
		add(p.Yaw, p.Pitch, p.Roll)
	case TextDetect:
		m, err := s.TextMap(ctx, img)
		require.NoError(t, err)
		require.Equal(t, []int{img.W, img.H, img.W * img.H}, []int{m.W, m.H, len(m.P)})
		sum, top := 0.0, float32(0)
		for _, p := range m.P {
			sum += float64(p)
			top = max(top, p)
		}
		values = append(values, sum/float64(len(m.P)))
		add(top, m.P[1234])
	case TextRecognize:
		r, err := s.ReadText(ctx, img)
		require.NoError(t, err)
		add(r.Confidence)
		text = r.Text
	case ObjectDetect:
		o, err := s.DetectObjects(ctx, img)
		require.NoError(t, err)
		require.Len(t, o.Mean, 576)
		add(o.Scores...)
		add(o.Mean[:16]...)
		add(flat(o.Found)...)
	case SceneEmbed:
		v, o, err := s.EmbedScene(ctx, img)
		require.NoError(t, err)
		require.Len(t, v.V, 528)
		require.Equal(t, s.Ref(SceneEmbed).SHA256, v.Model)
		add(o.Scores...)
		add(v.V[:32]...)
		add(flat(o.Found)...)
	default:
		require.Fail(t, "no answer for task", string(task))
	}
	return values, text
}

// flat gives class, score and corners of each detection.
func flat(found []Detection) []float32 {
	var out []float32
	for _, d := range found {
		out = append(out, float32(d.Class), d.Score, d.X1, d.Y1, d.X2, d.Y2)
	}
	return out
}

func TestPatternsMatchTheReference(t *testing.T) {
	s := open(t)
	for _, c := range readReference(t).Patterns {
		t.Run(string(c.Task), func(t *testing.T) {
			img := Pattern(c.Width, c.Height, 3, c.Seed)
			sum := sha256.Sum256(img.Pix)
			require.Equal(t, c.InputSHA256, hex.EncodeToString(sum[:]), "the generated picture")
			got, _ := answer(t, s, c.Task, img)
			requireNear(t, c.Values, got)
		})
	}
}

// The real pictures and the rendered signs are made by Debian's ffmpeg in both routes.
func TestPicturesMatchTheReference(t *testing.T) {
	s := open(t)
	dir := footage(t)
	for _, c := range readReference(t).Pictures {
		t.Run(string(c.Task), func(t *testing.T) {
			args := []string{"-v", "error", "-nostdin"}
			for _, a := range c.Args {
				args = append(args, strings.Replace(a, "MEDIA/", dir+"/", 1))
			}
			args = append(args, "-f", "rawvideo", "-pix_fmt", "bgr24", "-")
			pix, err := exec.Command("ffmpeg", args...).Output()
			require.NoError(t, err, "ffmpeg %v", args)
			sum := sha256.Sum256(pix)
			require.Equal(t, c.InputSHA256, hex.EncodeToString(sum[:]), "ffmpeg gives other pixels here than where the reference was made: %v", args)
			got, text := answer(t, s, c.Task, Image{Pix: pix, W: c.Width, H: c.Height, C: 3})
			requireNear(t, c.Values, got)
			require.Equal(t, c.Text, text)
		})
	}
}

func TestVoiceMatchesTheReference(t *testing.T) {
	s := open(t, VoiceActivity)
	for _, c := range readReference(t).Voice {
		got, err := s.VoiceActivity(t.Context(), PatternSound(c.Samples, c.Seed))
		require.NoError(t, err)
		values := make([]float64, len(got))
		for i, p := range got {
			values[i] = float64(p)
		}
		requireNear(t, c.Values, values)
	}
}

func TestGoldenSamples(t *testing.T) {
	s := open(t)
	for _, task := range s.Tasks() {
		require.NoError(t, s.Check(t.Context(), task))
	}
	require.Empty(t, s.Refs(), "a check is not use")
}
