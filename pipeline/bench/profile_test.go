package bench

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"runtime/pprof"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models"
)

// profileOf samples work that takes long enough for some samples, however slow the machine is.
func profileOf(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, pprof.StartCPUProfile(&out))
	block := make([]byte, 1<<20)
	for until := selfCPU() + 200*time.Millisecond; selfCPU() < until; {
		_ = sha256.Sum256(block)
	}
	pprof.StopCPUProfile()
	return out.Bytes()
}

func TestProfileOfAKernel(t *testing.T) {
	list, err := readProfile(profileOf(t))
	require.NoError(t, err)
	seen := map[part]int64{}
	for _, s := range list {
		if !s.asleep() {
			p, _ := s.where()
			seen[p] += s.count
		}
	}
	require.Greater(t, seen[inKernel], seen[outside], "a busy machine gives few samples, so only the order is certain: %v", list)
}

func TestWhere(t *testing.T) {
	for _, c := range []struct {
		want  part
		name  string
		stack []string
	}{
		{inModel, "github.com/yalue/onnxruntime_go._Cfunc_RunOrtSession", []string{"runtime.cgocall", "github.com/yalue/onnxruntime_go._Cfunc_RunOrtSession", "onsite/models.(*model).run"}},
		{inOpenCV, "gocv.io/x/gocv._Cfunc_Resize", []string{"runtime.cgocall", "gocv.io/x/gocv._Cfunc_Resize", "gocv.io/x/gocv.Resize", "onsite/pipeline/media.Resized"}},
		{inKernel, "onsite/pipeline/reuse.lowDCT", []string{"onsite/pipeline/reuse.lowDCT", "onsite/pipeline/reuse.phash"}},
		{inKernel, "onsite/models.fillBGR", []string{"onsite/models.fillBGR", "onsite/models.(*model).fill"}},
		{inKernel, "onsite/pipeline/reuse._Cfunc_reuse_distances", []string{"runtime.cgocall", "onsite/pipeline/reuse._Cfunc_reuse_distances", "onsite/pipeline/reuse.distancesOf"}},
		{inKernel, "onsite/pipeline/reuse.abs32", []string{"onsite/pipeline/reuse.abs32", "onsite/pipeline/reuse.stepsBetween"}},
		{outside, "onsite/pipeline/reuse.phash", []string{"sort.Slice", "onsite/pipeline/reuse.phash"}},
		{outside, "onsite/pipeline/reuse.lowDCTs", []string{"onsite/pipeline/reuse.lowDCTs"}},
		{outside, "runtime.mallocgc", []string{"runtime.memclr", "runtime.mallocgc", "onsite/pipeline/reuse.lowDCT"}},
		{outside, "runtime.gcBgMarkWorker", []string{"runtime.scanobject", "runtime.gcBgMarkWorker"}},
		{outside, "unknown", nil},
		{inModel, "/cache/libonnxruntime.so.1", []string{"/cache/libonnxruntime.so.1", "runtime._ExternalCode"}},
		{inOpenCV, "/usr/lib/libopencv_imgproc.so.406", []string{"/usr/lib/libopencv_imgproc.so.406", "runtime._ExternalCode"}},
		{outside, "/usr/lib/libc.so.6", []string{"/usr/lib/libc.so.6", "runtime._ExternalCode"}},
	} {
		p, name := stack{functions: c.stack}.where()
		require.Equal(t, c.want, p, c.stack)
		require.Equal(t, c.name, name)
	}
}

// A thread of a C library that the process's clock woke spent nothing.
func TestAsleep(t *testing.T) {
	require.True(t, stack{functions: []string{"/usr/lib/libc.so.6", "runtime._ExternalCode"}}.asleep())
	require.False(t, stack{functions: []string{"/usr/lib/libopencv_core.so.406", "runtime._ExternalCode"}}.asleep())
	require.False(t, stack{functions: []string{"runtime.mallocgc", "runtime._ExternalCode"}}.asleep())
	require.False(t, stack{functions: []string{"/usr/lib/libc.so.6", "gocv.io/x/gocv._Cfunc_Resize", "onsite/pipeline/media.Resized"}}.asleep())
}

func TestEfficiency(t *testing.T) {
	s := newSampler(models.CPU)
	require.Nil(t, s.result(2), "no samples, no share")
	s.seen = [parts]int64{outside: 25, inModel: 50, inOpenCV: 15, inKernel: 10}
	s.outside["b"], s.outside["a"] = 20, 5
	s.self, s.child, s.convert, s.bare = 2*time.Second, time.Second, 100*time.Millisecond, 600*time.Millisecond
	e := s.result(2)
	require.InDelta(t, (300+50+500+150+100)/(500+1000.), e.Ratio, 1e-9)
	require.InDelta(t, 500, e.ModelMS, 1e-9)
	require.InDelta(t, 200, e.Outside["b"], 1e-9)

	// A clip with sound: what the recording holds is replayed, the voice is sampled.
	s.unheld = 10
	s.add(300*time.Millisecond, map[models.Task]int{models.FaceDetect: 20, models.EyeState: 10}, map[models.Task]int{models.VoiceActivity: 936})
	e = s.result(2)
	require.InDelta(t, 500, e.SampledMS, 1e-9)
	require.InDelta(t, 100, e.UnheldMS, 1e-9)
	require.InDelta(t, 150+100, e.ModelMS, 1e-9)
	require.Equal(t, []int{15, 468}, []int{e.ModelRuns, e.UnheldRuns})
	require.InDelta(t, (300+50+250+150+100)/(500+1000.), e.Ratio, 1e-9)

	// Elsewhere than on the processor the clock of this thread says nothing: nothing is recorded, all is sampled. There is nothing to run a clip with.
	s = newSampler(models.CUDA)
	require.NoError(t, s.models(t.Context(), nil, nil))
	s.seen, s.self = [parts]int64{outside: 25, inModel: 75}, time.Second
	require.InDelta(t, 375, s.result(2).ModelMS, 1e-9)
}

// What a recording does not hold is told from the stack, however deep in it.
func TestHeld(t *testing.T) {
	run := []string{"runtime.cgocall", "github.com/yalue/onnxruntime_go._Cfunc_RunOrtSession", "onsite/models.(*model).runOn", "onsite/models.(*model).run"}
	require.True(t, stack{functions: append(run, "onsite/models.(*Set).DetectFaces")}.held())
	for _, f := range unheld {
		require.False(t, stack{functions: append(run, f, "onsite/pipeline/verify.(*run).liveness")}.held(), f)
	}
}

func FuzzReadProfile(f *testing.F) {
	f.Add(profileOf(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if list, err := readProfile(raw); err != nil {
			require.ErrorIs(t, err, errProfile)
			require.Empty(t, list)
		}
		var z bytes.Buffer // as it would be inside
		w := gzip.NewWriter(&z)
		_, _ = w.Write(raw)
		require.NoError(t, w.Close())
		list, err := readProfile(z.Bytes())
		if err != nil {
			require.ErrorIs(t, err, errProfile)
		}
		require.False(t, slices.ContainsFunc(list, func(s stack) bool { return s.count < 0 }))
	})
}
