package models

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"onsite/models/convert"
	"onsite/models/manifest"
)

// how a model is run: the part of Options that does not say which.
type how struct {
	provider Provider
	device   int
	parallel int
	batch    int
	delay    time.Duration
	profile  string // a folder for ONNX Runtime's profile; empty: none
}

// What a GPU gets where nobody chose: more than 16 pictures at once gain little for networks of this size, and 2 ms are a hundredth of a job.
const (
	gpuBatch = 16
	gpuDelay = 2 * time.Millisecond
)

func (o Options) how() how {
	h := how{provider: o.Provider, device: o.Device, parallel: o.parallel(), batch: o.Batch, delay: o.BatchDelay}
	if h.provider == "" {
		h.provider = CPU
	}
	if h.provider == CUDA || h.provider == TensorRT {
		if h.batch == 0 {
			h.batch = gpuBatch
		}
		if h.delay == 0 {
			h.delay = gpuDelay
		}
	}
	return h
}

// of is how one model of the set is run.
func (h how) of(man manifest.Manifest) how {
	h.provider = runsOn(h.provider, man)
	if !man.Input.Picture() {
		h.batch = 0
	}
	return h
}

func (h how) batched() bool { return h.batch > 1 }

// slots bounds how many runs hold memory at once: one for each caller, or one for each runner of batches and one whose answers are being read.
func (h how) slots() int {
	if h.batched() {
		return batchRunners + 1
	}
	return h.parallel
}

// start loads ONNX Runtime with what the provider needs.
func (o Options) start() error {
	if o.Provider != "" && o.Provider != CPU {
		if err := checkProvider(o.Provider, o.Library); err != nil {
			return err
		}
	}
	return startRuntime(o.Library)
}

// open makes the session of a model's file as it is to be run, and proves that it is: that the provider runs it, that a batch gives what single
// runs give.
func (m *model) open(file []byte, keys []string) (_ *ort.DynamicAdvancedSession, placed *Placement, err error) {
	data := file
	if m.how.batched() {
		if data, err = convert.Batched(file); err != nil {
			return nil, nil, err
		}
	}
	if m.how.provider != CPU {
		p, err := m.place(data, keys)
		if err == nil {
			err = p.check()
		}
		if err != nil {
			return nil, nil, err
		}
		placed = &p
	}
	session, err := newSession(m.man, data, m.how)
	if err != nil {
		return nil, nil, err
	}
	if m.how.batched() {
		if err := m.compareBatch(session, file); err != nil {
			return nil, nil, errors.Join(err, session.Destroy())
		}
	}
	return session, placed, nil
}

// alone is the same model with a session of its own, outside the set.
func (m *model) alone(session *ort.DynamicAdvancedSession, keys []string) *model {
	h := m.how
	h.batch, h.parallel = 0, 1
	probe := newModel(m.task, m.man, m.dir, h)
	probe.session, probe.keys, probe.loaded = session, keys, true
	return probe
}

// place runs a model's file once with a profile, on a session of its own, and reads where its operators ran.
func (m *model) place(data []byte, keys []string) (_ Placement, err error) {
	dir, remove, err := profileFolder()
	if err != nil {
		return Placement{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	h := m.how
	h.profile = dir
	session, err := newSession(m.man, data, h)
	if err != nil {
		return Placement{}, err
	}
	probe := m.alone(session, keys)
	s := <-probe.slots
	err = probe.once(s)
	probe.release(s)
	if err = errors.Join(err, probe.close()); err != nil { // closing the session writes the profile
		return Placement{}, err
	}
	raw, err := readProfile(dir)
	if err != nil {
		return Placement{}, err
	}
	return parsePlacement(m.task, m.how.provider, raw)
}

// batchTolerance is how far a value of a batch may lie from that of a single run, relative to the value where that is above 1: rounding in
// another order. On the processors seen it is 0 for most models.
const batchTolerance = 1e-4

// compareBatch runs two generated pictures together on the session, each by itself on the model's own file, and compares all outputs: making
// the first axis dynamic could mean something else in a graph that was never meant for it.
func (m *model) compareBatch(session *ort.DynamicAdvancedSession, file []byte) (err error) {
	single, err := newSession(m.man, file, m.how)
	if err != nil {
		return err
	}
	one, two := m.alone(single, nil), m.alone(session, nil)
	two.session = nil // it is the model's own, and stays open
	defer func() { err = errors.Join(err, one.close(), two.close()) }()
	w, h := m.goldenSize(manifest.Golden{})
	imgs := []Image{Pattern(w, h, m.man.Channels(), 7), Pattern(w, h, m.man.Channels(), 11)}
	both := <-two.slots
	defer two.release(both)
	if err := m.lay(both, imgs); err != nil {
		return err
	}
	if err := m.runOn(session, both); err != nil {
		return err
	}
	s := <-one.slots
	defer one.release(s)
	for k, img := range imgs {
		if err := m.lay(s, []Image{img}); err != nil {
			return err
		}
		if err := m.runOn(single, s); err != nil {
			return err
		}
		for i, o := range m.man.Outputs {
			n := len(s.out[i])
			for j, want := range s.out[i] {
				got := both.out[i][k*n+j]
				if d := math.Abs(float64(got - want)); !(d <= batchTolerance*max(1, math.Abs(float64(want)))) {
					return fmt.Errorf("output %s[%d] is %g in a batch and %g by itself: this model cannot be run in batches; set worker.batch to 1", o.Name, j, got, want)
				}
			}
		}
	}
	return nil
}

// Provider says what runs the Set's models; those that cost next to nothing run on the processor always. No Set, as a measurement without models
// has it, is the processor.
func (s *Set) Provider() Provider {
	if s == nil {
		return CPU
	}
	for _, m := range s.models {
		if m.how.provider != CPU {
			return m.how.provider
		}
	}
	return CPU
}

// Placements lists where the operators of the loaded models ran, by task. It is empty on the processor, where nothing can go elsewhere.
func (s *Set) Placements() []Placement {
	var out []Placement
	for _, t := range s.Tasks() {
		m := s.models[t]
		m.mu.Lock()
		if m.placed != nil {
			out = append(out, *m.placed)
		}
		m.mu.Unlock()
	}
	return out
}

// Runtime names the loaded ONNX Runtime: its version, and where it is not the processor's own the digest over its files, since core and
// providers come from several packages. A verdict's recipe has it.
func (s *Set) Runtime() string {
	version := RuntimeVersion()
	if s.Provider() == CPU {
		return version
	}
	digest, err := loadedDigest()
	if err != nil {
		return version + " sha256:unknown" // the files went away under a running process
	}
	return version + " sha256:" + digest
}

var loadedDigest = sync.OnceValues(func() (string, error) {
	environment.Lock()
	defer environment.Unlock()
	return RuntimeDigest(filepath.Dir(environment.library))
})
