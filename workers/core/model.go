package core

import (
	"context"
	"sync"

	"onsite/models"
)

// The states of a model.
const (
	ModelReady  = "ready"  // it was loaded and has run
	ModelCold   = "cold"   // it was not needed yet: its first use loads it
	ModelFailed = "failed" // it cannot be loaded; Why says what to do
)

// Model is one model that runs here.
type Model struct {
	Task, Name, Version string
	SHA256              string // of its file
	Licence             string // SPDX name
	Note                string // what else a user must know about its origin
	State               string
	Why                 string
}

// health is what Warm found.
type health struct {
	mu    sync.Mutex
	ready map[models.Task]bool
	fault map[models.Task]error
}

// Warm loads every model and runs each once, so that the first job is not the slow one; until then the process is not ready. It may be
// called again, after a missing file was installed.
func (c *Core) Warm(ctx context.Context) error {
	if c.measure {
		return nil
	}
	var first error
	for _, t := range c.Verifier.Models.Tasks() {
		err := c.Verifier.Models.Warm(ctx, t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.health.note(t, err)
		if first == nil {
			first = err
		}
	}
	return first
}

func (h *health) note(t models.Task, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ready == nil {
		h.ready, h.fault = map[models.Task]bool{}, map[models.Task]error{}
	}
	h.ready[t], h.fault[t] = err == nil, err
}

// Models lists what runs here, by task.
func (c *Core) Models() []Model {
	out := []Model{}
	if c.measure {
		return out
	}
	used := map[models.Task]bool{}
	for _, r := range c.Verifier.Models.Refs() {
		used[r.Task] = true
	}
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	for _, t := range c.Verifier.Models.Tasks() {
		man, _ := c.Verifier.Models.Manifest(t)
		m := Model{
			Task: string(t), Name: man.Name, Version: man.Version, SHA256: man.File.SHA256, Licence: man.Licence.SPDX, Note: man.Licence.Note, State: ModelCold,
		}
		switch {
		case c.health.fault[t] != nil:
			m.State, m.Why = ModelFailed, c.health.fault[t].Error()
		case used[t] || c.health.ready[t]:
			m.State = ModelReady
		}
		out = append(out, m)
	}
	return out
}
