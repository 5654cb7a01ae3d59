package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/storetest"
)

// fakeRegistry finds no fault with any model.
type fakeRegistry struct{ obstacle []pipeline.Text }

func (f *fakeRegistry) Examine(context.Context, results.RegisteredModel) (json.RawMessage, bool, error) {
	return json.RawMessage(`{}`), true, nil
}

func (f *fakeRegistry) Obstacles(context.Context, results.EpochDoc, string, ...results.RegisteredModel) ([]pipeline.Text, error) {
	return f.obstacle, nil
}

func (f *fakeRegistry) Vectors(_ context.Context, _ results.EpochDoc, _ string, further ...results.RegisteredModel) (string, error) {
	for _, m := range further {
		if m.Task == results.ModelTask {
			return m.SHA256, nil
		}
	}
	return "built in", nil
}

func (f *fakeRegistry) BuiltIn() ([]pipeline.ModelRef, error) { return nil, nil }

// checked adds a model that was checked.
func (s *stage) checked(tenant, name string) results.RegisteredModel {
	s.t.Helper()
	m := storetest.NewModel(s.t, s.store, tenant, name)
	require.NoError(s.t, s.store.AddModel(s.t.Context(), m, results.AuditEntry{}))
	m.State = results.ModelChecked
	require.NoError(s.t, s.store.ChangeModel(s.t.Context(), m, results.ModelAdded, results.AuditEntry{}))
	return m
}

func operated(s *Server) {
	s.Registry = &fakeRegistry{}
	s.Operator = func(tenant string) bool { return tenant == "acme" }
}

// settled makes the staging epoch active.
func (s *stage) settled() {
	s.t.Helper()
	e, err := s.store.NewestEpochs(s.t.Context(), 1)
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.HostModels(s.t.Context(), results.ModelHost{Name: "machine-7", Role: "worker", Ready: e[0].Number}))
	_, err = s.store.SettleEpoch(s.t.Context(), time.Minute, time.Hour)
	require.NoError(s.t, err)
}

// A new model is told that its name cannot be that of a folder before its file is read.
func TestAModelsNameIsAFolders(t *testing.T) {
	s := newStage(t, operated, func(s *Server) {
		objects, err := object.NewFolder(t.TempDir())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, objects.Close()) })
		s.Objects = objects
	})
	text, err := os.ReadFile("../models/manifest/builtin/liveness.yaml")
	require.NoError(t, err)
	body, kind := pieces(t, "manifest", strings.Replace(string(text), "name: faceplugin-liveness", "name: My Embed", 1))
	a := s.do(http.MethodPost, "/v1/registry/models", s.key("acme", results.RoleModels), body, "Content-Type", kind)
	require.Equal(t, http.StatusUnprocessableEntity, a.status, string(a.body))
	require.Contains(t, string(a.body), "cannot be the name of a folder")
}

