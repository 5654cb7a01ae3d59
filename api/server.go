package api

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/object"
)

// Limits bound what one request may take.
type Limits struct {
	MediaBytes   int64         // of one submitted file; 500 MiB
	BodyBytes    int64         // of a JSON body; 1 MiB
	EventBytes   int64         // of a bucket's notification that is read, at least what the intake reads; 8 MiB
	MaxWaiting   int           // unfinished jobs of a tenant that sets no bound of its own; 20,000
	MaxQueue     int           // unfinished jobs of everyone; 200,000
	Wait         time.Duration // longest ?wait=; 60 s
	ReadIdle     time.Duration // a client that sends nothing, or takes nothing of a file, for so long is let go; 30 s
	WriteTimeout time.Duration // of an answer that is not a stream; 60 s
	UploadTTL    time.Duration // how long an upload URL lives; 15 min
	KeyTTL       time.Duration // how long a key or a looked-up name is believed; 2 s
	Streams      int           // open server-sent event streams and long polls, half of them of one tenant; 2,000
	OpenMedia    int           // media and keyframes that are sent at once, half of them of one tenant; each is in memory while it is; 8
}

func (l Limits) withDefaults() Limits {
	fill(&l.MediaBytes, 500<<20)
	fill(&l.BodyBytes, 1<<20)
	fill(&l.EventBytes, 8<<20)
	fill(&l.MaxWaiting, 20_000)
	fill(&l.MaxQueue, 200_000)
	fill(&l.Wait, time.Minute)
	fill(&l.ReadIdle, 30*time.Second)
	fill(&l.WriteTimeout, time.Minute)
	fill(&l.UploadTTL, 15*time.Minute)
	fill(&l.KeyTTL, 2*time.Second)
	fill(&l.Streams, 2_000)
	fill(&l.OpenMedia, 8)
	return l
}

func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Server answers HTTP. Set the exported fields, then call Handler once. It holds no goroutine of its own but the accept collector,
// which lives while requests are in it.
type Server struct {
	Store     results.Store
	Vault     Vault
	Bell      results.Bell
	Presigner Presigner // nil: upload URLs lead back to this server
	Events    Events    // nil: no bucket notifications
	Core      Core
	Registry  Registry     // loads models of the registry; nil: it is only shown
	Objects   object.Store // keeps their files; nil: none can be added
	// Operator says whether a tenant may change the models of the whole installation; nil: where there is one tenant only.
	Operator func(tenant string) bool

	Log      *slog.Logger        // nil: slog.Default
	Metrics  *Metrics            // nil: none
	Gatherer prometheus.Gatherer // nil: no /metrics
	Limits   Limits
	Clock    func() time.Time // nil: time.Now
	Version  string

	// UploadBucket is where presigned uploads go; with Presigner only.
	UploadBucket string
	// OwnBuckets are buckets that nobody may map, because they hold sealed objects.
	OwnBuckets []string
	// MayMap says whether a tenant's administrator may map uploads in a bucket to the tenant; nil: where there is one tenant only.
	MayMap func(tenant, bucket, prefix string) bool
	// PublicURL is how clients reach this server (https://onsite.example), for links that must be absolute; "": taken from the request.
	PublicURL string
	// Secret signs cursors and upload URLs; all API processes of one installation must share it. 32 bytes or more.
	Secret []byte
	// EventSecret is what bucket notifications must bring as "Authorization: Bearer"; "": the route answers 404.
	EventSecret string
	// Print makes a PDF of a page of ours; nil: no PDFs.
	Print func(ctx context.Context, html []byte) ([]byte, error)
	// Manifest gives the YAML of a model's manifest; nil, and nil from it: not known.
	Manifest func(pipeline.ModelRef) []byte
	// Checks are asked by /readyz; nil from each means ready.
	Checks map[string]func(context.Context) error

	renewEvery time.Duration // of reserved idempotency keys; 0: a third of their time
	patience   time.Duration // how long a download waits for a place; 0: mediaPatience

	api       huma.API
	ops       []*huma.Operation // as registered, for the tests that walk over all of them
	keys      *cache[results.APIKey]
	names     *cache[int] // subjects, sites and policies that are there, with their revision
	people    *cache[results.Tenant]
	maps      *cache[[]results.BucketMap]
	probes    *cache[error] // what /readyz found
	collector *collector
	waiting   *waiting
	open      *places       // of open streams and long polls
	plain     *places       // of opened media: each is in memory while it is sent
	examined  *places       // of models that are looked at
	looking   chan struct{} // one entry for every enrolment whose faces are looked at
	remaking  chan struct{} // one entry for the verdict that is being made again
	drained   chan struct{}
	drain     sync.Once
	once      sync.Once
	built     http.Handler
}

// Handler builds the routes.
func (s *Server) Handler() http.Handler {
	s.once.Do(s.build)
	return s.built
}

func (s *Server) build() {
	if len(s.Secret) < 32 {
		panic("api.Server: Secret must have 32 bytes or more")
	}
	if s.Log == nil {
		s.Log = slog.Default()
	}
	if s.Clock == nil {
		s.Clock = time.Now
	}
	s.Limits = s.Limits.withDefaults()
	fill(&s.patience, mediaPatience)
	s.keys = newCache[results.APIKey](s.Limits.KeyTTL, s.Clock)
	s.names = newCache[int](s.Limits.KeyTTL, s.Clock)
	s.people = newCache[results.Tenant](s.Limits.KeyTTL, s.Clock)
	s.maps = newCache[[]results.BucketMap](s.Limits.KeyTTL, s.Clock)
	s.probes = newCache[error](readyFor, s.Clock)
	s.collector = &collector{store: s.Store, rung: func(ctx context.Context) { s.Bell.Ring(ctx, results.BellWork) }}
	s.waiting = &waiting{store: s.Store, clock: s.Clock}
	s.open, s.plain = newPlaces(s.Limits.Streams), newPlaces(s.Limits.OpenMedia)
	s.examined = newPlaces(1)
	s.drained = make(chan struct{})

	mux := http.NewServeMux()
	s.api = s.newAPI(mux)
	s.routes()
	s.health(mux)
	s.built = s.outer(mux)
}

// routes registers every operation. Each file of routes has one function here.
func (s *Server) routes() {
	s.submissionRoutes()
	s.challengeRoutes()
	s.uploadRoutes()
	s.eventRoutes()
	s.jobRoutes()
	s.verdictRoutes()
	s.noticeRoutes()
	s.mediaRoutes()
	s.configurationRoutes()
}

// Drain ends all long polls and event streams, so that a server that shuts down need not wait for them.
func (s *Server) Drain() {
	s.Handler()
	s.drain.Do(func() { close(s.drained) })
}

// tenant gives the caller's tenant with its settings, as of at most KeyTTL ago.
func (s *Server) tenant(ctx context.Context) (results.Tenant, error) {
	id := PrincipalOf(ctx).Tenant
	return s.people.get(ctx, id, func(ctx context.Context) (results.Tenant, error) { return s.Store.Tenant(ctx, id) })
}

func (s *Server) now() time.Time { return s.Clock().UTC() }

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }
