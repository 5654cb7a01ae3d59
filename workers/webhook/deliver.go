package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"onsite/results"
)

const (
	maxAnswer    = 64 << 10 // bytes of an answer that are read, so that its connection can be used again
	maxErrorText = 200      // runes of somebody else's error in the delivery log
)

// client posts to receivers. Those that may call private addresses have connections of their own: else a connection that one tenant may
// have would be used for another.
type client struct{ *http.Client }

func newClient(private bool, o Options) client {
	return client{&http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would resolve the name, where nobody looks at the address
			DialContext:            dial(private, o.Timeout),
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    o.Timeout,
			MaxIdleConns:           o.Parallel,
			MaxIdleConnsPerHost:    o.PerEndpoint,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswer,
			DisableCompression:     true,
		},
		// A redirect may lead anywhere; the endpoint's owner writes the address that it means.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came of one attempt.
type answer struct {
	status int // 0: none
	asked  time.Duration
	why    *results.Why // what went wrong; nil: an answer came
}

// Rules of what goes wrong, in the delivery log.
const (
	ruleDeleted  = "endpoint_deleted"
	ruleURL      = "endpoint_url"
	ruleKeys     = "signing_keys"
	ruleGone     = "receiver_gone"
	ruleStatus   = "receiver_status"
	ruleAddress  = "receiver_address"
	ruleSlow     = "receiver_slow"
	ruleName     = "receiver_name"
	ruleNoAnswer = "receiver_unreachable"
)

// The results of an attempt, as the metrics name them.
const (
	resultDelivered = "delivered"
	resultRetried   = "retried"
	resultFailed    = "failed"  // the last attempt, or an endpoint that takes no more
	resultGone      = "gone"    // 410: the endpoint is disabled
	resultRefused   = "refused" // its address is not allowed
)

// deliver makes one attempt and records it. An error of the store leaves the delivery as it is: its lease ends, and it is taken again.
func (s *Sender) deliver(ctx context.Context, d results.Delivery) {
	log := s.Logger.With("delivery", d.ID, "job", d.Job, "endpoint", d.Endpoint, "attempt", d.Attempt+1)
	endpoint, err := s.Store.Endpoint(ctx, d.Tenant, d.Endpoint)
	switch {
	case errors.Is(err, results.ErrNotFound):
		s.settle(ctx, log.Error, d, answer{why: results.Because(ruleDeleted, "the endpoint was deleted", "该端点已被删除")}, results.Failed, 0, 0)
		return
	case err != nil:
		log.Error("read the endpoint of a webhook", "error", err)
		return
	case !endpoint.DisabledAt.IsZero():
		s.settle(ctx, log.Error, d, answer{why: results.Disabled(endpoint.Why)}, results.Failed, 0, 0)
		return
	}
	began := time.Now()
	a, err := s.post(ctx, d, endpoint)
	if err != nil {
		log.Error("prepare a webhook", "error", err)
		return
	}
	took := time.Since(began)
	switch {
	case a.why == nil && a.status >= 200 && a.status < 300:
		s.settle(ctx, log.Error, d, a, results.Delivered, 0, took)
		log.Info("webhook delivered", "status", a.status, "took_ms", took.Milliseconds())
		return
	case a.status == http.StatusGone:
		a.why = results.Because(ruleGone, "the receiver is gone for good (410): the endpoint was disabled", "接收方已永久移除（410）：该端点已停用")
		s.settle(ctx, log.Error, d, a, results.Failed, 0, took)
		if err := s.Store.DisableEndpoint(ctx, d.Tenant, d.Endpoint, "gone", s.Store.Now()); err != nil {
			log.Error("disable the endpoint of a webhook", "error", err)
		}
		log.Warn("webhook endpoint gone", "status", a.status)
		return
	case a.why == nil:
		a.why = results.Because(ruleStatus, "the receiver answered %d", "接收方回应 %d", a.status)
	}
	wait, again := next(d.Attempt+1, a.asked)
	state := results.Pending
	if !again {
		state = results.Failed
	}
	s.settle(ctx, log.Error, d, a, state, wait, took)
	log.Warn("webhook not delivered", "status", a.status, "error", a.why.Say(), "again", again, "wait_s", int(wait.Seconds()))
}

// settle records an attempt.
func (s *Sender) settle(ctx context.Context, complain func(string, ...any), d results.Delivery, a answer, state results.DeliveryState, wait, took time.Duration) {
	now := s.Store.Now()
	d.Attempt++
	d.State, d.LastStatus, d.LastError = state, a.status, a.why
	d.NextAt = now.Add(wait)
	if state != results.Pending {
		d.DoneAt = now
	}
	try := results.DeliveryTry{Delivery: d.ID, Attempt: d.Attempt, At: now, Status: a.status, Error: d.LastError, TookMS: took.Milliseconds()}
	if err := s.Store.Settle(ctx, d, try); err != nil {
		complain("record a webhook", "error", err)
		return
	}
	s.Metrics.tried(result(state, a))
}

func result(state results.DeliveryState, a answer) string {
	switch {
	case state == results.Delivered:
		return resultDelivered
	case a.status == http.StatusGone:
		return resultGone
	case a.why != nil && a.why.Rule == ruleAddress:
		return resultRefused
	case state == results.Failed:
		return resultFailed
	}
	return resultRetried
}

// post sends one message. The error is one of our own parts, for which the receiver is not to blame; everything else is in the answer.
func (s *Sender) post(ctx context.Context, d results.Delivery, e results.Endpoint) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	private, err := s.tenants.private(ctx, d.Tenant)
	if err != nil {
		return answer{}, err
	}
	at := s.Store.Now()
	signature, err := s.sign(ctx, d, e, at)
	switch {
	case errors.Is(err, results.ErrAway) || ctx.Err() != nil:
		return answer{}, err
	case err != nil: // a person must rotate the keys; until then it is tried as the schedule has it
		s.Logger.Error("sign a webhook", "delivery", d.ID, "endpoint", e.ID, "error", err)
		return answer{why: results.Because(ruleKeys, "the endpoint's signing keys cannot be used: rotate them", "该端点的签名密钥无法使用，请轮换密钥")}, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(d.Payload))
	if err != nil {
		return answer{why: results.Because(ruleURL, "the endpoint's URL cannot be read", "该端点的网址无法解析")}, nil // the library's error holds it
	}
	if req.URL.Scheme != "https" && req.URL.Scheme != "http" || req.URL.Host == "" {
		return answer{why: results.Because(ruleURL, "the endpoint's URL is not https://host/path", "该端点的网址不是 https://主机/路径 的形式")}, nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "onsite/"+s.Version)
	req.Header.Set(standardwebhooks.HeaderWebhookID, d.Message)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	to := s.public
	if private {
		to = s.private
	}
	res, err := to.Do(req)
	if err != nil {
		return answer{why: s.plain(err)}, nil
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // what it says does not matter
	return answer{status: res.StatusCode, asked: retryAfter(res.Header, at)}, nil
}

// sign signs a message with the endpoint's keys.
func (s *Sender) sign(ctx context.Context, d results.Delivery, e results.Endpoint, at time.Time) (string, error) {
	raw, err := s.Vault.OpenBytes(ctx, d.Tenant, results.TenantSubject, results.SigningRecord(e.ID), e.Keys)
	if err != nil {
		return "", fmt.Errorf("open the signing keys: %w", err)
	}
	keys, err := results.ParseSigningKeys(raw)
	if err != nil {
		return "", err
	}
	return Sign(keys.At(at), d.Message, at, d.Payload)
}

// plain says what went wrong without the URL, which may hold a token.
func (s *Sender) plain(err error) *results.Why {
	var address *AddressError
	var dns *net.DNSError
	var u *url.Error
	switch {
	case errors.As(err, &address):
		return address.why()
	case errors.Is(err, context.DeadlineExceeded):
		return results.Because(ruleSlow, "no answer within %v", "%v 内没有回应", s.Timeout)
	case errors.As(err, &dns):
		return results.Because(ruleName, "the receiver's host name cannot be resolved", "无法解析接收方的主机名")
	case errors.As(err, &u):
		err = u.Err
	}
	return results.Because(ruleNoAnswer, "the receiver could not be reached: %s", "无法连接接收方：%s", clip(err.Error()))
}

// clip shortens an error that quotes the receiver's side.
func clip(text string) string {
	if r := []rune(text); len(r) > maxErrorText {
		return string(r[:maxErrorText]) + "..."
	}
	return text
}
