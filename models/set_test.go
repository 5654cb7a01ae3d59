package models

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpenRefuses(t *testing.T) {
	good := DefaultOptions()

	o := good
	o.Dir = t.TempDir()
	_, err := Open(o)
	var missing *MissingError
	require.ErrorAs(t, err, &missing)
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, w := range []string{"fr_detect.onnx", "silero_vad_v5.onnx", "ppocr_keys_v1.txt", "make setup", "onsite models install"} {
		require.ErrorContains(t, err, w)
	}

	o = good
	o.Library = filepath.Join(t.TempDir(), LibraryFile)
	_, err = Open(o)
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "ONNX Runtime")
	require.ErrorContains(t, err, Fix)

	o = good
	o.Tasks = []Task{FaceDetect, "dance"}
	_, err = Open(o)
	require.ErrorContains(t, err, `no manifest for task "dance"`)

	open(t, EyeState)
	other := filepath.Join(t.TempDir(), LibraryFile)
	require.NoError(t, os.WriteFile(other, []byte("not a library"), 0o600))
	o = good
	o.Library = other
	_, err = Open(o)
	require.ErrorContains(t, err, "only one")
	require.Equal(t, "1.30.0", RuntimeVersion())
}

// copyModel puts one model with its manifest into a folder of extra models, changed by edit.
func copyModel(t *testing.T, file, manifestName string, edit func(yaml string, model []byte) (string, []byte)) string {
	t.Helper()
	dir := t.TempDir()
	model, err := os.ReadFile(filepath.Join(DefaultOptions().Dir, file))
	require.NoError(t, err)
	yaml, err := os.ReadFile(filepath.Join("manifest", "builtin", manifestName))
	require.NoError(t, err)
	text, model := edit(string(yaml), model)
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), model, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), []byte(text), 0o600))
	return dir
}

