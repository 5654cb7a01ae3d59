package webhook

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"onsite/results"
)

// received is one request as a receiver saw it.
type received struct {
	header http.Header
	body   []byte
}

// receiver answers with the statuses in turn, the last one for ever.
func receiver(t *testing.T, statuses ...int) (url string, got func() []received) {
	t.Helper()
	var mu sync.Mutex
	var all []received
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		status := statuses[min(len(all), len(statuses)-1)]
		all = append(all, received{r.Header.Clone(), body})
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/hook?token=secret", func() []received {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// checked verifies both signatures without any of the sender's code.
func checked(t *testing.T, r received, secret, public string) (hmacOK, edOK bool) {
	t.Helper()
	cut := func(s, prefix string) []byte {
		text, ok := strings.CutPrefix(s, prefix)
		require.True(t, ok)
		raw, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		return raw
	}
	content := []byte(r.header.Get("webhook-id") + "." + r.header.Get("webhook-timestamp") + "." + string(r.body))
	mac := hmac.New(sha256.New, cut(secret, "whsec_"))
	mac.Write(content)
	for part := range strings.SplitSeq(r.header.Get("webhook-signature"), " ") {
		version, text, ok := strings.Cut(part, ",")
		require.True(t, ok)
		sig, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		switch version {
		case "v1":
			hmacOK = hmacOK || hmac.Equal(sig, mac.Sum(nil))
		case "v1a":
			edOK = edOK || ed25519.Verify(cut(public, "whpk_"), content, sig)
		default:
			require.Fail(t, "unknown version "+version)
		}
	}
	return hmacOK, edOK
}

// counted waits until the metrics have a line.
func counted(t *testing.T, registry *prometheus.Registry, line string) {
	t.Helper()
	require.Eventually(t, func() bool {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return strings.Contains(w.Body.String(), line+"\n")
	}, time.Minute, 5*time.Millisecond, line)
}

func TestDeliversSigned(t *testing.T) {
	o := newOutbox()
	url, got := receiver(t, 204)
	keys := o.endpoint(t, "e", url)
	o.deliver("1", "e")
	registry := prometheus.NewRegistry()
	var logged bytes.Buffer
	stop := o.run(t, func(opts *Options) {
		opts.Metrics = NewMetrics(registry)
		opts.Logger = slog.New(slog.NewJSONHandler(&logged, nil))
	})
	d := o.next(t)
	require.Equal(t, results.Delivered, d.State)
	require.Equal(t, 204, d.LastStatus)
	require.Equal(t, 1, d.Attempt)
	require.False(t, d.DoneAt.IsZero())
	require.Len(t, o.tries, 1)
	r := got()[0]
	require.Equal(t, "msg-1", r.header.Get("webhook-id"))
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.Equal(t, "onsite/test", r.header.Get("User-Agent"))
	require.Equal(t, `{"type":"verdict.created"}`, string(r.body)) //nolint:testifylint // the signature is over these bytes
	sent, err := strconv.ParseInt(r.header.Get("webhook-timestamp"), 10, 64)
	require.NoError(t, err)
	require.InDelta(t, time.Now().Unix(), sent, 5)

	s := keys.Signers[0]
	h, e := checked(t, r, s.Secret, s.Public())
	require.True(t, h)
	require.True(t, e)
	hook, err := standardwebhooks.NewWebhook(s.Secret) // as receivers do it
	require.NoError(t, err)
	require.NoError(t, hook.Verify(r.body, r.header))
	other, err := results.NewSigningKeys(time.Now())
	require.NoError(t, err)
	h, e = checked(t, r, other.Signers[0].Secret, other.Signers[0].Public())
	require.False(t, h)
	require.False(t, e)
	counted(t, registry, `onsite_webhook_attempts_total{result="delivered"} 1`)
	stop()
	require.Contains(t, logged.String(), `"job":"job-1"`)
	require.NotContains(t, logged.String(), "token")
}

// While a rotation lasts, receivers may hold the old key or the new one.
func TestRotation(t *testing.T) {
	o := newOutbox()
	url, got := receiver(t, 200)
	old := o.endpoint(t, "e", url)
	now := o.Now()
	rotated, err := old.Rotated(now, time.Hour)
	require.NoError(t, err)
	o.keys(t, "e", url, rotated)
	o.deliver("1", "e")
	o.run(t, nil)
	require.Equal(t, results.Delivered, o.next(t).State)
	for _, s := range rotated.Signers {
		h, e := checked(t, got()[0], s.Secret, s.Public())
		require.True(t, h && e)
	}
	o.pass(2 * time.Hour)
	o.deliver("2", "e")
	require.Equal(t, results.Delivered, o.next(t).State)
	h, e := checked(t, got()[1], old.Signers[0].Secret, old.Signers[0].Public())
	require.False(t, h || e, "an ended key signs no more")
	h, e = checked(t, got()[1], rotated.Signers[0].Secret, rotated.Signers[0].Public())
	require.True(t, h && e)
}

// The whole schedule, then no more.
func TestRetriesOnTheSchedule(t *testing.T) {
	o := newOutbox()
	url, got := receiver(t, 500)
	o.endpoint(t, "e", url)
	o.deliver("1", "e")
	o.run(t, nil)
	for i := range len(schedule) + 1 {
		d := o.next(t)
		require.Equal(t, i+1, d.Attempt)
		require.Equal(t, 500, d.LastStatus)
		if i == len(schedule) {
			require.Equal(t, results.Failed, d.State)
			break
		}
		require.Equal(t, results.Pending, d.State)
		wait := d.NextAt.Sub(o.Now())
		require.InDelta(t, float64(schedule[i])*1.1, float64(wait), float64(schedule[i])*0.1+float64(time.Second), "after attempt %d", i+1)
		o.pass(wait)
	}
	ids := map[string]bool{}
	for _, r := range got() {
		ids[r.header.Get("webhook-id")] = true
	}
	require.Len(t, got(), 10)
	require.Equal(t, map[string]bool{"msg-1": true}, ids)

	o.deliver("1", "e") // what Replay does: pending, from the start
	require.Equal(t, 1, o.next(t).Attempt)
}

func TestRetryAfter(t *testing.T) {
	now := time.Now()
	h := func(v string) http.Header { return http.Header{"Retry-After": {v}} }
	require.Equal(t, 90*time.Second, retryAfter(h("90"), now))
	require.Equal(t, longestAsked, retryAfter(h("99999999"), now))
	require.Zero(t, retryAfter(h("-5"), now))
	require.Zero(t, retryAfter(h("soon"), now))
	require.InDelta(t, float64(time.Minute), float64(retryAfter(h(now.Add(time.Minute).UTC().Format(http.TimeFormat)), now)), float64(2*time.Second))
	wait, again := next(1, time.Hour)
	require.True(t, again)
	require.Equal(t, time.Hour, wait, "a receiver that asks for time gets it")
	_, again = next(10, 0)
	require.False(t, again)
}

func TestGoneDisables(t *testing.T) {
	o := newOutbox()
	url, got := receiver(t, 410)
	o.endpoint(t, "e", url)
	o.deliver("1", "e")
	registry := prometheus.NewRegistry()
	o.run(t, func(opts *Options) { opts.Metrics = NewMetrics(registry) })
	d := o.next(t)
	require.Equal(t, results.Failed, d.State)
	require.Eventually(t, func() bool {
		e, err := o.Endpoint(t.Context(), "t", "e")
		return err == nil && !e.DisabledAt.IsZero() && e.Why == "gone"
	}, time.Minute, 5*time.Millisecond)
	o.deliver("2", "e")
	d = o.next(t)
	require.Equal(t, results.Failed, d.State)
	require.Contains(t, d.LastError.Say(), "answered that it is gone for good")
	require.Len(t, got(), 1, "nothing is sent to it any more")
	counted(t, registry, fmt.Sprintf("onsite_webhook_attempts_total{result=%q} 1", resultGone))
}

func TestDeletedEndpoint(t *testing.T) {
	o := newOutbox()
	o.deliver("1", "nowhere")
	o.run(t, nil)
	d := o.next(t)
	require.Equal(t, results.Failed, d.State)
	require.Contains(t, d.LastError.Say(), "deleted")
}

func TestTimeout(t *testing.T) {
	o := newOutbox()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	o.endpoint(t, "e", server.URL+"/?token=secret")
	o.deliver("1", "e")
	o.run(t, func(opts *Options) { opts.Timeout = 50 * time.Millisecond })
	d := o.next(t)
	require.Equal(t, results.Pending, d.State)
	require.Contains(t, d.LastError.Say(), "no answer within 50ms")
	require.NotContains(t, d.LastError.Say(), "token")
}

// A redirect is an answer like any other that is not 2xx; nobody goes where it leads.
func TestNoRedirects(t *testing.T) {
	o := newOutbox()
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusPermanentRedirect))
	defer server.Close()
	o.endpoint(t, "e", server.URL)
	o.deliver("1", "e")
	o.run(t, nil)
	d := o.next(t)
	require.Equal(t, results.Pending, d.State)
	require.Equal(t, http.StatusPermanentRedirect, d.LastStatus)
	require.Zero(t, followed.Load())
}

