package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/policy"
	"onsite/results"
)

func TestTenantSettings(t *testing.T) {
	d := newDesk(t)
	a := d.ok(200, get, "/v1/tenant", nil)
	require.Equal(t, `"1"`, a.header.Get("ETag"))
	var tenant Tenant
	a.into(&tenant)
	require.Equal(t, 90, tenant.Settings.MediaDays, "what is not chosen is shown as it holds")

	change := map[string]any{"look_alike": true, "media_days": 30, "appeal": map[string]string{"en": "Call HR.", "zh": "请联系人事。"}}
	d.ask(put, "/v1/tenant", change).problem(428, codeIfMatch)
	d.ask(put, "/v1/tenant", change, "If-Match", `"7"`).problem(412, codeChanged)
	d.ask(put, "/v1/tenant", change, "If-None-Match", "*").problem(412, codeChanged)
	d.ok(200, put, "/v1/tenant", change, "If-Match", `"1"`).into(&tenant)
	require.Equal(t, 2, tenant.Rev)
	require.True(t, tenant.Settings.LookAlike)
	require.Equal(t, 30, tenant.Settings.MediaDays)
	require.Equal(t, 1095, tenant.Settings.VerdictDays)
	require.Equal(t, "请联系人事。", tenant.Settings.Appeal.ZH)
	d.ask(put, "/v1/tenant", change, "If-Match", `"1"`).problem(412, codeChanged)

	d.ask(put, "/v1/tenant", map[string]any{"media_days": 0}, "If-Match", "*").field(422, codeInvalid, "body.media_days", "too_small")
	d.ask(put, "/v1/tenant", map[string]any{"lookalike": true}, "If-Match", "*").field(422, codeInvalid, "body.lookalike", "unknown_field")
	require.Contains(t, d.actions(), "settings.changed")
}

func TestKeys(t *testing.T) {
	d := newDesk(t)
	var made KeyMade
	a := d.ok(http.StatusCreated, post, "/v1/keys", map[string]any{"name": "gate", "roles": []string{"submit", "read"}, "expires_at": d.now().Add(time.Hour).Format(time.RFC3339)})
	a.into(&made)
	require.True(t, strings.HasPrefix(made.Secret, "ons_"+made.ID+"_"))
	require.Equal(t, 200, d.do(get, "/v1/jobs", made.Secret, nil).status)
	d.do(get, "/v1/tenant", made.Secret, nil).problem(403, codeRole)

	list := d.ok(200, get, "/v1/keys", nil)
	require.NotContains(t, string(list.body), made.Secret)
	require.NotContains(t, d.logs.String(), made.Secret)
	require.Contains(t, string(list.body), made.ID)

	for field, body := range map[string]map[string]any{
		"body.roles":      {"name": "x", "roles": []string{}},
		"body.roles[0]":   {"name": "x", "roles": []string{"root"}},
		"body.name":       {"name": "  ", "roles": []string{"read"}},
		"body.expires_at": {"name": "x", "roles": []string{"read"}, "expires_at": "2020-01-01T00:00:00Z"},
	} {
		p := d.ask(post, "/v1/keys", body).problem(422, codeInvalid)
		require.Equal(t, field, p.Errors[0].Field)
	}

	// Another tenant's administrator neither sees nor revokes it.
	other := d.key("other", admin)
	require.NotContains(t, string(d.do(get, "/v1/keys", other, nil).body), made.ID)
	d.do(del, "/v1/keys/"+made.ID, other, nil).problem(404, codeNotFound)

	d.ok(http.StatusNoContent, del, "/v1/keys/"+made.ID, nil)
	d.do(get, "/v1/jobs", made.Secret, nil).problem(401, codeBadKey)
	id, ok := keyID(d.admin)
	require.True(t, ok)
	d.ask(del, "/v1/keys/"+id, nil).problem(409, codeState)

	d.ok(http.StatusCreated, post, "/v1/keys", map[string]any{"name": "short", "roles": []string{"read"}, "expires_at": d.now().Add(time.Minute).Format(time.RFC3339)}).into(&made)
	require.Equal(t, 200, d.do(get, "/v1/jobs", made.Secret, nil).status)
	d.pass(2 * time.Minute)
	d.do(get, "/v1/jobs", made.Secret, nil).problem(401, codeBadKey)
	require.Subset(t, d.actions(), []string{"key.created", "key.revoked"})
}

