package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"onsite/api"
	"onsite/cmd/onsite/config"
	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
	"onsite/workers"
	"onsite/workers/core"
	"onsite/workers/registry"
)

var (
	_ workers.Core = (*engine)(nil)
	_ api.Core     = (*engine)(nil)
)

// engine is the verification core of this process. Its models may be missing when the process starts: it says so, holds what needs them,
// and looks again, so that an installation that is completed later goes on without a restart.
type engine struct {
	log     *slog.Logger
	again   time.Duration // between two looks for missing models
	options core.Options
	models  models.Options
	store   results.Store
	objects object.Store
	bell    results.Bell
	fetched string // folder of the models that come of the registry
	name    string // of this process among those that run models
	role    config.Role

	tried   chan struct{} // closed after the first try to load the models, however it ended
	trying  sync.Mutex    // held by the one who loads
	mu      sync.Mutex
	runs    workers.Core // what runs jobs; nil: not yet
	full    *core.Core   // the same with models; nil: not yet, or a measurement
	host    *registry.Host
	follow  *registry.Follower
	shadow  *registry.Shadow
	numbers *registry.Metrics
	err     error // why not
}

// newEngine makes the engine of a configuration. fetch is nil where there are no buckets.
func newEngine(b *base, role config.Role, archive core.Archive, fetch func(context.Context, results.Submission) (vault.Sealed, error)) (*engine, error) {
	decoder, err := media.NewDecoder(media.Options{})
	if err != nil {
		return nil, fault(err,
			fmt.Sprintf("the decoder child cannot be used: %v; run \"make build\", or name it with ONSITE_DECODER", err),
			fmt.Sprintf("无法使用解码器子程序：%v；请运行 make build，或用 ONSITE_DECODER 指定", err))
	}
	if role != config.RoleAPI { // it looks at photos of enrolment, and must be small
		Ballast()
	}
	e := &engine{
		fetched: cmp.Or(b.cfg.Worker.RegistryDir, filepath.Join(models.CacheDir(), "registry")),
		tried:   make(chan struct{}), log: b.log, store: b.steps, objects: b.objects, bell: b.bell, name: hostName(), role: role, again: 5 * time.Second, models: ModelOptions(b.cfg.Worker),
		options: core.Options{Store: b.steps, Vault: b.vault, Verifier: &verify.Verifier{Decoder: decoder}, Fetch: fetch, Archive: archive, Logger: b.log, MeasuringOnly: b.cfg.Measure},
	}
	b.registry.MustRegister(newModelNumbers(e.modelStats))
	e.numbers = registry.NewMetrics(b.registry)
	switch b.cfg.Worker.Core {
	case config.CoreNoop:
		e.runs, err = core.NewNoop(e.options, b.cfg.Worker.NoopWait)
	case config.CoreDecoding:
		e.runs, err = core.NewDecoding(e.options)
	}
	if err != nil {
		return nil, fmt.Errorf("make the core %s: %w", b.cfg.Worker.Core, err)
	}
	if e.runs != nil {
		b.log.Warn("this installation is for measurements: nobody is verified", "core", b.cfg.Worker.Core)
	}
	return e, nil
}

// ModelOptions is how a configuration wants the models opened.
func ModelOptions(w config.Worker) models.Options {
	o := models.OptionsFor(models.Provider(w.Provider))
	if w.Runtime != "" {
		o.Library = w.Runtime
	}
	o.Manifests, o.Device, o.Batch, o.BatchDelay = w.Models, w.Device, w.Batch, w.BatchDelay
	return o
}

