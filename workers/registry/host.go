package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/workers"
	"onsite/workers/core"
)

// Store is what this package needs of the results store.
type Store interface {
	results.Registry
	Tenants(ctx context.Context) ([]results.Tenant, error)
	PutTemplates(ctx context.Context, t []results.Template) error
	Verdict(ctx context.Context, tenant, job string, revision int) (results.Verdict, error)
	Verdicts(ctx context.Context, tenant string, f results.VerdictFilter, p results.Page) ([]results.Verdict, error)
	Elect(ctx context.Context, role, holder string, ttl time.Duration) (bool, error)
	Now() time.Time
}

// RuleStaging is the rule of jobs that wait because the process lacks a model.
const RuleStaging = "models_staging"

// LateError says that this process lacks a model of the epoch that is active: it was not quick enough, or has just been started. It refuses
// the job, and another process, or this one a little later, takes it.
type LateError struct {
	Epoch int64
	Model string
}

func (e *LateError) Error() string {
	return fmt.Sprintf("epoch %d of the models is active, and model %s of it is not ready in this process yet", e.Epoch, e.Model)
}

var _ workers.Judged = (*LateError)(nil)

// Judgement is workers.Judged: nothing is wrong with the job.
func (e *LateError) Judgement() workers.Judgement {
	return workers.Judgement{Action: workers.Retry, Rule: RuleStaging, Text: pipeline.Text{
		EN: "this process is still loading the models that are in use; the job is tried again",
		ZH: "本进程仍在加载当前使用的模型；任务将重试",
	}}
}

// keepIdle is how long a model stays loaded that no epoch of now needs: one that a verdict is made again with.
const keepIdle = 2 * time.Minute

// Host holds the sets of models of one process. Base is owned by the caller and closed after the Host.
type Host struct {
	Store   Store
	Files   *Files
	Base    *core.Core // with the models that the program brings along
	Options models.Options
	Log     *slog.Logger

	loads  singleflight.Group // by the model's id
	mu     sync.Mutex
	parts  map[string]*part
	sets   map[string]*set
	epochs map[int64]results.Epoch // documents never change
	digest string                  // of Base's models
	closed bool
	now    func() time.Time // nil: time.Now
}

// part is one model, loaded by itself.
type part struct {
	row  results.RegisteredModel
	set  *models.Set
	used time.Time
}

// set is a whole set of models with the core that runs it.
type set struct {
	key    string
	ids    []string
	core   *core.Core
	models *models.Set
	digest string
	users  int
	over   bool
}

// Taken is a set of models for one job.
type Taken struct {
	Core  *core.Core
	Under *pipeline.ModelSet // nil: the models that the program brings along, before any epoch
	done  func()
}

// Done must be called when the job has ended.
func (t Taken) Done() { t.done() }

func (h *Host) time() time.Time {
	if h.now != nil {
		return h.now()
	}
	return time.Now()
}