const goodPolicy = `schema: onsite.policy/1
name: night_shift
version: 1
description: {en: "At night.", zh: "夜班。"}
media: [video]
checks:
  face: {need: always, on_fail: abnormal}
`

func TestPolicies(t *testing.T) {
	d := newDesk(t)
	yaml := []string{"Content-Type", "application/yaml"}
	a := d.ok(http.StatusCreated, put, "/v1/policies/night_shift", strings.NewReader(goodPolicy), yaml...)
	require.Equal(t, `"1"`, a.header.Get("ETag"))
	var p Policy
	a.into(&p)
	require.True(t, strings.HasPrefix(p.Digest, "sha256:"))
	require.Equal(t, goodPolicy, p.YAML)

	second := strings.Replace(goodPolicy, "version: 1", "version: 2", 1)
	d.ask(put, "/v1/policies/night_shift", strings.NewReader(second), yaml...).problem(428, codeIfMatch)
	d.ask(put, "/v1/policies/night_shift", strings.NewReader(second), append(yaml, "If-Match", `"9"`)...).problem(412, codeChanged)
	d.ask(put, "/v1/policies/night_shift", strings.NewReader(second), append(yaml, "If-None-Match", `*`)...).problem(412, codeChanged)
	d.ok(200, put, "/v1/policies/night_shift", strings.NewReader(second), append(yaml, "If-Match", `"1"`)...).into(&p)
	require.Equal(t, 2, p.Rev)
	d.ok(200, get, "/v1/policies/night_shift?rev=1", nil).into(&p)
	require.Equal(t, 1, p.Version)

	var all List[Policy]
	d.ok(200, get, "/v1/policies", nil).into(&all)
	require.Len(t, all.Items, len(policy.Names)+1)
	require.True(t, all.Items[0].BuiltIn)
	require.Equal(t, "night_shift", all.Items[len(policy.Names)].Name)
	d.ok(200, get, "/v1/policies/video15", nil).into(&p)
	require.True(t, p.BuiltIn)
	require.Contains(t, p.YAML, "schema: onsite.policy/1")

	d.ask(put, "/v1/policies/video15", strings.NewReader(goodPolicy), yaml...).problem(409, codeBuiltin)
	d.ask(del, "/v1/policies/video15", nil).problem(409, codeBuiltin)
	d.ask(put, "/v1/policies/day_shift", strings.NewReader(goodPolicy), yaml...).field(422, codePolicy, "body.name", "path")
	wrong := strings.NewReplacer("abnormal", "fired", "[video]", "[film]").Replace(goodPolicy)
	refused := d.ask(put, "/v1/policies/night_shift", strings.NewReader(wrong), append(yaml, "If-Match", "*", "Accept-Language", "zh")...).problem(422, codePolicy)
	require.Equal(t, []string{"body.media[0]", "body.checks.face.on_fail"}, []string{refused.Errors[0].Field, refused.Errors[1].Field})
	require.Contains(t, refused.Errors[0].Detail, "不接受")
	d.ask(put, "/v1/policies/night_shift", strings.NewReader("a: &x 1"), append(yaml, "If-Match", "*")...).field(422, codePolicy, "body", "yaml")
	d.ask(put, "/v1/policies/night_shift", strings.NewReader(strings.Repeat("#", policyBytes+1)), append(yaml, "If-Match", "*")...).problem(413, codeTooLarge)

	d.do(get, "/v1/policies/night_shift", d.key("other", admin), nil).problem(404, codeNotFound)
	d.ask(del, "/v1/policies/night_shift", nil, "If-Match", `"1"`).problem(412, codeChanged)
	d.ok(http.StatusNoContent, del, "/v1/policies/night_shift", nil, "If-Match", `"2"`)
	d.ask(get, "/v1/policies/night_shift", nil).problem(404, codeNotFound)
	d.ask(del, "/v1/policies/night_shift", nil).problem(404, codeNotFound)
	d.ok(http.StatusCreated, put, "/v1/policies/night_shift", strings.NewReader(goodPolicy), yaml...).into(&p)
	require.Equal(t, 4, p.Rev, "the number of a revision is never given twice")
	require.Subset(t, d.actions(), []string{"policy.changed", "policy.deleted"})
}

