package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/results"
)

// Webhook is a receiver of messages.
type Webhook struct {
	ID         string          `json:"id"`
	URL        string          `json:"url"`
	Events     []string        `json:"events" nullable:"false" doc:"types of messages; empty: all"`
	Rev        int             `json:"rev" doc:"also the ETag"`
	DisabledAt *time.Time      `json:"disabled_at,omitempty"`
	Why        string          `json:"why,omitempty" doc:"of being disabled: gone (it answered 410), admin, ..."`
	Signing    []WebhookPublic `json:"signing" nullable:"false" doc:"the generations of keys that sign now, newest first"`
	CreatedAt  time.Time       `json:"created_at"`
}

// WebhookPublic is what may be known of one generation of signing keys.
type WebhookPublic struct {
	PublicKey string     `json:"public_key" doc:"Ed25519, for signatures v1a: whpk_ and base64"`
	CreatedAt time.Time  `json:"created_at"`
	EndsAt    *time.Time `json:"ends_at,omitempty" doc:"of an old one, when it stops signing"`
}

// WebhookMade is a receiver with its new secret: the only time that it is shown.
type WebhookMade struct {
	Webhook
	Secret string `json:"secret" doc:"for signatures v1 (HMAC-SHA256): whsec_ and base64; it is not shown again"`
}

// WebhookInput is what an administrator says about a receiver.
type WebhookInput struct {
	URL    string   `json:"url" minLength:"1" maxLength:"2048" doc:"https; plain http only where the tenant's settings allow private targets"`
	Events []string `json:"events,omitempty" maxItems:"16" uniqueItems:"true" nullable:"false" enum:"verdict.created,verdict.revised,job.refused,job.dead" doc:"left out or empty: all"`
}

type createWebhookInput struct{ Body WebhookInput }

type putWebhookInput struct {
	ULIDPath
	Condition
	Body WebhookInput
}

type rotateInput struct {
	ULIDPath
	Body struct {
		OverlapHours *int `json:"overlap_hours,omitempty" minimum:"0" maximum:"720" doc:"how long the old keys go on signing beside the new ones; left out: 24; 0: they end at once"`
	}
}

type webhookOutput struct {
	ETag string `header:"ETag"`
	Body Webhook
}

type webhookMadeOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     WebhookMade
}

type webhooksOutput struct{ Body List[Webhook] }

// Delivery is one message to one receiver.
type Delivery struct {
	ID         string                `json:"id"`
	Webhook    string                `json:"webhook"`
	Message    string                `json:"message" doc:"the same for every receiver and try: the header webhook-id"`
	Type       string                `json:"type"`
	Job        string                `json:"job,omitempty"`
	State      results.DeliveryState `json:"state" enum:"pending,delivered,failed"`
	Attempt    int                   `json:"attempt"`
	NextAt     *time.Time            `json:"next_at,omitempty"`
	LastStatus int                   `json:"last_status,omitempty" doc:"HTTP status of the last try; missing: none came"`
	LastError  *results.Why          `json:"last_error,omitempty"`
	CreatedAt  time.Time             `json:"created_at"`
	DoneAt     *time.Time            `json:"done_at,omitempty"`
}

// DeliveryTry is one line of the delivery log.
type DeliveryTry struct {
	Attempt int          `json:"attempt"`
	At      time.Time    `json:"at"`
	Status  int          `json:"status,omitempty" doc:"HTTP status; missing: none came"`
	Error   *results.Why `json:"error,omitempty"`
	TookMS  int64        `json:"took_ms"`
}

type deliveriesInput struct {
	ULIDPath
	PageInput
}

// DeliveryPath names a delivery.
type DeliveryPath struct {
	Delivery string `path:"delivery" maxLength:"128" pattern:"^[0-9A-Za-z._-]{1,128}$" doc:"id of the delivery"`
}

type deliveriesOutput struct{ Body List[Delivery] }

type triesOutput struct{ Body List[DeliveryTry] }

type testOutput struct {
	Body struct {
		Delivery string `json:"delivery" doc:"id of the delivery, to look at in the delivery log"`
	}
}

// maxWebhooks bounds a tenant's receivers: each is written to for every verdict.
const maxWebhooks = 20