func TestWrongChecksumStopsWithBothValues(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{EyeState}
	o.Manifests = copyModel(t, "fr_eye.onnx", "eye_state.yaml", func(yaml string, model []byte) (string, []byte) {
		model[len(model)/2] ^= 1
		return yaml, model
	})
	s, err := Open(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.EyeOpen(t.Context(), Pattern(24, 24, 1, 1))
	var wrong *ChecksumError
	require.ErrorAs(t, err, &wrong)
	want := s.Ref(EyeState).SHA256
	require.Equal(t, want, wrong.Want)
	require.NotEqual(t, wrong.Want, wrong.Got)
	require.ErrorContains(t, err, wrong.Want)
	require.ErrorContains(t, err, wrong.Got)
	require.Empty(t, s.Refs())

	require.NoError(t, os.WriteFile(wrong.Path, []byte("short"), 0o600))
	_, err = Open(o)
	require.ErrorContains(t, err, "has 5 bytes, the manifest says 207130")
}

func TestExtraManifestReplacesTheBuiltIn(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{EyeState, FaceLandmark}
	o.Manifests = copyModel(t, "fr_eye.onnx", "eye_state.yaml", func(yaml string, model []byte) (string, []byte) {
		yaml = strings.Replace(yaml, "name: faceplugin-eye", "name: mine", 1)
		return strings.Replace(yaml, "norm: ", "norm: 1", 1), model
	})
	s, err := Open(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.Equal(t, "mine", s.Ref(EyeState).Name)
	require.Equal(t, []Task{EyeState, FaceLandmark}, s.Tasks())
	require.ErrorContains(t, s.Check(t.Context(), EyeState), "golden sample pattern: output output has the norm")
	require.ErrorContains(t, s.Check(t.Context(), FaceDetect), "not opened")
	_, err = s.DetectFaces(t.Context(), Pattern(320, 240, 3, 1))
	require.ErrorContains(t, err, "not opened")
}

func TestModelThatIsNotWhatTheManifestSays(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{EyeState}
	o.Manifests = copyModel(t, "fr_eye.onnx", "eye_state.yaml", func(yaml string, model []byte) (string, []byte) {
		return strings.ReplaceAll(yaml, "width: 24", "width: 32"), model
	})
	s, err := Open(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for range 3 { // an error must give its slot back
		_, err = s.EyeOpen(t.Context(), Pattern(32, 24, 1, 1))
		require.ErrorContains(t, err, "run model eye_state")
	}
}

func TestWrongInputs(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	detect := func(i Image) error { _, err := s.DetectFaces(ctx, i); return err }
	eye := func(i Image) error { _, err := s.EyeOpen(ctx, i); return err }
	text := func(i Image) error { _, err := s.TextMap(ctx, i); return err }
	read := func(i Image) error { _, err := s.ReadText(ctx, i); return err }
	cases := []struct {
		run  func(Image) error
		img  Image
		want string
	}{
		{detect, Image{}, "0 channels"},
		{detect, Pattern(320, 240, 1, 1), "1 channels, want 3"},
		{detect, Pattern(321, 240, 3, 1), "321 pixels wide, want 320"},
		{detect, Pattern(320, 241, 3, 1), "241 pixels high, want 240"},
		{detect, Image{Pix: make([]byte, 10), W: 320, H: 240, C: 3}, "10 bytes, want 230400"},
		{detect, Image{W: -1, H: -1, C: 3}, "-1 x -1"},
		{eye, Pattern(24, 24, 4, 1), "4 channels, want 1 (grey) or 3 (BGR)"},
		{text, Pattern(100, 64, 3, 1), "100 pixels wide, want a multiple of 32"},
		{text, Image{Pix: make([]byte, 1952*32*3), W: 1952, H: 32, C: 3}, "the limit is 1920"},
		{read, Pattern(100, 47, 3, 1), "47 pixels high, want 48"},
		{read, Image{Pix: make([]byte, 3201*48*3), W: 3201, H: 48, C: 3}, "the limit is 3200"},
	}
	for _, c := range cases {
		err := c.run(c.img)
		var wrong *InputError
		require.ErrorAs(t, err, &wrong)
		require.ErrorContains(t, err, c.want)
	}
	_, err := s.VoiceActivity(ctx, make([]float32, maxPCM+1))
	require.ErrorContains(t, err, "the limit is")
	short, err := s.VoiceActivity(ctx, make([]float32, 511))
	require.NoError(t, err)
	require.Empty(t, short)
	require.Empty(t, s.Refs(), "nothing ran")
}

func TestGreyAndBGRAgree(t *testing.T) {
	s := open(t, FaceLandmark)
	grey := Pattern(64, 64, 1, 5)
	bgr := Image{W: 64, H: 64, C: 3}
	for _, v := range grey.Pix {
		bgr.Pix = append(bgr.Pix, v, v, v)
	}
	a, err := s.Landmarks(t.Context(), grey)
	require.NoError(t, err)
	b, err := s.Landmarks(t.Context(), bgr)
	require.NoError(t, err)
	for i := range a {
		require.InDelta(t, a[i].X, b[i].X, 1e-5)
		require.InDelta(t, a[i].Y, b[i].Y, 1e-5)
	}
}

// The slots keep tensors between calls: nothing of a wide line may be left in a narrow one, or of one sound in the next.
func TestCallsDoNotSeeEachOther(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{TextRecognize, TextDetect, VoiceActivity}
	o.Parallel = 1
	s, err := Open(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	ctx := t.Context()
	all := func(seed uint32) (r [2]Reading, m [2]ProbMap, v []float32) {
		for i, w := range []int{101, 160} {
			r[i], err = s.ReadText(ctx, Pattern(w, 48, 3, seed))
			require.NoError(t, err)
			m[i], err = s.TextMap(ctx, Pattern(64+32*i, 96-32*i, 3, seed))
			require.NoError(t, err)
		}
		v, err = s.VoiceActivity(ctx, PatternSound(5000, seed))
		require.NoError(t, err)
		return r, m, v
	}
	r1, m1, v1 := all(1)
	all(2)
	r2, m2, v2 := all(1)
	require.Equal(t, r1, r2)
	require.Equal(t, m1, m2)
	require.Equal(t, v1, v2)
	require.Len(t, v1, 9)
}

func TestManyGoroutinesGetTheSameBits(t *testing.T) {
	s := open(t, FaceDetect, FaceEmbed, TextDetect)
	ctx := t.Context()
	want, err := s.Embed(ctx, Pattern(112, 112, 3, 9))
	require.NoError(t, err)
	const callers, rounds = 16, 2
	errs := make(chan error, callers)
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			for k := range rounds {
				v, err := s.Embed(ctx, Pattern(112, 112, 3, 9))
				if err == nil && fmt.Sprint(v) != fmt.Sprint(want) {
					err = fmt.Errorf("caller %d got another vector", g)
				}
				if err == nil {
					_, err = s.TextMap(ctx, Pattern(32*(1+(g+k)%5), 64, 3, 1))
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		})
	}
	wg.Wait()
	for range callers {
		require.NoError(t, <-errs)
	}
	st := s.Stats()
	require.EqualValues(t, callers*rounds+1, st[FaceEmbed].Calls)
	require.EqualValues(t, callers*rounds, st[TextDetect].Calls)
	require.Positive(t, st[FaceEmbed].PreNS)
	require.Positive(t, st[FaceEmbed].RunNS)
	require.Positive(t, st[FaceEmbed].DecodeNS)
	require.NotContains(t, st, FaceDetect)
	refs := s.Refs()
	require.Equal(t, []Task{FaceEmbed, TextDetect}, []Task{refs[0].Task, refs[1].Task})
	require.Len(t, refs[0].SHA256, 64)
	s.ResetStats()
	require.Empty(t, s.Stats())
	require.Len(t, s.Refs(), 2)
}

func TestContextAndClose(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{EyeState, VoiceActivity}
	o.Parallel = 1
	s, err := Open(o)
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.EyeOpen(gone, Pattern(24, 24, 1, 1))
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.VoiceActivity(gone, make([]float32, 1024))
	require.ErrorIs(t, err, context.Canceled)

	m := s.models[EyeState]
	slot, err := m.acquire(t.Context())
	require.NoError(t, err)
	waiting, stop := context.WithCancel(t.Context())
	got := make(chan error)
	go func() { _, err := s.EyeOpen(waiting, Pattern(24, 24, 1, 1)); got <- err }()
	stop()
	require.ErrorIs(t, <-got, context.Canceled, "a caller that waits for a core can give up")

	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-m.gone
	_, err = s.EyeOpen(t.Context(), Pattern(24, 24, 1, 1))
	require.ErrorIs(t, err, ErrClosed)
	m.release(slot) // the call in flight ends, and only then Close does
	require.NoError(t, <-closed)
	require.NoError(t, s.Close(), "closing twice is nothing")
	_, err = s.VoiceActivity(t.Context(), make([]float32, 1024))
	require.ErrorIs(t, err, ErrClosed)
}

// Hot swaps open and close models over and over.
func TestOpenAndCloseDoNotGrow(t *testing.T) {
	round := func() {
		o := DefaultOptions()
		o.Tasks = []Task{FaceEmbed, Liveness, TextDetect}
		s, err := Open(o)
		require.NoError(t, err)
		require.NoError(t, s.Warm(t.Context()))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, _ = s.Embed(t.Context(), Pattern(112, 112, 3, 1))
				_, _ = s.TextMap(t.Context(), Pattern(96, 64, 3, 1))
			})
		}
		wg.Wait()
		require.NoError(t, s.Close())
		debug.FreeOSMemory()
	}
	for range 3 {
		round()
	}
	before := residentMB(t)
	for range 12 {
		round()
	}
	after := residentMB(t)
	require.Less(t, after-before, 64) // 10 to 20 on the machine at hand
	trim()
	t.Logf("after 3 rounds %d MB, after 15 rounds %d MB, after one more trim %d MB", before, after, residentMB(t))
	require.Less(t, after-residentMB(t), 32) // what Close leaves behind; well above 100 if it did not trim
}

func TestWarmAndSizes(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Warm(t.Context()))
	require.Empty(t, s.Refs())
	w, h := s.InputSize(FaceDetect)
	require.Equal(t, []int{320, 240}, []int{w, h})
	w, h = s.InputSize(TextRecognize)
	require.Equal(t, []int{0, 48}, []int{w, h})
	w, h = s.InputSize("dance")
	require.Equal(t, []int{0, 0}, []int{w, h})
	v, ok := s.Threshold(TextDetect, "box")
	require.True(t, ok)
	require.InDelta(t, 0.6, v, 1e-9)
	_, ok = s.Threshold("dance", "box")
	require.False(t, ok)
	require.Zero(t, s.Ref("dance"))
	man, ok := s.Manifest(FaceEmbed)
	require.True(t, ok)
	require.Equal(t, 512, man.Dimension())
}

func TestCacheDir(t *testing.T) {
	t.Setenv("ONSITE_CACHE", "/somewhere")
	require.Equal(t, "/somewhere", CacheDir())
	require.Equal(t, "/somewhere/models", DefaultOptions().Dir)
	t.Setenv("ONSITE_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/users/cache")
	require.Equal(t, "/users/cache/onsite", CacheDir())
}
