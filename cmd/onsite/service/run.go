package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"onsite/api"
	"onsite/cmd/onsite/config"
	"onsite/pipeline/reuse/index"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/vault"
	"onsite/workers"
	"onsite/workers/intake"
	"onsite/workers/notary"
	"onsite/workers/webhook"
)

// Options are what Run needs beside the configuration.
type Options struct {
	Log   *slog.Logger
	Ready func(Ready) // told once, when requests and jobs are taken
}

// Ready says where a service is.
type Ready struct {
	URL      string // of the API, or of a worker's own page; "" when there is none
	KeyFile  string // where serve wrote its first admin key; "" elsewhere
	FirstKey string // the key itself, at the first start only: for a terminal, not for a log
}

// Run runs a role until ctx ends, then stops it in order: requests are finished, jobs drained, and what they stand on is closed last. The
// configuration was checked for the role. A *Fault says why it could not start; any error means that the process must end with a state
// other than 0.
func Run(ctx context.Context, role config.Role, c config.Config, o Options) error {
	stopTraces, err := startTraces(ctx, c.OTLP, role, o.Log)
	if err != nil {
		return err
	}
	defer stopTraces()
	// The address first: that it is taken shows before anything is touched.
	var web *site
	if role != config.RoleWorker {
		if web, err = listen(ctx, c.API); err != nil {
			return err
		}
		defer web.listener.Close()
	} else if c.Worker.Listen != "" {
		l, err := open(ctx, "worker.listen", c.Worker.Listen)
		if err != nil {
			return err
		}
		defer l.Close()
		web = &site{listener: l}
	}
	var asked net.Listener // by other workers
	if shard, err := index.ParseShard(c.Worker.IndexShard); role == config.RoleWorker && err == nil && !shard.Whole() {
		if asked, err = open(ctx, "worker.index_listen", c.Worker.IndexListen); err != nil {
			return err
		}
		defer asked.Close()
	}
	b, err := openBase(ctx, role, c, o.Log)
	if err != nil {
		return err
	}
	ready := Ready{}
	if web != nil {
		ready.URL = web.url()
	}
	if role == config.RoleServe {
		if ready.FirstKey, err = b.first(ctx); err != nil {
			b.Close()
			return err
		}
		ready.KeyFile = existing(b.folder.Join(keyFile))
	}
	p, err := b.build(role, web, asked)
	if err != nil {
		b.Close()
		return err
	}
	err = p.run(ctx, func() {
		if o.Ready != nil {
			o.Ready(ready)
		}
		o.Log.Info("ready", "role", role, "url", ready.URL, "version", verify.Version)
		notify(ctx, "READY=1")
	})
	notify(context.WithoutCancel(ctx), "STOPPING=1")
	return b.end(err)
}

// end closes everything after the parts have ended, unless a job hangs: what hangs holds what would be closed, for ever, so that the
// process must end as it is.
func (b *base) end(err error) error {
	if errors.Is(err, workers.ErrHung) {
		return fault(err,
			"a job's attempt hangs and cannot be stopped; this process ends so that its supervisor starts a new one, and the job runs again",
			"某个任务卡住且无法停止；本进程将退出，由其守护程序重新启动，该任务会自动重新执行")
	}
	b.Close()
	return err
}

func existing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// part is one thing that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

type parts []part

// run runs all parts. When one fails, all stop; its error is given.
func (p parts) run(ctx context.Context, started func()) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, each := range p {
		group.Go(func() error {
			if err := each.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", each.name, err)
			}
			return nil
		})
	}
	started()
	return group.Wait()
}