// An endless answer costs no more than a short one.
func TestEndlessAnswer(t *testing.T) {
	o := newOutbox()
	written := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		block := make([]byte, 64<<10)
		for {
			k, err := w.Write(block)
			n += k
			if err != nil {
				written <- n
				return
			}
		}
	}))
	defer server.Close()
	o.endpoint(t, "e", server.URL)
	o.deliver("1", "e")
	o.run(t, nil)
	require.Equal(t, results.Delivered, o.next(t).State)
	require.Less(t, <-written, 64<<20)
}

func TestPrivateAddressIsRefused(t *testing.T) {
	o := newOutbox()
	o.private = false
	url, got := receiver(t, 200)
	o.endpoint(t, "e", url)
	o.endpoint(t, "named", strings.Replace(url, "127.0.0.1", "localhost", 1)) // the name resolves to the same address
	o.deliver("1", "e")
	o.deliver("2", "named")
	registry := prometheus.NewRegistry()
	o.run(t, func(opts *Options) { opts.Metrics = NewMetrics(registry) })
	for range 2 {
		d := o.next(t)
		require.Equal(t, results.Pending, d.State)
		require.Contains(t, d.LastError.Say(), "webhooks are not sent there")
	}
	require.Empty(t, got())
	counted(t, registry, fmt.Sprintf("onsite_webhook_attempts_total{result=%q} 2", resultRefused))
}

