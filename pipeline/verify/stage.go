package verify

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stage names a part of the work, as the timings of a verdict and the benchmark's budget do.
type Stage string

// The stages.
const (
	StageDecode       Stage = "decode"
	StageFace         Stage = "face"
	StageLiveness     Stage = "liveness"
	StageFingerprint  Stage = "fingerprint"
	StageReuse        Stage = "reuse"
	StageScene        Stage = "scene"
	StageAuthenticity Stage = "authenticity"
	StagePlace        Stage = "place"
	StageSpeech       Stage = "speech"
	StageChallenge    Stage = "challenge"
	StageEnroll       Stage = "enroll"
	StagePictures     Stage = "pictures"
	StageTotal        Stage = "total"
)

// Cost is what a stage took. CPU counts the stage's own thread (and, for decoding, the child process).
type Cost struct{ Wall, CPU time.Duration }

// meter collects the costs of the stages of one job; safe for concurrent use.
type meter struct {
	mu       sync.Mutex
	cost     map[Stage]Cost
	progress func(Stage, bool)
}

func newMeter(progress func(Stage, bool)) *meter {
	return &meter{cost: map[Stage]Cost{}, progress: progress}
}

// stage does one stage on a thread of its own, so that the thread's clock is the stage's CPU time: a session with one intra-op thread
// and OpenCV with one thread both work on the calling thread.
func (m *meter) stage(ctx context.Context, s Stage, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.tell(s, false)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wall, cpu := time.Now(), threadCPU()
	err := do(ctx)
	m.add(s, Cost{Wall: time.Since(wall), CPU: threadCPU() - cpu})
	m.tell(s, true)
	return err
}

func (m *meter) add(s Stage, c Cost) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.cost[s]
	m.cost[s] = Cost{Wall: old.Wall + c.Wall, CPU: old.CPU + c.CPU}
}

func (m *meter) tell(s Stage, done bool) {
	if m.progress != nil {
		m.progress(s, done)
	}
}

// threadCPU is the user and system time of the calling thread; 0 where the kernel does not tell.
func threadCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