func TestBuckets(t *testing.T) {
	d := newDesk(t)
	body := map[string]string{"bucket": "cameras", "prefix": "acme/"}
	d.ask(put, "/v1/buckets", body).problem(403, codeForeign)
	allowed := map[string]bool{"acme": true, "other": true}
	d.server.MayMap = func(tenant, bucket, _ string) bool { return allowed[tenant] && bucket == "cameras" }
	d.server.OwnBuckets, d.server.UploadBucket = []string{"sealed"}, "uploads"
	d.ok(200, put, "/v1/buckets", body)
	d.ok(200, put, "/v1/buckets", body)

	// Nobody gets what another tenant's cameras upload.
	other := d.key("other", admin)
	for _, prefix := range []string{"acme/", "", "acme/2026/"} {
		d.do(put, "/v1/buckets", other, map[string]string{"bucket": "cameras", "prefix": prefix}).problem(403, codeForeign)
	}
	require.Equal(t, 200, d.do(put, "/v1/buckets", other, map[string]string{"bucket": "cameras", "prefix": "other/"}).status)
	for _, own := range []string{"sealed", "uploads", "unlisted"} {
		d.ask(put, "/v1/buckets", map[string]string{"bucket": own}).problem(403, codeForeign)
	}
	d.ask(put, "/v1/buckets", map[string]string{"bucket": "Cameras"}).field(422, codeInvalid, "body.bucket", "pattern")
	d.ask(put, "/v1/buckets", map[string]string{"bucket": "cameras", "prefix": "/acme"}).field(422, codeInvalid, "body.prefix", "pattern")

	var all List[Bucket]
	d.ok(200, get, "/v1/buckets", nil).into(&all)
	require.Len(t, all.Items, 1)
	d.do(del, "/v1/buckets?bucket=cameras&prefix=acme/", other, nil).problem(404, codeNotFound)
	d.ok(http.StatusNoContent, del, "/v1/buckets?bucket=cameras&prefix=acme/", nil)
	d.ask(del, "/v1/buckets?bucket=cameras&prefix=acme/", nil).problem(404, codeNotFound)
	require.Subset(t, d.actions(), []string{"bucket.mapped", "bucket.unmapped"})
}

func TestOneTenantMapsBucketsFreely(t *testing.T) {
	d := newDesk(t)
	d.server.Store = oneTenant{d.store}
	d.ok(200, put, "/v1/buckets", map[string]string{"bucket": "cameras"})
}

type oneTenant struct{ results.Store }

func (s oneTenant) Tenants(ctx context.Context) ([]results.Tenant, error) {
	t, err := s.Tenant(ctx, "acme")
	return []results.Tenant{t}, err
}