// Who does not operate the installation changes its own models only, and sees nothing of other tenants' jobs, models and machines.
func TestRegistryForNonOperators(t *testing.T) {
	s := newStage(t, operated)
	boss, other := s.key("acme", results.RoleModels), s.key("other", results.RoleModels)
	m := s.checked("", "strange")
	share := map[string]any{"share": 0.5}
	for path, body := range map[string]any{"/shadow": share, "/canary": share, "/promote": map[string]any{}, "/compare": map[string]any{}, "/rollback": nil, "/retire": nil, "/check": nil} {
		a := s.do(http.MethodPost, "/v1/registry/models/"+m.ID+path, other, body)
		require.Equal(t, http.StatusForbidden, a.status, path+" "+string(a.body))
	}
	theirs := s.checked("acme", "own")
	require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, "/v1/registry/models/"+theirs.ID+"/gaps", other, nil).status)

	a := s.do(http.MethodPost, "/v1/registry/models/"+m.ID+"/canary", boss, map[string]any{"tenants": []string{"other"}})
	require.Equal(t, http.StatusOK, a.status, string(a.body))
	s.settled()
	put := s.do(http.MethodPut, "/v1/registry/models/"+m.ID+"/report", boss, `{"passed": true, "sites": {"acme/store-17": {}}}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusOK, put.status, string(put.body))

	var seen RegistryView
	view := s.do(http.MethodGet, "/v1/registry", boss, nil)
	require.NoError(t, json.Unmarshal(view.body, &seen))
	require.Contains(t, string(view.body), "machine-7")
	require.NotContains(t, string(view.body), "store-17", "a list has no reports")
	require.Contains(t, string(s.do(http.MethodGet, "/v1/registry/models/"+m.ID, boss, nil).body), "store-17")
	require.Equal(t, results.ModelCanary, seen.Models[0].State)
	require.NotContains(t, string(s.do(http.MethodGet, "/v1/registry/models/"+m.ID, other, nil).body), "store-17")
	view = s.do(http.MethodGet, "/v1/registry", other, nil)
	require.Contains(t, string(view.body), m.ID)
	for _, hidden := range []string{"machine-7", "store-17", theirs.ID} {
		require.NotContains(t, string(view.body), hidden)
	}
}

// A comparison counts the runs on verdicts of the model that is active now; one that passed counts for as long as that is.
func TestComparisonIsWithTheActiveModel(t *testing.T) {
	s := newStage(t, operated)
	boss := s.key("acme", results.RoleModels)
	m, next := s.checked("", "strange"), s.checked("", "next")
	job := s.accepted("acme")
	s.finished(job, pipeline.DecisionPass)
	require.NoError(t, s.store.PutShadowRun(t.Context(), results.ShadowRun{Model: m.ID, Job: job, Tenant: "acme", Subject: "e1", Same: true, Before: "pass", After: "pass", Detail: json.RawMessage(`{"group":{"site":"store-17"}}`)}))
	compare := func() (c ModelComparison) {
		a := s.do(http.MethodPost, "/v1/registry/models/"+m.ID+"/compare", boss, map[string]any{"min_jobs": 1})
		require.Equal(t, http.StatusOK, a.status, string(a.body))
		require.NoError(t, json.Unmarshal(a.body, &c))
		return c
	}
	promote := func(id string, body map[string]any) int {
		return s.do(http.MethodPost, "/v1/registry/models/"+id+"/promote", boss, body).status
	}
	refused := s.do(http.MethodPost, "/v1/registry/models/"+m.ID+"/promote", boss, map[string]any{})
	require.Equal(t, http.StatusConflict, refused.status, "no comparison")
	require.Contains(t, string(refused.body), "onsite models compare-live "+m.Name, "what to do is said in commands")
	c := compare()
	require.True(t, c.Passed)
	require.Contains(t, c.Sites, "acme/store-17")

	_, err := s.store.ProposeEpoch(t.Context(), results.Epoch{}.Promoted(next, nil), 0, results.StepStaged, results.AuditEntry{})
	require.NoError(t, err)
	s.settled()
	require.Equal(t, http.StatusConflict, promote(m.ID, map[string]any{}), "it was compared with another model")
	c = compare()
	require.Equal(t, [2]int{0, 1}, [2]int{c.Jobs, c.Stale})
	require.False(t, c.Passed)
	require.Equal(t, next.ID, c.Against)

	// A promotion that is cancelled stands in the log of every tenant that it concerns.
	a := s.do(http.MethodPost, "/v1/registry/models/"+m.ID+"/promote", boss, map[string]any{"override": "a drill"})
	require.Equal(t, http.StatusAccepted, a.status, string(a.body))
	var p PromotionAnswer
	require.NoError(t, json.Unmarshal(a.body, &p))
	require.Equal(t, http.StatusOK, s.do(http.MethodDelete, "/v1/registry/promotions/"+p.Promotion.ID, boss, nil).status)
	for _, tenant := range []string{"acme", "other"} {
		log := s.do(http.MethodGet, "/v1/audit", s.key(tenant, results.RoleAudit), nil)
		require.Contains(t, string(log.body), "model.promotion.cancelled", tenant)
	}
}

// Shadow runs count for just the models that ran, and while what they replace runs still.
func TestComparisonIsOfTheModelsThatRan(t *testing.T) {
	s := newStage(t, operated)
	boss := s.key("acme", results.RoleModels)
	m, partner := s.checked("", "strange"), storetest.NewModel(t, s.store, "", "partner")
	partner.Task = "face_detect"
	require.NoError(t, s.store.AddModel(t.Context(), partner, results.AuditEntry{}))
	partner.State = results.ModelChecked
	require.NoError(t, s.store.ChangeModel(t.Context(), partner, results.ModelAdded, results.AuditEntry{}))
	_, err := s.store.ProposeEpoch(t.Context(), results.Epoch{}.Shadowed(m, 1, 1, partner), 0, results.StepStaged, results.AuditEntry{})
	require.NoError(t, err)
	s.settled()
	job := s.accepted("acme")
	s.finished(job, pipeline.DecisionPass)
	compare := func(detail string) (c ModelComparison) {
		require.NoError(t, s.store.PutShadowRun(t.Context(), results.ShadowRun{Model: m.ID, Job: job, Tenant: "acme", Subject: "e1", Same: true, Before: "pass", After: "pass", Detail: json.RawMessage(detail)}))
		a := s.do(http.MethodPost, "/v1/registry/models/"+m.ID+"/compare", boss, map[string]any{"min_jobs": 1})
		require.Equal(t, http.StatusOK, a.status, string(a.body))
		require.NoError(t, json.Unmarshal(a.body, &c))
		return c
	}
	for _, other := range []string{`{}`, `{"with": {"another": ""}}`, fmt.Sprintf(`{"with": {%q: "past"}}`, partner.ID)} {
		c := compare(other)
		require.Equal(t, [2]int{0, 1}, [2]int{c.Jobs, c.Stale}, other)
		require.False(t, c.Passed)
	}
	c := compare(fmt.Sprintf(`{"with": {%q: ""}}`, partner.ID))
	require.Equal(t, [2]int{1, 0}, [2]int{c.Jobs, c.Stale})
	require.True(t, c.Passed)
	require.Equal(t, map[string]string{m.Task: "", partner.Task: ""}, c.Replaced)

	// A rollback stops a promotion that is about to replace the model by one that comes with another.
	active := s.checked("", "next")
	_, err = s.store.ProposeEpoch(t.Context(), results.Epoch{}.Promoted(active, nil), 1, results.StepStaged, results.AuditEntry{})
	require.NoError(t, err)
	s.settled()
	p := results.Promotion{ID: storetest.NewID(), Model: partner.ID, With: []string{m.ID}, Task: partner.Task, State: results.PromotionEmbedding, Created: s.store.Now()}
	require.NoError(t, s.store.BeginPromotion(t.Context(), p, results.AuditEntry{}))
	a := s.do(http.MethodPost, "/v1/registry/models/"+active.ID+"/rollback", boss, nil)
	require.Equal(t, http.StatusOK, a.status, string(a.body))
	p, err = s.store.Promotion(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, results.PromotionCancelled, p.State)
}

// A tenant that runs a model of its own for a task is in no trial of the installation's.
func TestCanaryOfATenantWithItsOwnModel(t *testing.T) {
	s := newStage(t, operated)
	boss := s.key("acme", results.RoleModels)
	m, own := s.checked("", "strange"), s.checked("other", "own")
	_, err := s.store.ProposeEpoch(t.Context(), results.Epoch{}.Promoted(own, nil), 0, results.StepStaged, results.AuditEntry{})
	require.NoError(t, err)
	s.settled()
	a := s.do(http.MethodPost, "/v1/registry/models/"+m.ID+"/canary", boss, map[string]any{"tenants": []string{"other"}})
	require.Equal(t, http.StatusUnprocessableEntity, a.status, string(a.body))
	s.server.Registry.(*fakeRegistry).obstacle = []pipeline.Text{say("a head", "头")}
	a = s.do(http.MethodPost, "/v1/registry/models/"+m.ID+"/shadow", boss, map[string]any{"share": 0.5})
	require.Equal(t, http.StatusConflict, a.status, string(a.body))
	require.Contains(t, string(a.body), "obstacle")
}

// Whoever has as many models as a scope may have, or as many bytes, is told so before a file is read.
func TestUploadsOfModelsAreBounded(t *testing.T) {
	s := newStage(t, operated)
	small := manifest.Manifest{File: manifest.File{Name: "m.onnx", SHA256: "1", Bytes: 1 << 20}}
	room := func(m manifest.Manifest) error { return s.server.roomForModel(t.Context(), "acme", m) }
	first := s.checked("acme", "m0")
	for n := 1; n < maxModels; n++ {
		require.NoError(t, room(small))
		require.NoError(t, s.store.AddModel(t.Context(), storetest.NewModel(t, s.store, "acme", fmt.Sprintf("m%d", n)), results.AuditEntry{}))
	}
	var said *Problem
	require.ErrorAs(t, room(small), &said)
	require.Equal(t, "too_many", said.Errors[0].Code)
	require.Equal(t, maxModels, said.Errors[0].Limit)
	require.NoError(t, s.server.roomForModel(t.Context(), "other", small), "another scope has room")
	m, err := s.store.Model(t.Context(), first.ID)
	require.NoError(t, err)
	m.State = results.ModelRetired
	require.NoError(t, s.store.ChangeModel(t.Context(), m, results.ModelChecked, results.AuditEntry{}))
	require.NoError(t, room(small))
	small.File.Bytes = maxScopeBytes
	require.ErrorAs(t, room(small), &said)
	require.Equal(t, "too_large", said.Errors[0].Code)
	require.Equal(t, "form.file", said.Errors[0].Field)
}

// Of several manifests of one file the vectors are named after the one that runs.
func TestVectorsAreNamedAfterWhatRuns(t *testing.T) {
	s := newStage(t, operated)
	first, second := storetest.NewModel(t, s.store, "", "refused"), storetest.NewModel(t, s.store, "", "strange")
	second.SHA256 = first.SHA256
	for _, m := range []results.RegisteredModel{first, second} {
		require.NoError(t, s.store.AddModel(t.Context(), m, results.AuditEntry{}))
	}
	second.State = results.ModelChecked
	require.NoError(t, s.store.ChangeModel(t.Context(), second, results.ModelAdded, results.AuditEntry{}))
	name, err := s.server.embedderName(t.Context(), first.SHA256+results.TemplateSuffix+"x", []string{"acme"})
	require.NoError(t, err)
	require.Equal(t, "strange "+second.Version, name)
}
