package webhook

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/results"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outbox is a store of endpoints and deliveries in memory, with a clock that tests move.
type outbox struct {
	mu         sync.Mutex
	ahead      time.Duration // of the real clock
	endpoints  map[string]results.Endpoint
	deliveries map[string]results.Delivery
	leases     map[string]time.Time
	tries      []results.DeliveryTry
	private    bool
	lose       int // so many of the next Settle calls fail, as if the process had died before them
	settled    chan results.Delivery
}

func newOutbox() *outbox {
	return &outbox{
		endpoints: map[string]results.Endpoint{}, deliveries: map[string]results.Delivery{}, leases: map[string]time.Time{},
		private: true, settled: make(chan results.Delivery, 1000),
	}
}

func (o *outbox) Now() time.Time { o.mu.Lock(); defer o.mu.Unlock(); return o.now() }
func (o *outbox) now() time.Time { return time.Now().UTC().Add(o.ahead) }

func (o *outbox) pass(d time.Duration) { o.mu.Lock(); defer o.mu.Unlock(); o.ahead += d }

func (o *outbox) Due(_ context.Context, _ string, lease time.Duration, n int, skip []string) ([]results.Delivery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due []results.Delivery
	for _, d := range o.deliveries {
		if d.State == results.Pending && !d.NextAt.After(o.now()) && !o.leases[d.ID].After(o.now()) && !slices.Contains(skip, d.Endpoint) {
			due = append(due, d)
		}
	}
	slices.SortFunc(due, func(a, b results.Delivery) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	due = due[:min(n, len(due))]
	for _, d := range due {
		o.leases[d.ID] = o.now().Add(lease)
	}
	return due, nil
}

func (o *outbox) Settle(_ context.Context, d results.Delivery, try results.DeliveryTry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lose > 0 {
		o.lose--
		o.settled <- results.Delivery{}
		return errors.New("the process is dead")
	}
	o.deliveries[d.ID] = d
	o.tries = append(o.tries, try)
	delete(o.leases, d.ID)
	o.settled <- d
	return nil
}

func (o *outbox) Endpoint(_ context.Context, _, id string) (results.Endpoint, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.endpoints[id]
	if !ok {
		return e, results.ErrNotFound
	}
	return e, nil
}

func (o *outbox) DisableEndpoint(_ context.Context, _, id, why string, at time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.endpoints[id]
	e.DisabledAt, e.Why = at, why
	o.endpoints[id] = e
	return nil
}

func (o *outbox) Lag(context.Context) (time.Time, int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var oldest time.Time
	var n int64
	for _, d := range o.deliveries {
		if d.State != results.Pending {
			continue
		}
		n++
		if oldest.IsZero() || d.NextAt.Before(oldest) {
			oldest = d.NextAt
		}
	}
	return oldest, n, nil
}

func (o *outbox) Tenant(context.Context, string) (results.Tenant, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return results.Tenant{ID: "t", Settings: results.Settings{PrivateTarget: o.private}}, nil
}

// plainVault seals nothing, but opens only what the record says.
type plainVault struct{}

func (plainVault) OpenBytes(_ context.Context, tenant, subject, record string, sealed []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte(tenant+"|"+subject+"|"+record+"|"))
	if !ok {
		return nil, errors.New("forged")
	}
	return plain, nil
}

func (o *outbox) endpoint(t *testing.T, id, url string) results.SigningKeys {
	t.Helper()
	keys, err := results.NewSigningKeys(time.Now())
	require.NoError(t, err)
	o.keys(t, id, url, keys)
	return keys
}

func (o *outbox) keys(t *testing.T, id, url string, keys results.SigningKeys) {
	t.Helper()
	raw, err := keys.Marshal()
	require.NoError(t, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.endpoints[id] = results.Endpoint{ID: id, Tenant: "t", URL: url, Keys: append([]byte("t|_tenant|webhook."+id+"|"), raw...)}
}

func (o *outbox) deliver(id, endpoint string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deliveries[id] = results.Delivery{
		ID: id, Tenant: "t", Endpoint: endpoint, Message: "msg-" + id, Type: results.EventVerdictCreated, Payload: []byte(`{"type":"verdict.created"}`),
		Job: "job-" + id, State: results.Pending, NextAt: o.now(),
	}
}

func (o *outbox) get(id string) results.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.deliveries[id]
}

// run runs a sender until stop is called or the test ends.
func (o *outbox) run(t *testing.T, change func(*Options)) (stop func()) {
	t.Helper()
	opts := Options{Store: o, Vault: plainVault{}, Worker: "w", Version: "test", Poll: 5 * time.Millisecond, Timeout: 5 * time.Second}
	if change != nil {
		change(&opts)
	}
	s := New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(stop)
	return stop
}

func han(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func (o *outbox) next(t *testing.T) results.Delivery {
	t.Helper()
	select {
	case d := <-o.settled:
		if why := d.LastError; why != nil { // people read it in their language
			require.NotEmpty(t, why.Rule)
			require.False(t, han(why.Text.EN), why.Text.EN)
			require.True(t, han(why.Text.ZH), why.Text.ZH)
		}
		return d
	case <-time.After(time.Minute):
		require.Fail(t, "nothing was settled")
		return results.Delivery{}
	}
}