func TestInsight(t *testing.T) {
	d := newDesk(t)
	var all List[Model]
	for _, role := range []results.Role{modelsRole, read, audit, admin} {
		a := d.do(get, "/v1/models", d.key("acme", role), nil)
		require.Equal(t, 200, a.status, string(a.body))
		a.into(&all)
		require.Equal(t, "face_embed", all.Items[0].Task)
	}
	d.do(get, "/v1/models", d.key("acme", submit), nil).problem(403, codeRole)
	d.do(get, "/v1/audit", d.key("acme", read), nil).problem(403, codeRole)

	ctx := context.Background()
	for i, state := range []results.IntakeState{results.IntakeUnread, results.IntakeForeign} {
		for _, tenant := range []string{"acme", "other"} {
			require.NoError(t, d.store.RecordEvent(ctx, results.IntakeEvent{ID: "01JD3Q0C6Q8R4T2V9W1X5Y7Z" + tenant[:1] + string(rune('0'+i)), Tenant: tenant, Source: "webhook",
				Raw: []byte("raw of " + tenant), State: state, Why: results.Because("event_not_json", "because", "因为"), ReceivedAt: d.now()}))
		}
	}
	var events List[IntakeEvent]
	d.ok(200, get, "/v1/intake-events?state=unread", nil).into(&events)
	require.Len(t, events.Items, 1)
	require.Equal(t, "raw of acme", events.Items[0].Raw)
	d.ok(200, get, "/v1/intake-events", nil).into(&events)
	require.Len(t, events.Items, 2)
	events = List[IntakeEvent]{}
	d.ok(200, get, "/v1/intake-events?state=foreign", nil).into(&events)
	require.Len(t, events.Items, 1)
	require.Empty(t, events.Items[0].Raw, "of an event that was understood its fields are enough")
	d.ask(get, "/v1/intake-events?state=lost", nil).field(422, codeInvalid, "query.state", "choice")

	for range 3 {
		d.consent("e1")
	}
	seen := map[string]bool{}
	for path := "/v1/audit?limit=2"; ; {
		var page List[AuditEntry]
		d.do(get, path, d.key("acme", audit), nil).into(&page)
		for _, e := range page.Items {
			require.False(t, seen[e.ID])
			seen[e.ID] = true
		}
		if page.Next == "" {
			break
		}
		path = "/v1/audit?limit=2&cursor=" + page.Next
	}
	require.GreaterOrEqual(t, len(seen), 6)
	var others List[AuditEntry]
	d.do(get, "/v1/audit?limit=2", d.key("other", audit), nil).into(&others)
	for _, e := range others.Items {
		require.False(t, seen[e.ID], "entries of another tenant")
	}
}

// loneStore has one tenant.
type loneStore struct{ results.Store }

func (l loneStore) Tenants(ctx context.Context) ([]results.Tenant, error) {
	t, err := l.Tenant(ctx, "acme")
	return []results.Tenant{t}, err
}

func TestIntakeEventsOfNobody(t *testing.T) {
	record := func(s *stage) {
		for i, tenant := range []string{"", "acme", ""} {
			require.NoError(t, s.store.RecordEvent(t.Context(), results.IntakeEvent{ID: fmt.Sprint("01JD3Q0C6Q8R4T2V9W1X5Y7Z0", i), Tenant: tenant, Source: "webhook",
				Raw: []byte("not JSON"), State: results.IntakeUnread, Why: results.Because("event_not_json", "because", "因为"), ReceivedAt: s.now()}))
		}
	}
	ids := func(s *stage, role results.Role) (out []string) {
		for path := "/v1/intake-events?limit=2"; path != ""; {
			var page List[IntakeEvent]
			s.do(get, path, s.key("acme", role), nil).into(&page)
			for _, e := range page.Items {
				out = append(out, e.ID[len(e.ID)-1:])
			}
			path = ""
			if page.Next != "" {
				path = "/v1/intake-events?limit=2&cursor=" + page.Next
			}
		}
		return out
	}
	several := newStage(t)
	record(several)
	require.Equal(t, []string{"1"}, ids(several, admin), "they may be of the other tenant's people")
	alone := newStage(t, func(s *Server) { s.Store = loneStore{s.Store} })
	record(alone)
	require.Equal(t, []string{"2", "1", "0"}, ids(alone, admin))
	require.Equal(t, []string{"2", "1", "0"}, ids(alone, audit))
}
