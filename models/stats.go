package models

import (
	"sort"
	"sync/atomic"
	"time"
)

// Stat is what one model's calls cost so far. The times are wall time of the calling goroutines; RunNS is ONNX Runtime alone.
type Stat struct {
	Calls    int64
	PreNS    int64
	RunNS    int64
	DecodeNS int64
}

// counters gather a Stat from many goroutines.
type counters struct{ calls, pre, run, decode atomic.Int64 }

func (c *counters) stat() Stat {
	return Stat{Calls: c.calls.Load(), PreNS: c.pre.Load(), RunNS: c.run.Load(), DecodeNS: c.decode.Load()}
}

// stopwatch adds the time since the last lap to a counter.
type stopwatch struct{ last time.Time }

func start() stopwatch { return stopwatch{time.Now()} }

func (w *stopwatch) lap(into *atomic.Int64) {
	now := time.Now()
	into.Add(int64(now.Sub(w.last)))
	w.last = now
}

// Stats gives the cost of every model that ran since Open or ResetStats.
func (s *Set) Stats() map[Task]Stat {
	out := map[Task]Stat{}
	for task, m := range s.models {
		if st := m.count.stat(); st.Calls > 0 {
			out[task] = st
		}
	}
	return out
}

// ResetStats starts counting from zero. Calls in flight are counted in part.
func (s *Set) ResetStats() {
	for _, m := range s.models {
		m.count.calls.Store(0)
		m.count.pre.Store(0)
		m.count.run.Store(0)
		m.count.decode.Store(0)
	}
}

// Ref names one model: the file, and how its manifest uses it.
type Ref struct {
	Task     Task
	Name     string
	Version  string
	SHA256   string // of the ONNX file
	Manifest string // digest of the manifest
}

// Ref names the model of a task; the zero Ref if the Set has none.
func (s *Set) Ref(task Task) Ref {
	m, ok := s.models[task]
	if !ok {
		return Ref{}
	}
	return Ref{Task: task, Name: m.man.Name, Version: m.man.Version, SHA256: m.man.File.SHA256, Manifest: m.man.Digest()}
}

// Refs names the models that have really run since Open, sorted by task.
func (s *Set) Refs() []Ref {
	var out []Ref
	for task, m := range s.models {
		if m.used.Load() {
			out = append(out, s.Ref(task))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Task < out[j].Task })
	return out
}
