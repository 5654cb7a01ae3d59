package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

func TestWebhooks(t *testing.T) {
	d := newDesk(t)
	var made WebhookMade
	a := d.ok(http.StatusCreated, post, "/v1/webhooks", map[string]any{"url": "https://hooks.example.com/onsite", "events": []string{"verdict.created"}})
	a.into(&made)
	require.True(t, strings.HasPrefix(made.Secret, "whsec_"))
	require.True(t, strings.HasPrefix(made.Signing[0].PublicKey, "whpk_"))
	require.Equal(t, `"1"`, a.header.Get("ETag"))
	url := "/v1/webhooks/" + made.ID

	// What the sender will open is what was shown.
	e, err := d.store.Endpoint(context.Background(), "acme", made.ID)
	require.NoError(t, err)
	require.NotContains(t, string(e.Keys), "whsec_")
	raw, err := d.vault.OpenBytes(context.Background(), "acme", results.TenantSubject, results.SigningRecord(made.ID), e.Keys)
	require.NoError(t, err)
	keys, err := results.ParseSigningKeys(raw)
	require.NoError(t, err)
	require.Equal(t, made.Secret, keys.Signers[0].Secret)
	for _, path := range []string{url, "/v1/webhooks"} {
		require.NotContains(t, string(d.ok(200, get, path, nil).body), "whsec_", "shown once")
	}
	require.NotContains(t, d.logs.String(), "whsec_")

	d.ask(put, url, map[string]any{"url": "https://hooks.example.com/2"}).problem(428, codeIfMatch)
	d.ask(put, url, map[string]any{"url": "https://hooks.example.com/2"}, "If-Match", `"8"`).problem(412, codeChanged)
	var w Webhook
	d.ok(200, put, url, map[string]any{"url": "https://hooks.example.com/2"}, "If-Match", `"1"`).into(&w)
	require.Equal(t, "https://hooks.example.com/2", w.URL)
	require.Empty(t, w.Events)

	var turned WebhookMade
	d.ok(200, post, url+"/rotate", map[string]any{"overlap_hours": 2}).into(&turned)
	require.NotEqual(t, made.Secret, turned.Secret)
	require.Len(t, turned.Signing, 2)
	require.NotNil(t, turned.Signing[1].EndsAt)
	d.pass(3 * time.Hour)
	w = Webhook{}
	d.ok(200, get, url, nil).into(&w)
	require.Len(t, w.Signing, 1, "the old key has ended")
	d.ok(200, post, url+"/rotate", map[string]any{"overlap_hours": 0}).into(&turned)
	w = Webhook{}
	d.ok(200, get, url, nil).into(&w)
	require.Len(t, w.Signing, 1, "a key that leaked ends at once")

	other := d.key("other", admin)
	for _, try := range [][2]string{{get, url}, {del, url}, {post, url + "/enable"}, {post, url + "/test"}, {get, url + "/deliveries"}} {
		d.do(try[0], try[1], other, nil).problem(404, codeNotFound)
	}
	d.do(post, url+"/rotate", other, map[string]any{}).problem(404, codeNotFound)
	d.do(put, url, other, map[string]any{"url": "https://evil.example.com"}, "If-Match", "*").problem(404, codeNotFound)

	d.ok(http.StatusNoContent, del, url, nil)
	d.ask(get, url, nil).problem(404, codeNotFound)
	require.Subset(t, d.actions(), []string{"webhook.created", "webhook.changed", "webhook.rotated", "webhook.deleted"})
}

func TestWebhookAddresses(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct{ url, fault string }{
		{"http://hooks.example.com", "url"}, {"ftp://hooks.example.com", "url"}, {"hooks.example.com", "url"}, {"https://", "url"}, {"https://u:p@hooks.example.com", "url"},
		{"https://hooks.example.com/#x", "url"}, {"https://hooks.example.com:99999/", "url"}, {"https://[::1", "url"},
		{"https://127.0.0.1/", "private"}, {"https://10.1.2.3/", "private"}, {"https://[::1]/", "private"}, {"https://[::ffff:192.168.0.1]/", "private"}, {"https://169.254.169.254/", "private"},
		{"https://localhost/", "private"}, {"https://redis.internal/", "private"}, {"https://LOCALHOST./", "private"}, {"https://0.0.0.0/", "private"},
	} {
		d.ask(post, "/v1/webhooks", map[string]any{"url": c.url}).field(422, codeInvalid, "body.url", c.fault)
	}
	d.ask(post, "/v1/webhooks", map[string]any{"url": "https://hooks.example.com", "events": []string{"verdict.lost"}}).field(422, codeInvalid, "body.events[0]", "choice")
	d.ok(200, put, "/v1/tenant", map[string]any{"private_target": true}, "If-Match", "*")
	d.ok(http.StatusCreated, post, "/v1/webhooks", map[string]any{"url": "http://127.0.0.1:9000/hook"})
	for range maxWebhooks - 1 {
		d.ok(http.StatusCreated, post, "/v1/webhooks", map[string]any{"url": "https://hooks.example.com"})
	}
	d.ask(post, "/v1/webhooks", map[string]any{"url": "https://hooks.example.com"}).problem(409, codeState)
}