// run loads the models, and keeps trying while they are missing.
func (e *engine) run(ctx context.Context) error {
	var first sync.Once
	said := ""
	for {
		err := e.load(ctx)
		first.Do(func() { close(e.tried) })
		if err == nil {
			return e.registry(ctx)
		}
		if text := err.Error(); text != said && ctx.Err() == nil {
			said = text
			e.sayWhy(ctx, err)
		}
		timer := time.NewTimer(e.again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// sayWhy writes to the log why there are no models.
func (e *engine) sayWhy(ctx context.Context, err error) {
	args := []any{"error", err.Error()}
	var provider *models.ProviderError
	if errors.As(err, &provider) {
		args = append(args, "error_zh", provider.Chinese())
	}
	e.log.ErrorContext(ctx, "the models cannot be used: jobs are held until they can; run \"onsite doctor\"", args...)
}

// before lets a part wait for the first try to load the models: a worker that took jobs meanwhile would only hold them, and raise an alarm.
func (e *engine) before(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-e.tried:
			return run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// load opens the models and runs each once. A second call waits for the first.
func (e *engine) load(ctx context.Context) error {
	e.trying.Lock()
	defer e.trying.Unlock()
	e.mu.Lock()
	there := e.runs != nil
	e.mu.Unlock()
	if there {
		return nil
	}
	began := time.Now()
	c, err := e.open(ctx)
	e.mu.Lock()
	if e.err = err; err != nil {
		e.mu.Unlock()
		return err
	}
	e.runs, e.full = c, c
	e.host = &registry.Host{
		Store: e.store, Files: &registry.Files{Objects: e.objects, Dir: e.fetched}, Base: c, Options: e.models, Log: e.log,
	}
	e.follow = &registry.Follower{Host: e.host, Store: e.store, Bell: e.bell, Name: e.name, Role: string(e.role), Log: e.log, Metrics: e.numbers}
	e.shadow = registry.NewShadow(e.host, e.store, e.log)
	e.shadow.Metrics = e.numbers
	follow := e.follow
	e.mu.Unlock()                            // what follows may fetch and load large models: nobody else waits for that
	if err := follow.Once(ctx); err != nil { // jobs that come before it goes on are refused, and run a little later
		e.log.Warn("the epochs of models could not be read yet", "error", err.Error())
	}
	e.log.Info("the models are loaded", "provider", e.models.Provider, "took_ms", time.Since(began).Milliseconds())
	return nil
}

func (e *engine) open(ctx context.Context) (*core.Core, error) {
	set, err := models.Open(e.models)
	if err != nil {
		return nil, err
	}
	o := e.options
	o.Verifier = &verify.Verifier{Decoder: e.options.Verifier.Decoder, Models: set}
	c, err := core.New(o)
	if err == nil {
		err = c.Warm(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, set.Close())
	}
	return c, nil
}

// errLoading is why a job or a request waits in the first seconds of a process.
var errLoading = &models.NotReadyError{Why: "the models are being loaded"}

// core gives what runs jobs, or why there is none.
func (e *engine) core() (workers.Core, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.runs != nil:
		return e.runs, nil
	case e.err != nil:
		return nil, e.err
	}
	return nil, errLoading
}

// faces gives the core with models, or why there is none.
func (e *engine) faces() (*core.Core, error) {
	if _, err := e.core(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.full == nil {
		return nil, api.ErrMeasuring
	}
	return e.full, nil
}

// ready is the models' part of /readyz.
func (e *engine) ready(context.Context) error {
	_, err := e.core()
	return err
}

// mayResume says whether jobs that are held for want of a model can run here now.
func (e *engine) mayResume(ctx context.Context, _ string) error { return e.ready(ctx) }

// registry follows the epochs of models for as long as the process runs, and in one that runs jobs tries candidates and brings promotions to
// their end.
func (e *engine) registry(ctx context.Context) error {
	e.mu.Lock()
	host, follow, shadow := e.host, e.follow, e.shadow
	e.mu.Unlock()
	if host == nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return follow.Run(ctx) })
	if e.role != config.RoleAPI {
		keeper := &registry.Keeper{Host: host, Store: e.store, Bell: e.bell, Name: e.name, Log: e.log, Shadow: shadow}
		g.Go(func() error { return shadow.Run(ctx) })
		comparer := &registry.Comparer{Host: host, Store: e.store, Bell: e.bell, Name: e.name, Log: e.log, Metrics: e.numbers}
		g.Go(func() error { return keeper.Run(ctx) })
		g.Go(func() error { return comparer.Run(ctx) })
	}
	return g.Wait()
}

// hostName names this process among those that run models: a process that is started again is another one.
func hostName() string {
	machine, err := os.Hostname()
	if err != nil {
		machine = "onsite"
	}
	return fmt.Sprintf("%s-%d-%s", machine, os.Getpid(), strings.ToLower(ulid.Make().String()[20:]))
}

// close frees the models. It waits for calls that run.
func (e *engine) close() {
	e.mu.Lock()
	full, host := e.full, e.host
	e.mu.Unlock()
	if full == nil {
		return
	}
	host.Close()
	full.Close()
	if err := full.Verifier.Models.Close(); err != nil {
		e.log.Warn("the models were not closed in order", "error", err.Error())
	}
}

// take gives the set of models that a tenant's job runs, once; an empty job asks for what its photos are looked at with. What an API process
// lacks it loads while the request waits.
func (e *engine) take(ctx context.Context, tenant, job string) (registry.Taken, error) {
	if _, err := e.faces(); err != nil {
		return registry.Taken{}, err
	}
	t, err := e.host.Take(ctx, tenant, job)
	var late *registry.LateError
	if job == "" && errors.As(err, &late) {
		var epoch results.Epoch
		if epoch, err = e.store.Epoch(ctx, late.Epoch); err == nil {
			err = e.host.Stage(ctx, epoch)
		}
		if err == nil {
			t, err = e.host.TakeAt(ctx, late.Epoch, tenant, job)
		}
	}
	return t, err
}

// Run is workers.Core. A job has one set of models from its beginning to its end.
func (e *engine) Run(ctx context.Context, l results.Lease) (results.Finish, error) {
	c, err := e.core()
	if err != nil {
		return results.Finish{}, err
	}
	if e.measuring() {
		return c.Run(ctx, l)
	}
	t, err := e.take(ctx, l.Sub.Tenant, l.Sub.Job)
	if err != nil {
		return results.Finish{}, err
	}
	defer t.Done()
	lane := results.LaneMain
	if t.Under != nil {
		lane = results.Lane(t.Under.Lane)
	}
	e.numbers.Took(lane)
	f, err := t.Core.RunUnder(ctx, l, t.Under)
	if err == nil {
		e.shadow.Offer(l.Sub.Tenant, l.Sub.Job)
	}
	return f, err
}

// measuring says that nobody is verified here.
func (e *engine) measuring() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.full == nil
}

// Recheck is workers.Core.
func (e *engine) Recheck(ctx context.Context, l results.Late) error {
	c, err := e.core()
	if err != nil {
		return err
	}
	return c.Recheck(ctx, l)
}

// Enroll is api.Core.
func (e *engine) Enroll(ctx context.Context, tenant, subject string, add []api.NewPhoto, enrolled []results.Photo) (api.Looked, error) {
	t, err := e.take(ctx, tenant, "")
	if err != nil {
		return api.Looked{}, err
	}
	defer t.Done()
	photos := make([]core.NewPhoto, len(add))
	for i, p := range add {
		photos[i] = core.NewPhoto(p)
	}
	looked, err := t.Core.Enroll(ctx, tenant, subject, photos, enrolled)
	out := api.Looked{Photos: make([]api.PhotoFinding, len(looked.Photos)), Templates: looked.Templates}
	for i, p := range looked.Photos {
		out.Photos[i] = api.PhotoFinding(p)
	}
	return out, err
}

// LookAlike is api.Core.
func (e *engine) LookAlike(ctx context.Context, tenant, subject string, templates []results.Template) ([]api.LookAlike, error) {
	t, err := e.take(ctx, tenant, "")
	if err != nil {
		return nil, err
	}
	defer t.Done()
	alike, err := t.Core.LookAlike(ctx, tenant, subject, templates)
	out := make([]api.LookAlike, len(alike))
	for i, a := range alike {
		out[i] = api.LookAlike{Subject: a.Subject, Similarity: a.Similarity}
	}
	return out, err
}

// CheckSite is api.Core.
func (e *engine) CheckSite(ctx context.Context, site *pipeline.Site) (*pipeline.RoomVectors, error) {
	c, err := e.faces()
	if err != nil {
		return nil, err
	}
	return c.CheckSite(ctx, site)
}

// TrySite is api.Core.
func (e *engine) TrySite(ctx context.Context, site *pipeline.Site, photo pipeline.Media, at time.Time) (scene.Trial, error) {
	c, err := e.faces()
	if err != nil {
		return scene.Trial{}, err
	}
	return c.TrySite(ctx, site, photo, at)
}

// Reconsider is api.Core. It needs no models; what measures without any can do it, too.
func (e *engine) Reconsider(ctx context.Context, tenant, job string) (results.Verdict, bool, error) {
	c, err := e.core()
	if err != nil {
		return results.Verdict{}, false, err
	}
	full, ok := c.(*core.Core)
	if !ok {
		return results.Verdict{}, false, api.ErrMeasuring
	}
	v, changed, err := full.Reconsider(ctx, tenant, job)
	if errors.Is(err, core.ErrNoPrint) {
		err = api.ErrNoFootage
	}
	return v, changed, err
}

// Models is api.Core.
func (e *engine) Models() []api.Model {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	t, err := e.take(ctx, "", "")
	if err != nil {
		return nil
	}
	defer t.Done()
	var out []api.Model
	for _, m := range t.Core.Models() {
		out = append(out, api.Model{
			ModelRef: pipeline.ModelRef{Task: m.Task, Name: m.Name, Version: m.Version, SHA256: m.SHA256}, Licence: m.Licence,
			Note: m.Note, State: m.State, Why: m.Why,
		})
	}
	return out
}

// forgetful is the API's vault: what it erases, the core of this process forgets at once.
type forgetful struct {
	*vault.Vault
	engine *engine
}

func (f forgetful) Erase(ctx context.Context, tenant, subject string, a results.AuditEntry) error {
	err := f.Vault.Erase(ctx, tenant, subject, a)
	if c, ferr := f.engine.faces(); ferr == nil {
		c.Forget(tenant, subject)
	}
	return err
}

// Reverify is api.Core. A recipe that is not the current one runs with the set of models of then, also where that is retired.
func (e *engine) Reverify(ctx context.Context, tenant, job, asked string) (out api.Reverified, err error) {
	defer func() {
		var cannot *core.CannotReverify
		if errors.As(err, &cannot) {
			err = &api.CannotReverify{State: cannot.State, Text: cannot.Text}
		}
	}()
	recipe, err := core.FindRecipe(ctx, e.store, tenant, job, asked)
	if err != nil {
		return out, err
	}
	t, err := e.takeFor(ctx, tenant, recipe)
	if err != nil {
		return out, err
	}
	defer t.Done()
	r, err := t.Core.Reverify(ctx, tenant, job, recipe)
	return api.Reverified{Comparison: r.Comparison, Gone: r.Gone, Verdict: r.Verdict}, err
}

// takeFor gives the set of models that a verdict is made again with.
func (e *engine) takeFor(ctx context.Context, tenant string, r core.Recipe) (registry.Taken, error) {
	if r.Asked == core.Current {
		return e.take(ctx, tenant, "")
	}
	if _, err := e.faces(); err != nil {
		return registry.Taken{}, err
	}
	t, err := e.host.Again(ctx, r.Like)
	var unusable *registry.UnusableError
	if errors.As(err, &unusable) {
		return t, &api.CannotReverify{State: "models_missing", Text: pipeline.Text{
			EN: "a model that the verdict was made with cannot be loaded any more: " + err.Error(), ZH: "生成结论所用的模型已无法加载：" + err.Error(),
		}}
	}
	return t, err
}