func TestAllowedAddresses(t *testing.T) {
	for address, want := range map[string][2]bool{ // without and with private addresses allowed
		"8.8.8.8": {true, true}, "2606:4700::1111": {true, true}, "::ffff:8.8.8.8": {true, true},
		"127.0.0.1": {false, true}, "::1": {false, true}, "10.1.2.3": {false, true}, "172.31.0.1": {false, true}, "192.168.1.1": {false, true},
		"::ffff:127.0.0.1": {false, true}, "::ffff:10.0.0.1": {false, true}, "::7f00:1": {false, true}, "169.254.1.1": {false, true}, "fe80::1": {false, true},
		"fe80::1%eth0": {false, true}, "fd00::1": {false, true}, "100.64.0.1": {false, true}, "198.18.0.1": {false, true}, "192.0.2.1": {false, true},
		"64:ff9b::7f00:1": {false, true}, "2002:7f00:1::": {false, true}, "2001::1": {false, true}, "240.0.0.1": {false, true}, "0.1.2.3": {false, true},
		"0.0.0.0": {false, false}, "::": {false, false}, "224.0.0.1": {false, false}, "ff02::1": {false, false}, "255.255.255.255": {false, false},
		"169.254.169.254": {false, false}, "::ffff:169.254.169.254": {false, false}, "100.100.100.200": {false, false}, "fd00:ec2::254": {false, false},
	} {
		a := netip.MustParseAddr(address)
		require.Equal(t, want[0], allowed(a, false) == nil, address)
		require.Equal(t, want[1], allowed(a, true) == nil, address)
	}
	require.Error(t, allowed(netip.Addr{}, true))
}

