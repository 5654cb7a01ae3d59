package workers

import (
	"context"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"
)

// Elector says who plays a role that only one process should play; see results.Housekeeping.
type Elector interface {
	Elect(ctx context.Context, role, holder string, ttl time.Duration) (bool, error)
}

// Role is one process's part in an election. It is used from one goroutine.
type Role struct {
	store  Elector
	name   string
	holder string
	ttl    time.Duration
	log    *slog.Logger

	held  bool
	asked time.Time // when it was last asked for; the zero time at first
}

// roleTTL is how long the work of a dead process stays undone: short against the 15 s in which a killed worker's job must run again.
const roleTTL = 2 * time.Second

// NewRole stands for a role; a ttl of 0 is 2 s.
func NewRole(store Elector, name, holder string, ttl time.Duration, log *slog.Logger) *Role {
	fill(&ttl, roleTTL)
	return &Role{store: store, name: name, holder: holder + "-" + ulid.Make().String()[16:], ttl: ttl, log: log}
}

// Play says whether this process plays the role now. It asks three times a ttl, and stops believing an old answer well before the ttl is
// over: a store that is away means that nobody plays.
func (r *Role) Play(ctx context.Context) bool {
	began := time.Now()
	if age := began.Sub(r.asked); !r.asked.IsZero() && age < r.ttl/3 {
		return r.held
	}
	ctx, cancel := context.WithTimeout(ctx, r.ttl/3)
	defer cancel()
	held, err := r.store.Elect(ctx, r.name, r.holder, r.ttl)
	if err != nil {
		if r.held && began.Sub(r.asked) > r.ttl/2 {
			r.held = false
			r.log.Warn("a role was given up: the store does not answer", "role", r.name, "error", err)
		}
		return r.held
	}
	if held != r.held {
		r.log.Info("a role changed hands", "role", r.name, "ours", held)
	}
	r.held, r.asked = held, began
	return held
}

// Resign lets another process take over at once.
func (r *Role) Resign() {
	if !r.held {
		return
	}
	r.held = false
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := r.store.Elect(ctx, r.name, r.holder, 0); err != nil {
		r.log.Debug("a role runs out by itself", "role", r.name, "error", err)
	}
}
