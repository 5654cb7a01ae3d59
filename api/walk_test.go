package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/storetest"
)

// mark stands in everything that acme has, so that it is seen wherever it leaks to.
const mark = "ACMEMARK"

// walk holds one of everything for acme, and how each operation is asked for it.
type walk struct {
	*desk
	job, upload, photo, key, webhook, delivery, marked, entry, challenge string
	model, promotion, comparison                                         string
}

// newWalk gives acme a subject with a photo, a site, a policy, a key, a webhook with a delivery, a bucket, jobs and a verdict.
func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{desk: newDesk(t)}
	w.server.Registry = &fakeRegistry{}
	w.server.MayMap = func(string, string, string) bool { return true }
	id := func(a answer) string {
		t.Helper()
		var made struct{ ID string }
		a.into(&made)
		require.NotEmpty(t, made.ID, string(a.body))
		return made.ID
	}
	w.ok(http.StatusCreated, http.MethodPost, "/v1/subjects", map[string]string{"id": "acmeonly", "label": mark})
	w.consent("acmeonly")
	require.Less(t, w.photos("acmeonly", "face of a").status, 300)
	photos, err := w.store.Photos(t.Context(), "acme", "acmeonly", 0)
	require.NoError(t, err)
	w.photo = photos[0].ID
	w.ok(http.StatusCreated, http.MethodPut, "/v1/sites/acmesite", map[string]any{"id": "acmesite", "label": mark, "sign": map[string]any{"names": []string{"X"}}})
	_, err = w.store.PutPolicy(t.Context(), results.Policy{Tenant: "acme", Name: "acmepolicy", Digest: "sha256:0", YAML: []byte("# " + mark), CreatedAt: w.now()}, 0, w.audit("acme"))
	require.NoError(t, err)
	w.key = id(w.ok(http.StatusCreated, http.MethodPost, "/v1/keys", map[string]any{"name": mark, "roles": []string{"read"}}))
	w.webhook = id(w.ok(http.StatusCreated, http.MethodPost, "/v1/webhooks", map[string]any{"url": "https://hooks.example/" + mark}))
	w.mapBucket("acme", "acmebucket", mark+"/")
	require.NoError(t, w.store.RecordEvent(t.Context(), results.IntakeEvent{ID: ulid.Make().String(), Tenant: "acme", Source: "webhook", Raw: []byte(mark), Bucket: "acmebucket", State: results.IntakeUnread, Why: results.Because("event_not_json", mark, mark), ReceivedAt: w.now()}))
	var got AcceptedJob
	w.stage.submit(w.admin, nil, "subject", "acmeonly", "site", "acmesite", "@media", mark).into(&got)
	w.job = got.Job
	w.finished(w.job, pipeline.DecisionAbnormal, pipeline.NoFace)
	deliveries, err := w.store.Deliveries(t.Context(), "acme", w.webhook, results.Page{Limit: 10})
	require.NoError(t, err)
	require.NotEmpty(t, deliveries)
	w.delivery = deliveries[0].ID
	var up UploadAnswer
	w.ok(http.StatusCreated, http.MethodPost, "/v1/uploads", map[string]string{"subject": "acmeonly"}).into(&up)
	w.upload = up.Job
	w.policy("acmetasks", "challenge: {wanted: true}")
	w.challenge = id(w.ok(http.StatusCreated, http.MethodPost, "/v1/challenges", map[string]string{"subject": "acmeonly", "policy": "acmetasks"}))
	second := w.accepted("acme")
	w.marked = id(w.ok(http.StatusCreated, http.MethodPost, "/v1/reuse/marks", map[string]any{"kind": "pair", "job": w.job, "other": second, "note": mark}))
	w.ended(second, results.Dead)
	own := storetest.NewModel(t, w.store, "acme", mark)
	require.NoError(t, w.store.AddModel(t.Context(), own, w.audit("acme")))
	own.State = results.ModelChecked
	require.NoError(t, w.store.ChangeModel(t.Context(), own, results.ModelAdded, results.AuditEntry{}))
	w.model, w.promotion = own.ID, ulid.Make().String()
	require.NoError(t, w.store.BeginPromotion(t.Context(), results.Promotion{ID: w.promotion, Model: own.ID, Scope: "acme", Task: own.Task, State: results.PromotionEmbedding, Created: w.now()}, results.AuditEntry{}))
	w.comparison = ulid.Make().String()
	compared := results.ModelComparison{ID: w.comparison, Scope: "acme", Models: []string{own.ID}, Ask: json.RawMessage(`{"data": "` + mark + `"}`), Created: w.now()}
	require.NoError(t, w.store.BeginComparison(t.Context(), compared, nil, results.AuditEntry{}))
	require.NoError(t, w.store.EndComparison(t.Context(), compared, []byte(mark), results.AuditEntry{}))
	_, err = w.store.ProposeEpoch(t.Context(), results.Epoch{Action: "model.shadowed", Changes: []results.ModelChange{{Model: own.ID, State: results.ModelShadow}}}, 0, results.StepStaged, results.AuditEntry{})
	require.NoError(t, err)
	w.signLog()
	logged, err := w.store.LogEntries(t.Context(), "acme", 0, 1)
	require.NoError(t, err)
	w.entry = logged[0].ID
	return w
}

