package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"onsite/results"
)

// Store is what the sender needs of the results store.
type Store interface {
	Due(ctx context.Context, worker string, lease time.Duration, n int, skip []string) ([]results.Delivery, error)
	Settle(ctx context.Context, d results.Delivery, try results.DeliveryTry) error
	Endpoint(ctx context.Context, tenant, id string) (results.Endpoint, error)
	DisableEndpoint(ctx context.Context, tenant, id, why string, at time.Time) error
	Lag(ctx context.Context) (oldest time.Time, pending int64, err error)
	Tenant(ctx context.Context, id string) (results.Tenant, error)
	Now() time.Time
}

// Vault opens the endpoints' signing keys.
type Vault interface {
	OpenBytes(ctx context.Context, tenant, subject, record string, sealed []byte) ([]byte, error)
}

// Options are what a Sender needs. Zero numbers mean the default beside them.
type Options struct {
	Store   Store
	Vault   Vault
	Bell    results.Bell // nil: poll only
	Logger  *slog.Logger
	Metrics *Metrics
	Worker  string // who takes deliveries; the same name for no two processes
	Version string // of the program, for the User-Agent

	Parallel    int            // deliveries at a time; 256
	PerEndpoint int            // of one endpoint, so that a slow one does not hold up the others; 8
	Timeout     time.Duration  // of one attempt; 15 s
	Poll        time.Duration  // how often the outbox is looked at without a bell; 1 s
	Roots       *x509.CertPool // certificates that receivers are trusted by; nil: the system's
}

func (o Options) filled() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Parallel <= 0 {
		o.Parallel = 256
	}
	if o.PerEndpoint <= 0 {
		o.PerEndpoint = 8
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	return o
}

// leaseTimeouts is for how many timeouts a delivery is taken: an endpoint that times out works off the most that can wait for it (its own
// deliveries and two batches) well within. It is also how long what a killed process had taken waits for another one.
const leaseTimeouts = 6

// Sender sends deliveries. It is made by New and runs until the context of Run ends.
type Sender struct {
	Options
	public, private client
	tenants         tenants

	mu    sync.Mutex
	lanes map[string]*lane // by endpoint, those with something under way
	total int              // deliveries taken and not settled
	wake  chan struct{}    // a slot became free
}

// lane is the deliveries of one endpoint: those under way and those that wait for them.
type lane struct {
	running int
	queue   []results.Delivery
}

// New makes a sender.
func New(o Options) *Sender {
	o = o.filled()
	return &Sender{
		Options: o, public: newClient(false, o), private: newClient(true, o), tenants: tenants{store: o.Store, rows: map[string]tenantRow{}},
		lanes: map[string]*lane{}, wake: make(chan struct{}, 1),
	}
}

// Run sends until ctx ends; then it takes nothing more, waits for the attempts that are under way, and returns. What was taken and not
// begun is sent by another process when its lease is over.
func (s *Sender) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	defer s.close()
	defer wait.Wait()
	wait.Go(func() { s.measure(ctx) })
	var bell <-chan struct{}
	if s.Bell != nil {
		bell = s.Bell.Listen(ctx, results.BellOutbox)
	}
	poll := time.NewTicker(s.Poll)
	defer poll.Stop()
	for {
		s.take(ctx, &wait)
		select {
		case <-ctx.Done():
			s.drop()
			return nil
		case _, open := <-bell:
			if !open {
				bell = nil
			}
		case <-s.wake:
		case <-poll.C:
		}
	}
}

func (s *Sender) close() {
	s.public.CloseIdleConnections()
	s.private.CloseIdleConnections()
}

// take takes due deliveries as long as there are some and slots for them. It takes a batch at a time and none of an endpoint that has as
// many as it may, so that however many wait for one endpoint, those of others are found behind them.
func (s *Sender) take(ctx context.Context, wait *sync.WaitGroup) {
	for ctx.Err() == nil {
		room, busy := s.room()
		if room <= 0 {
			return
		}
		n := min(room, 2*s.PerEndpoint)
		due, err := s.Store.Due(ctx, s.Worker, leaseTimeouts*s.Timeout, n, busy)
		if err != nil {
			if ctx.Err() == nil {
				s.Logger.Error("read the outbox", "error", err)
			}
			return
		}
		for _, d := range due {
			s.start(ctx, d, wait)
		}
		if len(due) < n {
			return
		}
	}
}

// room says how many more deliveries may be taken, and which endpoints have enough.
func (s *Sender) room() (n int, busy []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.lanes {
		if l.running >= s.PerEndpoint {
			busy = append(busy, id)
		}
	}
	return s.Parallel - s.total, busy
}

// start begins a delivery, or lets it wait for the others of its endpoint.
func (s *Sender) start(ctx context.Context, d results.Delivery, wait *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[d.Endpoint]
	if l == nil {
		l = &lane{}
		s.lanes[d.Endpoint] = l
	}
	s.total++
	if l.running >= s.PerEndpoint {
		l.queue = append(l.queue, d)
		return
	}
	l.running++
	// An attempt that was begun is brought to its end: to stop it would only mean to send it again.
	wait.Go(func() { s.work(context.WithoutCancel(ctx), d) })
}

// work brings deliveries of one endpoint to their end, one after the other, until none waits.
func (s *Sender) work(ctx context.Context, d results.Delivery) {
	for more := true; more; {
		s.deliver(ctx, d)
		d, more = s.done(d.Endpoint)
	}
}

// done frees the slot of a delivery and gives the next one of its endpoint.
func (s *Sender) done(endpoint string) (results.Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	l := s.lanes[endpoint]
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if len(l.queue) > 0 {
		d := l.queue[0]
		l.queue = l.queue[1:]
		return d, true
	}
	if l.running--; l.running == 0 {
		delete(s.lanes, endpoint)
	}
	return results.Delivery{}, false
}

// drop forgets what waits.
func (s *Sender) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		s.total -= len(l.queue)
		l.queue = nil
	}
}

// measureEvery is how often the lag is looked at.
const measureEvery = 5 * time.Second

// measure keeps the gauges until ctx ends.
func (s *Sender) measure(ctx context.Context) {
	every := time.NewTicker(measureEvery)
	defer every.Stop()
	for {
		oldest, pending, err := s.Store.Lag(ctx)
		switch {
		case err != nil:
		case oldest.IsZero():
			s.Metrics.waiting(0, pending)
		default:
			s.Metrics.waiting(max(0, s.Store.Now().Sub(oldest)), pending)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// tenants remembers for a moment which tenants allow private addresses.
type tenants struct {
	store Store
	mu    sync.Mutex
	rows  map[string]tenantRow
}

type tenantRow struct {
	private bool
	until   time.Time
}

// tenantFor is how long a tenant's settings are believed.
const tenantFor = 5 * time.Second

func (t *tenants) private(ctx context.Context, id string) (bool, error) {
	now := time.Now()
	t.mu.Lock()
	row, ok := t.rows[id]
	t.mu.Unlock()
	if ok && now.Before(row.until) {
		return row.private, nil
	}
	tenant, err := t.store.Tenant(ctx, id)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return false, err
	}
	row = tenantRow{tenant.Settings.PrivateTarget, now.Add(tenantFor)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[id] = row
	return row.private, nil
}