// build makes the parts of a role.
func (b *base) build(role config.Role, web *site, asked net.Listener) (parts, error) {
	name := b.cfg.Worker.Name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	apiMetrics := api.NewMetrics(b.registry)
	in := intake.New(intake.Options{
		Store: b.steps, Bell: b.bell, UploadBucket: b.cfg.Objects.S3.UploadBucket, Log: b.log,
		Metrics: intake.NewMetrics(b.registry), Accepted: apiMetrics.Accepted,
	})
	var uploads *intake.Uploads
	var fetch func(context.Context, results.Submission) (vault.Sealed, error)
	if b.s3 != nil {
		uploads = intake.NewUploads(intake.UploadOptions{
			Store: b.steps, Bucket: b.s3, Vault: b.vault, Intake: in, UploadBucket: b.cfg.Objects.S3.UploadBucket,
			MaxBytes: int64(b.cfg.API.MaxUploadBytes), Log: b.log,
		})
		fetch = func(ctx context.Context, s results.Submission) (vault.Sealed, error) {
			m, err := uploads.Fetch(ctx, s)
			return vault.Sealed{Key: m.Key, SHA256: m.SHA256, Bytes: m.Bytes}, err
		}
	}
	earlier, err := b.newArchive(role)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(b, role, earlier, fetch)
	if err != nil {
		return nil, err
	}
	b.later(e.close)
	all := parts{{"models", e.run}}
	if role != config.RoleWorker {
		all = append(all, b.web(web, e, in, apiMetrics))
	} else if web != nil {
		all = append(all, part{"metrics", func(ctx context.Context) error { return web.serve(ctx, b.page(e), nil, b.log) }})
	}
	if role != config.RoleAPI {
		all = append(all, part{"archive", earlier.Run})
		answering, err := b.answering(earlier, asked)
		if err != nil {
			return nil, err
		}
		all = append(all, answering...)
		witnesses, err := b.witnesses()
		if err != nil {
			return nil, err
		}
		log := &notary.Notary{Store: b.steps, Vault: b.vault, Witnesses: witnesses, Name: name, Logger: b.log, Metrics: notary.NewMetrics(b.registry)}
		all = append(all, part{"notary", log.Run})
		all = append(all, b.jobs(name, e)...)
		all = append(all, b.bucket(name, in, uploads)...)
	}
	return all, nil
}

// web is the API.
func (b *base) web(web *site, e *engine, in *intake.Intake, m *api.Metrics) part {
	s := &api.Server{
		Store: b.steps, Vault: forgetful{b.vault, e}, Bell: b.bell, Events: in, Core: e,
		Log: b.log, Metrics: m, Gatherer: b.registry, Clock: b.clock, Version: verify.Version,
		Limits: api.Limits{MediaBytes: int64(b.cfg.API.MaxUploadBytes), MaxWaiting: b.cfg.API.MaxWaiting},
		Print:  printer(), Manifest: b.manifests(),
		PublicURL: b.cfg.API.PublicURL, Secret: b.secret, EventSecret: b.cfg.API.EventSecret.Reveal(),
		Checks: map[string]func(context.Context) error{"objects": b.vault.Ping, "models": e.ready},
		MayMap: mayMap(b.cfg.Intake.MayMap), Registry: e, Objects: b.objects, Operator: operator(b.cfg.API.Operators),
	}
	if b.s3 != nil {
		s.OwnBuckets = []string{b.cfg.Objects.S3.Bucket}
		if b.cfg.Objects.S3.UploadBucket != "" {
			s.Presigner, s.UploadBucket = b.s3, b.cfg.Objects.S3.UploadBucket
			s.OwnBuckets = append(s.OwnBuckets, s.UploadBucket)
		}
	}
	return part{"api", func(ctx context.Context) error { return web.serve(ctx, s.Handler(), s.Drain, b.log) }}
}

// mayMap reads intake.may_map: which tenant may map which place. Without it the API lets the only tenant map what it likes.
func mayMap(entries []string) func(tenant, bucket, prefix string) bool {
	if len(entries) == 0 {
		return nil
	}
	return func(tenant, bucket, prefix string) bool {
		return slices.ContainsFunc(entries, func(e string) bool {
			who, place, _ := strings.Cut(e, ":")
			b, below, _ := strings.Cut(place, "/")
			return who == tenant && b == bucket && strings.HasPrefix(prefix, below)
		})
	}
}

// operator reads api.operators: whose keys may change the models of the whole installation. Without it the only tenant's may.
func operator(tenants []string) func(tenant string) bool {
	if len(tenants) == 0 {
		return nil
	}
	return func(tenant string) bool { return slices.Contains(tenants, tenant) }
}

// jobs are the parts that move jobs.
func (b *base) jobs(name string, e *engine) parts {
	c, m := b.cfg.Worker, workers.NewMetrics(b.registry)
	worker := &workers.Worker{
		Store: b.steps, Queue: b.queue, Core: e, Bell: b.bell, Name: name,
		Concurrency: c.Concurrency, Lease: c.Lease, AttemptTimeout: c.AttemptTimeout, DrainTimeout: c.DrainTimeout, Logger: b.log, Metrics: m,
	}
	dispatcher := &workers.Dispatcher{Store: b.steps, Queue: b.queue, Bell: b.bell, Name: name, Window: c.Window, Logger: b.log, Metrics: m}
	reconciler := &workers.Reconciler{
		Store: b.steps, Queue: b.queue, Bell: b.bell, Name: name, MaxLease: max(4*c.Lease, 30*time.Second), Ready: e.mayResume, Logger: b.log, Metrics: m,
	}
	sequencer := &workers.Sequencer{Store: b.steps, Bell: b.bell, Name: name, Logger: b.log}
	rechecker := &workers.Rechecker{Store: b.steps, Core: e, Bell: b.bell, Name: name, Logger: b.log, Metrics: m}
	janitor := &workers.Janitor{Store: b.steps, Objects: b.objects, Name: name, Logger: b.log, Metrics: m}
	sender := webhook.New(webhook.Options{
		Store: b.steps, Vault: b.vault, Bell: b.bell, Logger: b.log, Metrics: webhook.NewMetrics(b.registry), Worker: name, Version: verify.Version,
	})
	return parts{
		{"worker", e.before(worker.Run)}, {"dispatcher", dispatcher.Run}, {"reconciler", reconciler.Run}, {"sequencer", sequencer.Run},
		{"rechecker", rechecker.Run}, {"janitor", janitor.Run}, {"webhooks", sender.Run},
	}
}

// scanEvery is how often the upload bucket is looked through for what no notification told of.
const scanEvery = time.Minute

// bucket are the parts that follow uploads into buckets.
func (b *base) bucket(name string, in *intake.Intake, uploads *intake.Uploads) (all parts) {
	if list := b.cfg.Intake.List; list != "" {
		all = append(all, part{"intake", func(ctx context.Context) error {
			rdb, ok := b.redis.MakeRedisClient().(redis.UniversalClient)
			if !ok {
				return errors.New("make a Redis client: it is of a kind that is not known")
			}
			defer rdb.Close()
			in.Follow(ctx, rdb, list, name)
			return nil
		}})
	}
	if uploads != nil && b.cfg.Objects.S3.UploadBucket != "" {
		all = append(all, part{"uploads", func(ctx context.Context) error {
			uploads.Watch(ctx, name, scanEvery)
			return nil
		}})
	}
	return all
}

// page is what a worker without an API shows: whether it lives, whether it can work, and its numbers.
func (b *base) page(e *engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]any{"alive": true}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		status, checks := http.StatusOK, map[string]bool{}
		for name, check := range map[string]func(context.Context) error{"store": b.store.Ping, "redis": b.queue.Ping, "objects": b.vault.Ping, "models": e.ready} {
			err := check(ctx)
			if checks[name] = err == nil; err != nil {
				status = http.StatusServiceUnavailable
				b.log.WarnContext(ctx, "not ready", "check", name, "error", err.Error())
			}
		}
		answer(w, status, map[string]any{"ready": status == http.StatusOK, "checks": checks})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.registry, promhttp.HandlerOpts{}))
	return mux
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone, then
}