// marks are what only acme may see.
func (w *walk) marks() []string {
	return []string{mark, "acmeonly", "acmesite", "acmepolicy", "acmebucket", w.job, w.upload, w.photo, w.key, w.webhook, w.delivery, w.marked, w.entry, w.challenge, w.model, w.promotion, w.comparison}
}

// path fills in what acme has.
func (w *walk) path(op *huma.Operation) string {
	job, id := w.job, ""
	switch parts := strings.Split(op.Path, "/"); parts[2] {
	case "uploads":
		job = w.upload
	case "subjects":
		id = "acmeonly"
	case "sites":
		id = "acmesite"
	case "keys":
		id = w.key
	case "webhooks":
		id = w.webhook
	case "reuse":
		id = w.marked
	case "audit":
		id = w.entry
	case "challenges":
		id = w.challenge
	case "registry":
		id = map[string]string{"models": w.model, "promotions": w.promotion, "comparisons": w.comparison}[append(parts, "")[3]]
	}
	p := strings.NewReplacer("{job}", job, "{n}", "0", "{number}", "1", "{id}", id, "{photo}", w.photo, "{purpose}", "face", "{name}", "acmepolicy", "{delivery}", w.delivery).Replace(op.Path)
	if op.OperationID == "delete-bucket" {
		p += "?bucket=acmebucket&prefix=" + mark + "/"
	}
	if op.OperationID == opVectorsDrop {
		p += "?name=" + strings.Repeat("a", 64)
	}
	if op.OperationID == opEvidence {
		p += "?recipient=court"
	}
	if op.OperationID == "get-audit-consistency" {
		p += "?from=1&to=2"
	}
	require.NotContains(w.t, p, "{", "say here what fills the path of %s", op.OperationID)
	return p
}

// bodies are valid bodies of the operations that take one, naming acme's things where they name any.
func (w *walk) body(op *huma.Operation) (any, []string) {
	files := func(parts ...string) (any, []string) {
		b, kind := pieces(w.t, parts...)
		return b, []string{"Content-Type", kind, "If-Match", "*"}
	}
	switch op.OperationID {
	case opSubmit:
		b, kind := form(w.t, "subject", "acmeonly", "@media", "x")
		return b, []string{"Content-Type", kind}
	case opUpload:
		return map[string]string{"subject": "acmeonly"}, nil
	case "enrol-photos":
		return files("photo", "face of b")
	case "bulk-subjects":
		return files("people", "id,photos\nacmeonly,photo.jpg\n", "photo", "face of b")
	case "put-policy":
		return strings.NewReader("schema: onsite.policy/1\n"), []string{"Content-Type", "application/yaml", "If-Match", "*"}
	case opTrySite:
		return files("photo", "picture of the shop")
	case "put-site":
		return map[string]any{"id": "acmesite", "label": "mine", "sign": map[string]any{"names": []string{"X"}}}, []string{"If-Match", "*"}
	case "create-subject":
		return map[string]string{"id": "acmeonly"}, nil
	case "put-subject":
		return map[string]string{"label": "mine"}, []string{"If-Match", "*"}
	case "give-consent":
		return map[string]string{"notice": "v1"}, nil
	case "create-key":
		return map[string]any{"name": "mine", "roles": []string{"read"}}, nil
	case "create-webhook", "put-webhook":
		return map[string]any{"url": "https://hooks.example/mine"}, []string{"If-Match", "*"}
	case "rotate-webhook":
		return map[string]any{}, nil
	case "put-bucket":
		return map[string]string{"bucket": "acmebucket", "prefix": mark + "/"}, nil
	case opChallenge:
		return map[string]string{"subject": "acmeonly", "policy": "acmetasks"}, nil
	case opModelAdd:
		return files("manifest", "name: x")
	case opModelShadow, opModelCanary:
		return map[string]any{"share": 0.5}, nil
	case opComparisonBegin:
		return map[string]any{"models": []string{w.model}}, nil
	case opModelCompare, opModelPromote:
		return map[string]any{}, nil
	case opMark:
		return map[string]any{"kind": "background", "job": w.job, "at_ms": 0, "note": "mine"}, nil
	case "put-tenant":
		return map[string]any{}, []string{"If-Match", "*"}
	}
	require.Nil(w.t, op.RequestBody, "say here what a body of %s is", op.OperationID)
	return nil, []string{"If-Match", "*"}
}