func (s *Server) webhookRoutes() {
	register(s, describe(post, "/v1/webhooks", "create-webhook", "webhooks", "Make a webhook", answers(http.StatusCreated),
		explained("Messages follow the Standard Webhooks specification: the headers webhook-id, webhook-timestamp and webhook-signature, the last with an HMAC (v1) and an Ed25519 (v1a) signature.")), s.createWebhook)
	register(s, describe(get, "/v1/webhooks", "list-webhooks", "webhooks", "List webhooks"), s.listWebhooks)
	register(s, describe(get, "/v1/webhooks/{id}", "get-webhook", "webhooks", "Read a webhook"), func(ctx context.Context, in *ULIDPath) (*webhookOutput, error) {
		e, err := s.Store.Endpoint(ctx, PrincipalOf(ctx).Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		return s.webhook(ctx, e)
	})
	register(s, describe(put, "/v1/webhooks/{id}", "put-webhook", "webhooks", "Change a webhook's address or events", explained("Needs If-Match.")), s.putWebhook)
	register(s, describe(del, "/v1/webhooks/{id}", "delete-webhook", "webhooks", "Delete a webhook", answers(http.StatusNoContent)),
		func(ctx context.Context, in *ULIDPath) (*nothing, error) {
			return &nothing{}, s.Store.DeleteEndpoint(ctx, PrincipalOf(ctx).Tenant, in.ID, s.entry(ctx, "webhook.deleted", "", in.ID, ""))
		})
	register(s, describe(post, "/v1/webhooks/{id}/rotate", "rotate-webhook", "webhooks", "Change a webhook's keys",
		explained("Answers with a new secret and public key. The old ones sign beside them for a while, so that the receiver has time.")), s.rotateWebhook)
	register(s, describe(post, "/v1/webhooks/{id}/enable", "enable-webhook", "webhooks", "Enable a webhook again",
		explained("A receiver that answered 410 is disabled. For what happened while it was disabled no messages were made: read it from /v1/verdicts/changes, from the last position that you know.")), s.enableWebhook)
	register(s, describe(post, "/v1/webhooks/{id}/test", "test-webhook", "webhooks", "Send a test message", answers(http.StatusAccepted),
		explained("The message has the type webhook.test.")), s.testWebhook)
	register(s, describe(get, "/v1/webhooks/{id}/deliveries", "list-deliveries", "webhooks", "List deliveries, newest first"), s.listDeliveries)
	register(s, describe(get, "/v1/webhooks/deliveries/{delivery}/tries", "list-tries", "webhooks", "List the tries of a delivery"), s.listTries)
	register(s, describe(post, "/v1/webhooks/deliveries/{delivery}/replay", "replay-delivery", "webhooks", "Send a message again", answers(http.StatusAccepted),
		explained("From the beginning of the schedule, with the same webhook-id: the receiver can tell that it had it before. 409 while it is still to be sent, and while the webhook is disabled.")),
		func(ctx context.Context, in *DeliveryPath) (*nothing, error) {
			if err := s.Store.Replay(ctx, PrincipalOf(ctx).Tenant, in.Delivery); err != nil {
				return nil, s.replayFault(ctx, in.Delivery, err)
			}
			s.Bell.Ring(ctx, results.BellOutbox)
			return &nothing{}, s.Store.Append(ctx, s.entry(ctx, "delivery.replayed", "", in.Delivery, ""))
		})
}

func (s *Server) createWebhook(ctx context.Context, in *createWebhookInput) (*webhookMadeOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	if err := s.receiver(ctx, in.Body.URL); err != nil {
		return nil, err
	}
	all, err := s.Store.Endpoints(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if len(all) >= maxWebhooks {
		return nil, problem(codeState).with("A tenant has at most %d webhooks. Delete one first.", "每个租户最多 %d 个回调。请先删除一个。", maxWebhooks)
	}
	now := s.stamp()
	keys, err := results.NewSigningKeys(now)
	if err != nil {
		return nil, err
	}
	e := results.Endpoint{ID: ulid.Make().String(), Tenant: tenant, URL: in.Body.URL, Events: in.Body.Events, CreatedAt: now}
	if e.Keys, err = s.sealKeys(ctx, e.ID, keys); err != nil {
		return nil, err
	}
	if e, err = s.Store.PutEndpoint(ctx, e, 0, s.entry(ctx, "webhook.created", "", e.ID, "")); err != nil {
		return nil, err
	}
	return &webhookMadeOutput{ETag: etag(e.Rev), Location: "/v1/webhooks/" + e.ID, Body: made(e, keys, now)}, nil
}

func made(e results.Endpoint, keys results.SigningKeys, now time.Time) WebhookMade {
	return WebhookMade{Webhook: showWebhook(e, keys, now), Secret: keys.Signers[0].Secret}
}

// receiver refuses addresses that messages are never sent to. Where a name leads is looked at again when a message is sent.
func (s *Server) receiver(ctx context.Context, text string) error {
	t, err := s.tenant(ctx)
	if err != nil {
		return err
	}
	bad := func(en, zh string) error {
		return invalid("body.url", "url", nil, both(en, zh), say("write it as https://host/path", "请写成 https://主机/路径"))
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return bad("is not a URL", "不是有效网址")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return bad("has a port that does not exist", "端口无效")
		}
	}
	private := t.Settings.PrivateTarget
	switch {
	case u.User != nil:
		return bad("must hold no user name and password: messages are signed", "不得包含用户名和密码：消息已签名")
	case u.Fragment != "":
		return bad("must have no part after #", "不得包含 # 之后的部分")
	case u.Scheme != "https" && (u.Scheme != "http" || !private):
		return bad("must begin with https://", "应以 https:// 开头")
	case private:
		return nil
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	a, err := netip.ParseAddr(host)
	local := host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal")
	if local || err == nil && (!a.Unmap().IsGlobalUnicast() || a.Unmap().IsPrivate()) {
		return invalid("body.url", "private", nil, say("is a private address", "是内网地址"),
			say("use a public one, or allow private targets in the tenant's settings", "请使用公网地址，或在租户设置中允许内网目标"))
	}
	return nil
}

func (s *Server) sealKeys(ctx context.Context, endpoint string, keys results.SigningKeys) ([]byte, error) {
	raw, err := keys.Marshal()
	if err != nil {
		return nil, err
	}
	sealed, err := s.Vault.SealBytes(ctx, PrincipalOf(ctx).Tenant, results.TenantSubject, results.SigningRecord(endpoint), raw)
	if err != nil {
		return nil, fmt.Errorf("seal the keys of webhook %s: %w", endpoint, err)
	}
	return sealed, nil
}

func (s *Server) openKeys(ctx context.Context, e results.Endpoint) (results.SigningKeys, error) {
	raw, err := s.Vault.OpenBytes(ctx, e.Tenant, results.TenantSubject, results.SigningRecord(e.ID), e.Keys)
	if err != nil {
		return results.SigningKeys{}, fmt.Errorf("open the keys of webhook %s: %w", e.ID, err)
	}
	return results.ParseSigningKeys(raw)
}

// webhook gives an endpoint with the public part of its keys.
func (s *Server) webhook(ctx context.Context, e results.Endpoint) (*webhookOutput, error) {
	keys, err := s.openKeys(ctx, e)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{ETag: etag(e.Rev), Body: showWebhook(e, keys, s.stamp())}, nil
}

func (s *Server) listWebhooks(ctx context.Context, _ *nothing) (*webhooksOutput, error) {
	all, err := s.Store.Endpoints(ctx, PrincipalOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	out := &webhooksOutput{Body: List[Webhook]{Items: make([]Webhook, 0, len(all))}}
	for _, e := range all {
		w, err := s.webhook(ctx, e)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, w.Body)
	}
	return out, nil
}

func (s *Server) putWebhook(ctx context.Context, in *putWebhookInput) (*webhookOutput, error) {
	if err := s.receiver(ctx, in.Body.URL); err != nil {
		return nil, err
	}
	rev, err := in.rev()
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Endpoint(ctx, PrincipalOf(ctx).Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	if rev == 0 || rev > 0 && rev != e.Rev {
		return nil, problem(codeChanged)
	}
	e.URL, e.Events = in.Body.URL, in.Body.Events
	if e, err = s.Store.PutEndpoint(ctx, e, e.Rev, s.entry(ctx, "webhook.changed", "", e.ID, "")); err != nil {
		return nil, err
	}
	return s.webhook(ctx, e)
}

// again does a change of an endpoint that does not depend on what else somebody changes meanwhile.
func (s *Server) again(ctx context.Context, id, action string, change func(*results.Endpoint) error) (results.Endpoint, error) {
	var err error
	for range 3 {
		var e results.Endpoint
		if e, err = s.Store.Endpoint(ctx, PrincipalOf(ctx).Tenant, id); err != nil {
			return e, err
		}
		if err = change(&e); err != nil {
			return e, err
		}
		if e, err = s.Store.PutEndpoint(ctx, e, e.Rev, s.entry(ctx, action, "", id, "")); !errors.Is(err, results.ErrConflict) {
			return e, err
		}
	}
	return results.Endpoint{}, err
}

func (s *Server) rotateWebhook(ctx context.Context, in *rotateInput) (*webhookMadeOutput, error) {
	now, overlap := s.stamp(), 24
	if in.Body.OverlapHours != nil {
		overlap = *in.Body.OverlapHours
	}
	var keys results.SigningKeys
	e, err := s.again(ctx, in.ID, "webhook.rotated", func(e *results.Endpoint) error {
		old, err := s.openKeys(ctx, *e)
		if err != nil {
			return err
		}
		if keys, err = old.Rotated(now, time.Duration(overlap)*time.Hour); err != nil {
			return err
		}
		e.Keys, err = s.sealKeys(ctx, e.ID, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &webhookMadeOutput{ETag: etag(e.Rev), Location: "/v1/webhooks/" + e.ID, Body: made(e, keys, now)}, nil
}

func (s *Server) enableWebhook(ctx context.Context, in *ULIDPath) (*webhookOutput, error) {
	e, err := s.again(ctx, in.ID, "webhook.enabled", func(e *results.Endpoint) error {
		if err := s.receiver(ctx, e.URL); err != nil {
			return err
		}
		e.DisabledAt, e.Why = time.Time{}, ""
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.webhook(ctx, e)
}

func (s *Server) testWebhook(ctx context.Context, in *ULIDPath) (*testOutput, error) {
	tenant, now, message := PrincipalOf(ctx).Tenant, s.stamp(), ulid.Make().String()
	e, err := s.Store.Endpoint(ctx, tenant, in.ID)
	if err != nil {
		return nil, err
	}
	if !e.DisabledAt.IsZero() {
		return nil, problem(codeState).with("The webhook is disabled. Enable it first.", "该回调已停用。请先启用。")
	}
	d := results.Delivery{
		ID: message + "." + e.ID, Tenant: tenant, Endpoint: e.ID, Message: message, Type: results.EventTest, State: results.Pending, NextAt: now, CreatedAt: now,
		Payload: results.Event{Type: results.EventTest, Timestamp: now, Data: results.EventData{Tenant: tenant}}.Payload(),
	}
	if err := s.Store.Deliver(ctx, d); err != nil {
		return nil, err
	}
	s.Bell.Ring(ctx, results.BellOutbox)
	out := &testOutput{}
	out.Body.Delivery = d.ID
	return out, nil
}

// replayFault says why a message is not sent again: no change of somebody else's, as ErrConflict is elsewhere, but the state that it is in.
func (s *Server) replayFault(ctx context.Context, delivery string, err error) error {
	if !errors.Is(err, results.ErrConflict) {
		return err
	}
	_, endpoint, _ := strings.Cut(delivery, ".")
	if e, eerr := s.Store.Endpoint(ctx, PrincipalOf(ctx).Tenant, endpoint); eerr == nil && !e.DisabledAt.IsZero() {
		return problem(codeState).with("The webhook is disabled. Enable it first.", "该回调已停用。请先启用。").because(err)
	}
	return problem(codeState).with("The message is still to be sent: its next try is in the delivery log.", "该消息仍在等待发送：下次尝试的时间见投递记录。").because(err)
}

func (s *Server) listDeliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	if _, err := s.Store.Endpoint(ctx, tenant, in.ID); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "deliveries", in.ID, in.PageInput)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Deliveries(ctx, tenant, in.ID, p)
	if err != nil {
		return nil, err
	}
	return &deliveriesOutput{Body: list(s, ctx, "deliveries", in.ID, p, rows, func(d results.Delivery) string { return d.ID }, showDelivery)}, nil
}

func (s *Server) listTries(ctx context.Context, in *DeliveryPath) (*triesOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	tries, err := s.Store.DeliveryTries(ctx, tenant, in.Delivery)
	if err == nil && len(tries) == 0 { // not tried yet, or not there
		_, endpoint, _ := strings.Cut(in.Delivery, ".")
		_, err = s.Store.Endpoint(ctx, tenant, endpoint)
	}
	if err != nil {
		return nil, err
	}
	out := &triesOutput{Body: List[DeliveryTry]{Items: make([]DeliveryTry, 0, len(tries))}}
	for _, t := range tries {
		out.Body.Items = append(out.Body.Items, DeliveryTry{Attempt: t.Attempt, At: t.At, Status: t.Status, Error: t.Error, TookMS: t.TookMS})
	}
	return out, nil
}

func showWebhook(e results.Endpoint, keys results.SigningKeys, now time.Time) Webhook {
	w := Webhook{ID: e.ID, URL: e.URL, Events: append([]string{}, e.Events...), Rev: e.Rev, DisabledAt: moment(e.DisabledAt), Why: e.Why, Signing: []WebhookPublic{}, CreatedAt: e.CreatedAt}
	for _, k := range keys.At(now) {
		w.Signing = append(w.Signing, WebhookPublic{PublicKey: k.Public(), CreatedAt: k.CreatedAt, EndsAt: moment(k.EndsAt)})
	}
	return w
}

func showDelivery(d results.Delivery) Delivery {
	out := Delivery{ID: d.ID, Webhook: d.Endpoint, Message: d.Message, Type: d.Type, Job: d.Job, State: d.State, Attempt: d.Attempt,
		LastStatus: d.LastStatus, LastError: d.LastError, CreatedAt: d.CreatedAt, DoneAt: moment(d.DoneAt)}
	if d.State == results.Pending {
		out.NextAt = moment(d.NextAt)
	}
	return out
}