// epoch gives an epoch's document, from memory where it was read before.
func (h *Host) epoch(ctx context.Context, number int64) (results.Epoch, error) {
	h.mu.Lock()
	e, ok := h.epochs[number]
	h.mu.Unlock()
	if ok {
		return e, nil
	}
	e, err := h.Store.Epoch(ctx, number)
	if err != nil {
		return e, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.epochs == nil {
		h.epochs = map[int64]results.Epoch{}
	}
	h.epochs[number] = e
	return e, nil
}

// Take gives the set that a tenant's job runs now: as the active epoch has it. An empty job asks for what the tenant's photos are looked at
// with. *LateError when a model of it is not here.
func (h *Host) Take(ctx context.Context, tenant, job string) (Taken, error) {
	number, err := h.Store.ActiveEpoch(ctx)
	if err != nil {
		return Taken{}, err
	}
	return h.TakeAt(ctx, number, tenant, job)
}

// TakeAt gives the set that a tenant's job ran at an epoch.
func (h *Host) TakeAt(ctx context.Context, number int64, tenant, job string) (Taken, error) {
	e, err := h.epoch(ctx, number)
	if err != nil {
		return Taken{}, err
	}
	assigned, lane := e.Doc.Assign(tenant, job)
	return h.take(number, assigned, lane)
}

// TakeWith gives the set of a tenant's job with further models: candidates.
func (h *Host) TakeWith(ctx context.Context, tenant, job string, candidates ...results.RegisteredModel) (Taken, error) {
	number, err := h.Store.ActiveEpoch(ctx)
	if err != nil {
		return Taken{}, err
	}
	e, err := h.epoch(ctx, number)
	if err != nil {
		return Taken{}, err
	}
	assigned, _ := e.Doc.Assign(tenant, job)
	for _, m := range candidates {
		assigned[m.Task] = m.ID
	}
	return h.take(number, assigned, results.LaneMain)
}

// TakeMain gives what a tenant ran at an epoch, trials aside, with candidates. It loads what is not here.
func (h *Host) TakeMain(ctx context.Context, number int64, tenant string, candidates ...results.RegisteredModel) (Taken, error) {
	e, err := h.epoch(ctx, number)
	if err != nil {
		return Taken{}, err
	}
	assigned := e.Doc.Main(tenant)
	for _, m := range candidates {
		assigned[m.Task] = m.ID
	}
	for _, id := range slices.Sorted(maps.Values(assigned)) {
		if err := h.load(ctx, id); err != nil {
			return Taken{}, err
		}
	}
	return h.take(number, assigned, results.LaneMain)
}

// candidates reads the models of a trial or a promotion, the one that it is named by first.
func candidates(ctx context.Context, s Store, first string, with ...string) ([]results.RegisteredModel, error) {
	var all []results.RegisteredModel
	for _, id := range append([]string{first}, with...) {
		m, err := s.Model(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// Again gives the set that a verdict was made with, also when it is retired: its files are kept. An error that is none of the moment means
// that they are not.
func (h *Host) Again(ctx context.Context, v pipeline.Verdict) (Taken, error) {
	under := v.Runtime.ModelSet
	if under == nil {
		return h.take(0, nil, results.LaneMain)
	}
	e, err := h.epoch(ctx, under.Epoch)
	if err != nil {
		return Taken{}, err
	}
	assigned, lane := e.Doc.Assign(v.Tenant, v.Job)
	for _, id := range assigned {
		if err := h.load(ctx, id); err != nil {
			return Taken{}, err
		}
	}
	return h.take(under.Epoch, assigned, lane)
}

func keyOf(assigned map[string]string) string {
	var b strings.Builder
	for _, task := range slices.Sorted(maps.Keys(assigned)) {
		b.WriteString(task + "=" + assigned[task] + " ")
	}
	return b.String()
}

// take gives the set of an assignment. Composing it costs next to nothing: its sessions are there.
func (h *Host) take(epoch int64, assigned map[string]string, lane results.Lane) (Taken, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return Taken{}, models.ErrClosed
	}
	base := h.Base.Verifier.Models
	if h.digest == "" {
		h.digest = base.Digest()
	}
	if len(assigned) == 0 {
		t := Taken{Core: h.Base, done: func() {}}
		if epoch > 0 {
			t.Under = &pipeline.ModelSet{Epoch: epoch, Digest: h.digest, Lane: string(lane)}
		}
		return t, nil
	}
	key := keyOf(assigned)
	s := h.sets[key]
	if s == nil {
		var over []*models.Set
		ids := slices.Sorted(maps.Values(assigned))
		for _, id := range ids {
			p := h.parts[id]
			if p == nil {
				return Taken{}, &LateError{epoch, id}
			}
			p.used = h.time()
			over = append(over, p.set)
		}
		composed, err := models.Compose(base, over...)
		if err != nil {
			return Taken{}, fmt.Errorf("put the models of epoch %d together: %w", epoch, err)
		}
		s = &set{key: key, ids: ids, models: composed, digest: composed.Digest(), core: h.Base.With(&verify.Verifier{Decoder: h.Base.Verifier.Decoder, Models: composed})}
		if h.sets == nil {
			h.sets = map[string]*set{}
		}
		h.sets[key] = s
	}
	for _, id := range s.ids {
		if p := h.parts[id]; p != nil {
			p.used = h.time()
		}
	}
	s.users++
	return Taken{Core: s.core, Under: &pipeline.ModelSet{Epoch: epoch, Digest: s.digest, Lane: string(lane)}, done: sync.OnceFunc(func() { h.leave(s) })}, nil
}

func (h *Host) leave(s *set) {
	h.mu.Lock()
	s.users--
	last := s.over && s.users == 0
	h.mu.Unlock()
	if last {
		h.end(s)
	}
}

// end frees a set that nobody uses. Sessions that other sets share stay.
func (h *Host) end(s *set) {
	s.core.Close()
	if err := s.models.Close(); err != nil {
		h.Log.Warn("a set of models was not closed in order", "error", err.Error())
	}
}

// Stage fetches, loads and warms every model that an epoch names.
func (h *Host) Stage(ctx context.Context, e results.Epoch) error {
	for _, id := range e.Doc.Models() {
		if err := h.load(ctx, id); err != nil {
			return fmt.Errorf("stage epoch %d: %w", e.Number, err)
		}
	}
	return nil
}

// Load makes one model ready.
func (h *Host) load(ctx context.Context, id string) error {
	h.mu.Lock()
	p := h.parts[id]
	if p != nil {
		p.used = h.time()
	}
	closed := h.closed
	h.mu.Unlock()
	if p != nil {
		return nil
	}
	if closed {
		return models.ErrClosed
	}
	for { // many jobs want a new model at once, and it is opened for all of them once
		_, err, shared := h.loads.Do(id, func() (any, error) { return nil, h.loadOne(ctx, id) })
		if shared && ctx.Err() == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) { // of whoever was first
			continue
		}
		return err
	}
}

// loadOne opens a model unless that was done meanwhile.
func (h *Host) loadOne(ctx context.Context, id string) error {
	h.mu.Lock()
	there := h.parts[id] != nil
	h.mu.Unlock()
	if there {
		return nil
	}
	row, err := h.Store.Model(ctx, id)
	if err != nil {
		return err
	}
	loaded, err := h.open(ctx, row)
	if err != nil {
		return fmt.Errorf("load model %s %s %s: %w", row.Task, row.Name, row.Version, err)
	}
	h.mu.Lock()
	if h.parts[id] != nil || h.closed { // somebody was quicker
		h.mu.Unlock()
		return loaded.Close()
	}
	defer h.mu.Unlock()
	if h.parts == nil {
		h.parts = map[string]*part{}
	}
	h.parts[id] = &part{row: row, set: loaded, used: h.time()}
	h.Log.Info("model loaded", "task", row.Task, "name", row.Name, "version", row.Version, "sha256", row.SHA256)
	return nil
}

// open brings a model's files here, and runs it once.
func (h *Host) open(ctx context.Context, row results.RegisteredModel) (*models.Set, error) {
	man, err := manifest.Parse(row.Name, row.Manifest)
	if err != nil {
		return nil, &UnusableError{err}
	}
	dir, err := h.Files.Fetch(ctx, row.Files)
	if err != nil {
		return nil, err
	}
	o := h.Options
	o.Dir = dir
	loaded, err := models.OpenManifests(o, man)
	if err == nil {
		if err = loaded.Warm(ctx); err != nil {
			err = errors.Join(err, loaded.Close())
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &UnusableError{err}
	}
	return loaded, nil
}

// UnusableError says that a model cannot run here, however often it is tried.
type UnusableError struct{ Err error }

func (e *UnusableError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *UnusableError) Unwrap() error { return e.Err }

// Retain frees what no epoch of these needs, once nobody uses it: jobs that run finish on their set.
func (h *Host) Retain(epochs ...results.Epoch) {
	needed := map[string]bool{}
	for _, e := range epochs {
		for _, id := range e.Doc.Models() {
			needed[id] = true
		}
	}
	var idle []*set
	var old []*part
	h.mu.Lock()
	stale := func(id string) bool {
		p := h.parts[id]
		return p == nil || !needed[id] && h.time().Sub(p.used) > keepIdle
	}
	for key, s := range h.sets {
		if !slices.ContainsFunc(s.ids, stale) {
			continue
		}
		delete(h.sets, key)
		if s.over = true; s.users == 0 {
			idle = append(idle, s)
		}
	}
	for id, p := range h.parts {
		if stale(id) {
			delete(h.parts, id)
			old = append(old, p)
		}
	}
	h.mu.Unlock()
	for _, s := range idle {
		h.end(s)
	}
	for _, p := range old {
		h.Log.Info("model is not needed any more", "task", p.row.Task, "name", p.row.Name, "version", p.row.Version)
		if err := p.set.Close(); err != nil {
			h.Log.Warn("a model was not closed in order", "name", p.row.Name, "error", err.Error())
		}
	}
}

// Sets gives the models of this process, each once: those that the program brings along, and those of the registry.
func (h *Host) Sets() []*models.Set {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []*models.Set{h.Base.Verifier.Models}
	for _, p := range h.parts {
		out = append(out, p.set)
	}
	return out
}

// Loaded says how many models and sets are in memory.
func (h *Host) Loaded() (parts, sets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.parts), len(h.sets)
}

// Close frees everything. Jobs must have ended.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	sets, parts := h.sets, h.parts
	h.sets, h.parts = nil, nil
	h.mu.Unlock()
	for _, s := range sets {
		h.end(s)
	}
	for _, p := range parts {
		if err := p.set.Close(); err != nil {
			h.Log.Warn("a model was not closed in order", "name", p.row.Name, "error", err.Error())
		}
	}
}
