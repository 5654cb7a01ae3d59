package bench

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"onsite/models"
	"onsite/pipeline/verify"
)

// Efficiency says how much of what a clip costs is spent inside bare libraries and kernels: (bare decoding of the same packets + the
// conversions of pictures + ONNX Runtime + OpenCV + our own loops over pixels, samples and hashes) / (CPU time of this process and of the child).
// The rest is the child's start, transport, copies, planning, the Go runtime, and everything that decides.
//
// Bare decoding is measured beside every run (media.Decoder.Bare). Behind every run the models' tensors are recorded in a further one that is not
// measured, handed to bare ONNX Runtime again (models.Recording), and dropped, so that no measured run has them in memory. OpenCV and the loops are
// sampled where they happen, a hundred times a CPU second on all threads, so that it is the same pixels by nature: a sample counts for OpenCV when the
// innermost call that is ours went into it, for a kernel when it lies in one of kernelList. Models that a recording does not hold (unheld) are
// sampled, too, and so are all where they do not run on the processor: only there does a run stay on the thread whose clock is read.
type Efficiency struct {
	Ratio      float64            `json:"ratio"`
	DecodeMS   float64            `json:"decode_ms"`        // bare libav
	ConvertMS  float64            `json:"convert_ms"`       // in the child: colours and size
	ModelMS    float64            `json:"model_ms"`         // bare ONNX Runtime on the same tensors, and UnheldMS; SampledMS where nothing is recorded
	ModelRuns  int                `json:"model_runs"`       // that were recorded, of a clip
	UnheldRuns int                `json:"model_runs_other"` // that a recording does not hold, of a clip; a batch is one
	UnheldMS   float64            `json:"model_other_ms"`   // what was sampled of these
	SampledMS  float64            `json:"model_sampled_ms"` // what was sampled of all models
	OpenCVMS   float64            `json:"opencv_ms"`        // all of gocv's calls
	KernelMS   float64            `json:"kernel_ms"`        // kernelList
	ChildMS    float64            `json:"child_ms"`         // the whole child
	PipelineMS float64            `json:"pipeline_ms"`      // this whole process, its garbage collection included
	Samples    int64              `json:"samples"`          // stacks that the shares of this process rest on
	Outside    map[string]float64 `json:"outside"`          // the most that is neither library nor kernel, by the innermost function of ours, ms
}

// kernelList names our own kernels: loops over pixels, samples or hashes without any decision in them, which a C library would have if it
// had just these. Comparing with earlier footage counts only for its innermost loops.
var kernelList = map[string][]string{
	"onsite/models": {"(*model).fill", "fillBGR", "fillPixels", "fillGrey", "fillGreyFromBGR"},
	"onsite/pipeline/reuse": {
		"resample", "columns", "axpy", "lowDCT", "addRow", "halveRows", "greyRow", "pdqBits", "pdqQuality", "dot", "nearestThree",
		"nearestCode", "kthOf", "appendKeys", "split", "halveLines", "Bits256.Distance", "differences", "changes", "cellMotion",
		"cellMeans", "abs32", "selectKth", "warpMap.apply", "(*warpMap).four", "(*track).steadied", "cosine", "resampleMotion",
	},
	"onsite/pipeline/authenticity": {
		"smooth", "blur3", "half", "shrink", "(*series).measure", "(*equations).affine", "(*equations).projective", "plane.sample", "blockScores", "blockLeft",
		"(*series).change", "(*series).levelled", "moments",
	},
	"onsite/pipeline/liveness": {"stepsOf", "(*spectrum).add"},
}

// unheld are the functions in which models run that a recording does not hold: voices, speech, and batches of several clips.
var unheld = []string{"onsite/models.(*Set).VoiceActivity", "onsite/models.(*model).say", "onsite/models.(*model).runTogether"}

var (
	kernels = func() map[string]bool {
		out := map[string]bool{}
		for pkg, list := range kernelList {
			for _, f := range list {
				out[pkg+"."+f] = true
			}
		}
		return out
	}()
	closure = regexp.MustCompile(`(\.func\d+)+$`)
	sums    = regexp.MustCompile(`^crypto/.*sha256\.`) // of the standard library, whose inner names are its own
)

// isKernel tells whether a function, or the one that a closure is in, is a kernel.
func isKernel(f string) bool { return sums.MatchString(f) || kernels[closure.ReplaceAllString(f, "")] }

// A sample belongs to one of these.
type part int

const (
	outside part = iota
	inModel
	inOpenCV
	inKernel
	parts
)

// where finds what a stack was at, and the innermost function of ours.
func (s stack) where() (part, string) {
	for _, f := range s.functions {
		switch {
		case strings.Contains(f, "/libonnxruntime"):
			return inModel, f
		case strings.Contains(f, "/libopencv_"):
			return inOpenCV, f
		case strings.HasPrefix(f, "/"): // a library that both may use
			return outside, f
		case f == "runtime.mallocgc":
			return outside, f
		case strings.HasPrefix(f, "github.com/yalue/onnxruntime_go._Cfunc_"):
			return inModel, f
		case strings.HasPrefix(f, "gocv.io/x/gocv._Cfunc_"):
			return inOpenCV, f
		case strings.HasPrefix(f, "onsite/pipeline/reuse._Cfunc_"): // the .c files, which hold the loops alone
			return inKernel, f
		case isKernel(f):
			return inKernel, f
		case strings.HasPrefix(f, "onsite/"):
			return outside, f
		}
	}
	if len(s.functions) == 0 {
		return outside, "unknown"
	}
	if last := s.functions[len(s.functions)-1]; last != "runtime._ExternalCode" {
		return outside, last // the runtime's own threads
	}
	return outside, "C: " + s.functions[0]
}

