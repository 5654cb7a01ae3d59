package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	ort "github.com/yalue/onnxruntime_go"

	"onsite/models/manifest"
)

// model is one ONNX file with its session. Slots are tickets: whoever holds one may run; their number bounds memory.
type model struct {
	task  Task
	man   manifest.Manifest
	dir   string
	how   how
	lut   [][256]float32
	count counters
	used  atomic.Bool
	tape  atomic.Pointer[Recording] // nil: nobody records

	anchors []manifest.Anchor // of an SSD detector

	slots  chan *slot
	gone   chan struct{} // closed by close
	closer sync.Once

	mu      sync.Mutex // guards what is below
	loaded  bool
	session *ort.DynamicAdvancedSession
	keys    []string // text recognition: text of each class
	closed  bool
	group   *group     // runs calls together, from load on; nil: each by itself
	placed  *Placement // where its operators ran; nil: on the processor, as nothing else was asked for
	owners  int        // Sets that run it; the last one that is closed frees it
}

// slot holds the tensors of one call at a time. Fixed shapes keep theirs between calls; dynamic ones are made per call over the same
// memory.
type slot struct {
	in      []float32
	input   *ort.Tensor[float32]
	extra   []ort.Value // further inputs: state and rate of the voice model
	outputs []*ort.Tensor[float32]
	out     [][]float32
}

func newModel(task Task, man manifest.Manifest, dir string, h how) *model {
	m := &model{task: task, man: man, dir: dir, how: h.of(man), gone: make(chan struct{}), owners: 1}
	m.slots = make(chan *slot, m.how.slots())
	for range cap(m.slots) {
		m.slots <- &slot{}
	}
	if man.Input.Picture() {
		m.lut = tables(man.Input)
	}
	if p := man.Decoder.Params; man.Decoder.Name == "ssd" {
		m.anchors = manifest.Anchors(man.Input.Width, man.Input.Height, p["min_scale"], p["max_scale"])
	}
	return m
}

// load reads the file, compares its checksum and makes the session from the very bytes that were compared. A failed load is tried again
// by the next call.
func (m *model) load() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if m.loaded {
		return nil
	}
	var keys []string
	if m.man.Keys != nil {
		data, err := m.read(*m.man.Keys)
		if err != nil {
			return err
		}
		read := classes
		if m.task == Transcribe {
			read = tokens
		}
		if keys, err = read(data, m.man); err != nil {
			return fmt.Errorf("open model %s: %s: %w", m.task, m.man.Path(*m.man.Keys, m.dir), err)
		}
	}
	data, err := m.read(m.man.File)
	if err != nil {
		return err
	}
	session, placed, err := m.open(data, keys)
	if err != nil {
		return fmt.Errorf("open model %s: %s: %w", m.task, m.man.Path(m.man.File, m.dir), err)
	}
	m.session, m.keys, m.placed, m.loaded = session, keys, placed, true
	if m.how.batched() {
		m.group = m.gather()
	}
	return nil
}

// read gives the bytes of a model file if they are the ones that the manifest names.
func (m *model) read(f manifest.File) ([]byte, error) {
	path := m.man.Path(f, m.dir)
	load := os.ReadFile
	if m.man.Source.Embedded {
		load = func(string) ([]byte, error) { return manifest.Embedded(f.Name) }
	}
	data, err := load(path)
	if err != nil {
		return nil, &MissingError{Task: m.task, Path: path, Err: err}
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != f.SHA256 {
		return nil, &ChecksumError{Task: m.task, Path: path, Want: f.SHA256, Got: got}
	}
	return data, nil
}

// newSession optimises the graph anew at every start. Kept on disk, the optimised graphs of all models would save 0.24 of 0.45 CPU seconds of a start
// (2026-11-22); but their bytes are in no manifest, so that a verdict would name a file by its sha256 and run another one that only its writer vouches
// for. IO binding is left out, too: input and output tensors are kept with their slot, and a call with a binding takes as long (embedding a scene:
// 67.0 and 67.3 ms).
func newSession(man manifest.Manifest, data []byte, h how) (session *ort.DynamicAdvancedSession, err error) {
	inputs := []string{man.Input.Name}
	if man.Decoder.Name == "silero" {
		inputs = append(inputs, "state", "sr")
	}
	if man.Input.Length != "" {
		inputs = append(inputs, man.Input.Length)
	}
	outputs := make([]string, len(man.Outputs))
	for i, o := range man.Outputs {
		outputs[i] = o.Name
	}
	options, err := sessionOptions(man.Optimise, h)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, options.Destroy()) }()
	return ort.NewDynamicAdvancedSessionWithONNXData(withPools(data, man.Outputs), inputs, outputs, options)
}