func TestDeliveries(t *testing.T) {
	d := newDesk(t)
	ctx := context.Background()
	var made WebhookMade
	d.ok(http.StatusCreated, post, "/v1/webhooks", map[string]any{"url": "https://hooks.example.com", "events": []string{"verdict.created"}}).into(&made)
	url := "/v1/webhooks/" + made.ID
	d.finished(d.accepted("acme"), pipeline.DecisionPass)
	var test struct {
		Delivery string `json:"delivery"`
	}
	d.ok(http.StatusAccepted, post, url+"/test", nil).into(&test)
	require.NotZero(t, d.bell.rings(results.BellOutbox))

	due, err := d.store.Due(ctx, "sender", time.Minute, 10, nil)
	require.NoError(t, err)
	require.Len(t, due, 2)
	for _, one := range due {
		if one.ID == test.Delivery {
			require.Equal(t, results.EventTest, one.Type)
			require.Contains(t, string(one.Payload), `"webhook.test"`)
		}
		one.State, one.Attempt, one.LastStatus, one.LastError, one.DoneAt = results.Failed, 1, 500, results.Because("receiver_status", "the receiver answered 500", "接收方回应 500"), d.now()
		require.NoError(t, d.store.Settle(ctx, one, results.DeliveryTry{Delivery: one.ID, Attempt: 1, At: d.now(), Status: 500, Error: one.LastError, TookMS: 7}))
	}
	var all List[Delivery]
	d.ok(200, get, url+"/deliveries", nil).into(&all)
	require.Len(t, all.Items, 2)
	require.Equal(t, results.Failed, all.Items[0].State)
	require.Equal(t, 500, all.Items[0].LastStatus)
	var tries List[DeliveryTry]
	d.ok(200, get, "/v1/webhooks/deliveries/"+test.Delivery+"/tries", nil).into(&tries)
	require.Equal(t, int64(7), tries.Items[0].TookMS)
	for _, why := range []*results.Why{all.Items[0].LastError, tries.Items[0].Error} {
		require.Equal(t, "receiver_status", why.Rule)
		bilingualText(t, "why it was not delivered", why.Text)
	}

	other := d.key("other", admin)
	d.do(get, "/v1/webhooks/deliveries/"+test.Delivery+"/tries", other, nil).problem(404, codeNotFound)
	d.do(post, "/v1/webhooks/deliveries/"+test.Delivery+"/replay", other, nil).problem(404, codeNotFound)
	d.ok(http.StatusAccepted, post, "/v1/webhooks/deliveries/"+test.Delivery+"/replay", nil)
	pending := d.ask(post, "/v1/webhooks/deliveries/"+test.Delivery+"/replay", nil).problem(409, codeState)
	require.Contains(t, pending.Detail, "still to be sent")
	due, err = d.store.Due(ctx, "sender", time.Minute, 10, nil)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, test.Delivery, due[0].ID)
	d.ask(post, "/v1/webhooks/deliveries/nothing/replay", nil).problem(404, codeNotFound)

	// A receiver that is gone is not written to until somebody says so.
	require.NoError(t, d.store.DisableEndpoint(ctx, "acme", made.ID, "gone", d.now()))
	var w Webhook
	d.ok(200, get, url, nil).into(&w)
	require.Equal(t, "gone", w.Why)
	d.ask(post, url+"/test", nil).problem(409, codeState)
	require.Contains(t, d.ask(post, "/v1/webhooks/deliveries/"+test.Delivery+"/replay", nil).problem(409, codeState).Detail, "disabled")
	w = Webhook{}
	d.ok(200, post, url+"/enable", nil).into(&w)
	require.Nil(t, w.DisabledAt)
	d.ok(http.StatusAccepted, post, url+"/test", nil)
	require.Subset(t, d.actions(), []string{"delivery.replayed", "webhook.enabled"})
}