// held tells whether a recording holds the run of a model that a stack was in.
func (s stack) held() bool {
	return !slices.ContainsFunc(s.functions, func(f string) bool { return slices.Contains(unheld, f) })
}

// asleep tells a sample of a thread of a C library that waits in the kernel. Go's threads are sampled by clocks of their own; the process's clock,
// which is there for all others, wakes any thread of C, whoever spent the time: what it finds in libc was counted where it was spent.
// (perf sees such a thread spend nothing; OpenCV and ONNX Runtime work on the thread that calls them.)
func (s stack) asleep() bool {
	return len(s.functions) == 2 && s.functions[1] == "runtime._ExternalCode" && strings.Contains(s.functions[0], "/libc.so")
}

// sampler adds up where the CPU time of the measured runs goes.
type sampler struct {
	provider   models.Provider
	seen       [parts]int64
	unheld     int64 // of those in models
	outside    map[string]int64
	self       time.Duration // of this process
	child      time.Duration
	convert    time.Duration
	bare       time.Duration
	replayed   time.Duration // models, bare
	modelRuns  int
	unheldRuns int
	cpuBefore  time.Duration
	profile    bytes.Buffer
}

func newSampler(p models.Provider) *sampler {
	return &sampler{provider: p, outside: map[string]int64{}}
}

func (s *sampler) start() error {
	s.profile.Reset()
	if err := pprof.StartCPUProfile(&s.profile); err != nil {
		return fmt.Errorf("bench: sample the processor: %w", err)
	}
	s.cpuBefore = selfCPU()
	return nil
}

func (s *sampler) stop() error {
	s.self += selfCPU() - s.cpuBefore
	pprof.StopCPUProfile()
	list, err := readProfile(s.profile.Bytes())
	if err != nil {
		return err
	}
	for _, k := range list {
		if k.asleep() {
			continue
		}
		p, f := k.where()
		s.seen[p] += k.count
		switch {
		case p == outside:
			s.outside[f] += k.count
		case p == inModel && !k.held():
			s.unheld += k.count
		}
	}
	return nil
}

// models adds what bare ONNX Runtime takes for the tensors of one run of a clip. They are hundreds of megabytes, and gone when it returns.
func (s *sampler) models(ctx context.Context, v *verify.Verifier, j *prepared) error {
	if s.provider != models.CPU {
		return nil
	}
	tape := v.Models.Record()
	defer tape.Stop()
	if err := j.alone(ctx, v); err != nil {
		return err
	}
	tape.Stop() // a replay is no run
	took, err := tape.Replay(ctx)
	if err != nil {
		return fmt.Errorf("bench: the models of %s: %w", j.job.Media.Name(), err)
	}
	s.add(took, tape.Calls(), tape.Other())
	return nil
}

func (s *sampler) add(replayed time.Duration, held, other map[models.Task]int) {
	s.replayed += replayed
	for _, n := range held {
		s.modelRuns += n
	}
	for _, n := range other {
		s.unheldRuns += n
	}
}

// result gives the means of runs.
func (s *sampler) result(runs int) *Efficiency {
	var all int64
	for _, n := range s.seen {
		all += n
	}
	if all == 0 || runs == 0 {
		return nil
	}
	each := func(d time.Duration) float64 { return ms(d) / float64(runs) }
	share := func(n int64) float64 { return each(s.self) * float64(n) / float64(all) }
	e := &Efficiency{
		DecodeMS: each(s.bare), ConvertMS: each(s.convert), ChildMS: each(s.child), PipelineMS: each(s.self), Samples: all,
		ModelRuns: s.modelRuns / runs, UnheldRuns: s.unheldRuns / runs, UnheldMS: share(s.unheld), SampledMS: share(s.seen[inModel]),
		OpenCVMS: share(s.seen[inOpenCV]), KernelMS: share(s.seen[inKernel]), Outside: map[string]float64{},
	}
	if e.ModelMS = each(s.replayed) + e.UnheldMS; s.modelRuns == 0 {
		e.ModelMS = e.SampledMS
	}
	e.Ratio = (e.DecodeMS + e.ConvertMS + e.ModelMS + e.OpenCVMS + e.KernelMS) / (e.ChildMS + e.PipelineMS)
	const most = 15
	names := slices.SortedFunc(maps.Keys(s.outside), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.outside[b], s.outside[a]), cmp.Compare(a, b))
	})
	for _, f := range names[:min(most, len(names))] {
		e.Outside[f] = share(s.outside[f])
	}
	return e
}

// selfCPU is the processor time of this process so far, without its children.
func selfCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