// acquire waits for a free slot; the model is loaded when it returns.
func (m *model) acquire(ctx context.Context) (*slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run model %s: %w", m.task, err)
	}
	if err := m.load(); err != nil {
		return nil, err
	}
	select {
	case s := <-m.slots:
		return s, nil
	case <-m.gone:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("run model %s: wait for a free core: %w", m.task, ctx.Err())
	}
}

func (m *model) release(s *slot) { m.slots <- s }

// share adds an owner; false when the model is closed.
func (m *model) share() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owners == 0 {
		return false
	}
	m.owners++
	return true
}

// leave takes an owner away, and closes the model after the last one.
func (m *model) leave() error {
	m.mu.Lock()
	m.owners--
	last := m.owners == 0
	m.mu.Unlock()
	if !last {
		return nil
	}
	return m.close()
}

// close takes every slot, so that no call is left, and frees what they and the session hold.
func (m *model) close() error {
	var errs []error
	m.closer.Do(func() {
		m.mu.Lock()
		m.closed = true
		m.mu.Unlock()
		close(m.gone)
		if m.group != nil { // nobody sets it any more
			m.group.Close()
		}
		for range cap(m.slots) {
			errs = append(errs, (<-m.slots).free())
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.session != nil {
			errs = append(errs, m.session.Destroy())
			m.session = nil
		}
	})
	return errors.Join(errs...)
}

// shape makes the tensors for an input of the given shape. Those of fixed-shape models are made once.
func (s *slot) shape(man manifest.Manifest, in []int64, out [][]int64) error {
	if s.input != nil && equal(s.input.GetShape(), in) {
		return nil
	}
	if err := s.free(); err != nil {
		return err
	}
	n := size(in)
	if cap(s.in) < n {
		s.in = make([]float32, n)
	}
	s.in = s.in[:n]
	var err error
	if s.input, err = ort.NewTensor(in, s.in); err != nil {
		return err
	}
	s.outputs = make([]*ort.Tensor[float32], len(out))
	if len(s.out) != len(out) {
		s.out = make([][]float32, len(out))
	}
	for i, shape := range out {
		n := size(shape)
		if cap(s.out[i]) < n {
			s.out[i] = make([]float32, n)
		}
		s.out[i] = s.out[i][:n]
		if s.outputs[i], err = ort.NewTensor(shape, s.out[i]); err != nil {
			return fmt.Errorf("output %s: %w", man.Outputs[i].Name, err)
		}
	}
	return nil
}

// free gives the tensors back to ONNX Runtime; the Go memory behind them stays for the next shape.
func (s *slot) free() error {
	var errs []error
	if s.input != nil {
		errs = append(errs, s.input.Destroy())
		s.input = nil
	}
	for _, o := range s.outputs {
		if o != nil {
			errs = append(errs, o.Destroy())
		}
	}
	s.outputs = nil
	for _, e := range s.extra {
		errs = append(errs, e.Destroy())
	}
	s.extra = nil
	return errors.Join(errs...)
}

// run calls the session on the slot's tensors. The session lives as long as any slot is out.
func (m *model) run(s *slot) error {
	if r := m.tape.Load(); r != nil {
		r.add(m, s)
	}
	return m.runOn(m.session, s)
}

func equal(a ort.Shape, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i, v := range a {
		if v != b[i] {
			return false
		}
	}
	return true
}

func size(shape []int64) int {
	n := 1
	for _, v := range shape {
		n *= int(v)
	}
	return n
}