// What was sent and not recorded is sent again under the same id.
func TestCrashBetweenSendAndSettle(t *testing.T) {
	o := newOutbox()
	url, got := receiver(t, 200)
	o.endpoint(t, "e", url)
	o.deliver("1", "e")
	o.lose = 1
	o.run(t, nil)
	require.Equal(t, results.Delivery{}, o.next(t), "lost")
	o.pass(leaseTimeouts * 5 * time.Second) // the lease of the dead one is over
	require.Equal(t, results.Delivered, o.next(t).State)
	require.Len(t, got(), 2)
	require.Equal(t, got()[0].header.Get("webhook-id"), got()[1].header.Get("webhook-id"))
	require.Equal(t, got()[0].body, got()[1].body)
}

// An endpoint that does not answer holds as many connections as it may, and nobody else waits for it.
func TestSlowEndpointStarvesNobody(t *testing.T) {
	o := newOutbox()
	release := make(chan struct{})
	var open, most atomic.Int32
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		open.Add(-1)
	}))
	defer slow.Close()
	url, got := receiver(t, 200)
	o.endpoint(t, "slow", slow.URL)
	o.endpoint(t, "fast", url)
	for i := range 200 {
		o.deliver(fmt.Sprintf("a%03d", i), "slow") // all before the others
	}
	for i := range 50 {
		o.deliver(fmt.Sprintf("b%03d", i), "fast")
	}
	o.run(t, func(opts *Options) { opts.PerEndpoint, opts.Parallel = 2, 12 })
	for range 50 {
		require.Equal(t, "fast", o.next(t).Endpoint)
	}
	require.Len(t, got(), 50)
	close(release)
	for range 200 {
		require.Equal(t, results.Delivered, o.next(t).State)
	}
	require.LessOrEqual(t, most.Load(), int32(2))
}

func TestLag(t *testing.T) {
	o := newOutbox()
	o.deliver("1", "e")
	o.pass(time.Hour)
	registry := prometheus.NewRegistry()
	s := New(Options{Store: o, Metrics: NewMetrics(registry)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.measure(ctx) // looks once
	counted(t, registry, "onsite_webhook_pending 1")
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Regexp(t, `onsite_webhook_lag_seconds 3600\.`, w.Body.String())
	(*Metrics)(nil).waiting(1, 1) // counts nothing
	(*Metrics)(nil).tried("x")
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	o := newOutbox()
	url, got := receiver(t, 200)
	o.endpoint(t, "forged", url)
	e := o.endpoints["forged"]
	e.Keys = []byte("something else")
	o.endpoints["forged"] = e
	ended, err := results.NewSigningKeys(time.Now())
	require.NoError(t, err)
	ended.Signers[0].EndsAt = time.Now().Add(-time.Hour)
	o.keys(t, "ended", url, ended)
	o.endpoint(t, "bad url", "https://user:pass word@host/%zz")
	o.endpoint(t, "other scheme", "file:///etc/passwd")
	for _, id := range []string{"forged", "ended", "bad url", "other scheme"} {
		o.deliver(id, id)
	}
	o.run(t, nil)
	for range 4 {
		d := o.next(t)
		require.Equal(t, results.Pending, d.State, "a person may put it right")
		require.NotContains(t, d.LastError.Say(), "pass")
	}
	require.Empty(t, got())
}

// What is under way when the sender ends is brought to its end.
func TestStopWaitsForTheAttempt(t *testing.T) {
	o := newOutbox()
	began, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(began); <-release }))
	defer server.Close()
	o.endpoint(t, "e", server.URL)
	o.deliver("1", "e")
	stop := o.run(t, nil)
	<-began
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	stop()
	require.Equal(t, results.Delivered, o.get("1").State)
}