// everything is what acme sees of itself: all that can be read.
func (w *walk) everything() map[string]string {
	w.t.Helper()
	seen := map[string]string{}
	for _, op := range w.server.ops {
		if op.Method != http.MethodGet || op.OperationID == "list-audit" || op.OperationID == opEvidence { // looking at pictures is written there
			continue
		}
		a := w.ask(op.Method, w.path(op), nil)
		require.Equal(w.t, 200, a.status, "%s: %s", op.OperationID, a.body)
		body := string(a.body)
		if op.OperationID == "export-subject" { // says when it was made
			body = body[:strings.LastIndex(body, `,"created_at":`)]
		}
		seen[op.OperationID] = body
	}
	return seen
}

// TestNobodySeesAnothersTenant walks over every operation with another tenant's key and acme's ids. First what acme has is read with its
// own key: so the ids are real, and a 404 for the other says something.
func TestNobodySeesAnothersTenant(t *testing.T) {
	w := newWalk(t)
	before := w.everything()
	all := before["get-subject"] + before["get-site"] + before["list-keys"] + before["list-webhooks"] + before["get-verdict"] + before["list-buckets"] + before["list-intake-events"]
	for _, m := range []string{mark, "acmeonly", "acmesite", w.key, w.webhook, w.job, "acmebucket"} {
		require.Contains(t, all, m, "acme itself sees it")
	}
	stranger := w.stage.key("other", admin)
	ops := slices.Clone(w.server.ops)
	slices.SortStableFunc(ops, func(a, b *huma.Operation) int { return rank(a) - rank(b) })
	for _, op := range ops {
		if access[op.OperationID][0] == public {
			continue
		}
		t.Run(op.OperationID, func(t *testing.T) {
			path := w.path(op)
			body, headers := w.body(op)
			a := w.do(op.Method, path, stranger, body, headers...)
			own := rank(op) > 0 // makes something of its own under the same name
			if strings.Contains(op.Path, "{") && !own || op.OperationID == "delete-bucket" {
				require.Contains(t, []int{http.StatusNotFound, http.StatusForbidden, http.StatusPreconditionFailed}, a.status, string(a.body))
			}
			require.NotEqual(t, http.StatusInternalServerError, a.status, string(a.body))
			if own {
				return // its own thing has the name that it gave
			}
			for _, m := range w.marks() {
				require.NotContains(t, string(a.body), m)
				for _, values := range a.header {
					require.NotContains(t, strings.Join(values, " "), m)
				}
			}
		})
	}
	after := w.everything()
	require.Len(t, after, len(before))
	for id, body := range before {
		require.Equal(t, body, after[id], "%s: nothing of acme's was changed", id)
	}
}

// rank lets operations that make things come last, so that the others find nothing of the stranger's own.
func rank(op *huma.Operation) int {
	switch op.OperationID {
	case "put-subject", "put-site", "put-policy", "create-subject", "create-key", "create-webhook", "put-bucket":
		return 1
	}
	return 0
}

func TestEveryOperationNeedsAKeyWithARole(t *testing.T) {
	w := newWalk(t)
	for _, op := range w.server.ops {
		roles := access[op.OperationID]
		if roles[0] == public {
			continue
		}
		t.Run(op.OperationID, func(t *testing.T) {
			path := w.path(op)
			a := w.do(op.Method, path, "", nil)
			a.problem(401, codeNoKey)
			require.Contains(t, a.header.Get("WWW-Authenticate"), "Bearer")
			w.do(op.Method, path, "ons_abcdefghijkl_0000000000000000000000000000000000000000000", nil).problem(401, codeBadKey)
			var others []results.Role
			for _, r := range results.Roles {
				if r != admin && !slices.Contains(roles, r) {
					others = append(others, r)
				}
			}
			if len(others) > 0 {
				p := w.do(op.Method, path, w.stage.key("acme", others...), nil).problem(403, codeRole)
				require.Contains(t, p.Detail, "admin")
			}
			for _, r := range roles { // each of its roles is enough
				body, headers := w.body(op)
				if op.Method != http.MethodGet {
					body = nil // past the guard is far enough
				}
				a := w.do(op.Method, path, w.stage.key("acme", r), body, headers...)
				require.NotContains(t, []int{401, 403}, a.status, "%s: %s", r, a.body)
				if op.Method != http.MethodGet {
					break // once: it may have been deleted by now
				}
			}
		})
	}
}

// The table and the operations are the same set.
func TestAccessTable(t *testing.T) {
	s := newStage(t)
	registered := map[string]bool{}
	for _, op := range s.server.ops {
		require.False(t, registered[op.OperationID], "%s twice", op.OperationID)
		registered[op.OperationID] = true
		require.NotEmpty(t, op.Summary, op.OperationID)
		require.NotEmpty(t, op.Tags, op.OperationID)
	}
	for id, roles := range access {
		require.True(t, registered[id], "%s stands in the table and is no operation", id)
		for _, r := range roles {
			require.True(t, r == public || slices.Contains(results.Roles, r), "%s: no role %s", id, r)
		}
	}
	require.Len(t, access, len(registered))
	require.Panics(t, func() {
		register(s.server, huma.Operation{OperationID: "not-in-the-table", Method: http.MethodGet, Path: "/x"}, s.server.receiveEvents)
	})
}
