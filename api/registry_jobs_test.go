package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/compare"
	"onsite/results"
)

// A comparison over stored jobs is begun with the limits that count later, is one at a time for a model, and can be paused and ended.
func TestComparisonOverStoredJobs(t *testing.T) {
	s := newStage(t, operated)
	boss, other := s.key("acme", results.RoleModels), s.key("other", results.RoleModels)
	m := s.checked("", "strange")
	begin := func(key string, more map[string]any) answer {
		body := map[string]any{"models": []string{m.ID}, "limits": map[string]any{"cases": 1}}
		for k, v := range more {
			body[k] = v
		}
		return s.do(http.MethodPost, "/v1/registry/comparisons", key, body)
	}
	require.Equal(t, http.StatusForbidden, begin(other, nil).status)
	require.Equal(t, http.StatusUnprocessableEntity, begin(boss, nil).status, "no job is finished")
	one, two := s.accepted("acme"), s.accepted("acme")
	s.finished(one, pipeline.DecisionPass)
	s.finished(two, pipeline.DecisionPass)
	require.Equal(t, http.StatusUnprocessableEntity, begin(boss, map[string]any{"labels": map[string]string{one: "friend"}}).status)
	require.Equal(t, http.StatusUnprocessableEntity, begin(boss, map[string]any{"site": "nowhere"}).status)

	a := begin(boss, map[string]any{"labels": map[string]string{two: "genuine"}, "groups": map[string]any{two: map[string]string{"declared": "woman"}}, "limit": 1, "subject": "e1"})
	require.Equal(t, http.StatusAccepted, a.status, string(a.body))
	var c Comparison
	a.into(&c)
	require.EqualValues(t, 1, c.Jobs)
	require.Equal(t, pipeline.Text{EN: "stored jobs: 1, subject e1", ZH: "存储的任务：1 个，人员 e1"}, c.DataText)
	row, err := s.store.Comparison(t.Context(), c.ID)
	require.NoError(t, err)
	var ask results.ComparisonAsk
	require.NoError(t, json.Unmarshal(row.Ask, &ask))
	var limits compare.Limits
	require.NoError(t, json.Unmarshal(ask.Limits, &limits))
	want := compare.DefaultLimits()
	want.Cases = 1
	require.Equal(t, want, limits, "what is not said is as usual")
	j, err := s.store.NextCompared(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, two, j.Job, "the newest")
	require.JSONEq(t, `{"label": "genuine", "groups": {"declared": "woman"}}`, string(j.Body))
	require.NotContains(t, string(row.Ask), "woman", "what is said of a person stands with the job alone, and goes with the person")
	require.Equal(t, http.StatusConflict, begin(boss, nil).status)

	at := "/v1/registry/comparisons/" + c.ID
	require.Equal(t, http.StatusForbidden, s.do(http.MethodGet, at, other, nil).status)
	require.Equal(t, http.StatusConflict, s.do(http.MethodGet, at+"/package", boss, nil).status, "there is none yet")
	for _, step := range []struct {
		method, path string
		status       int
		state        results.ComparisonState
	}{
		{http.MethodPost, "/resume", http.StatusConflict, ""},
		{http.MethodPost, "/pause", http.StatusOK, results.ComparisonPaused},
		{http.MethodPost, "/resume", http.StatusOK, results.ComparisonRunning},
		{http.MethodDelete, "", http.StatusOK, results.ComparisonCancelled},
		{http.MethodPost, "/pause", http.StatusConflict, ""},
	} {
		a := s.do(step.method, at+step.path, boss, nil)
		require.Equal(t, step.status, a.status, string(a.body))
		if step.state != "" {
			a.into(&c)
			require.Equal(t, step.state, c.State)
		}
	}
	var all List[Comparison]
	s.do(http.MethodGet, "/v1/registry/comparisons?scope=installation", boss, nil).into(&all)
	require.Len(t, all.Items, 1)
}

// A report allows the promotion of just the models that it is about.
func TestReportIsAboutItsModels(t *testing.T) {
	m := func(id string, report string) results.RegisteredModel {
		return results.RegisteredModel{ID: id, Task: id, SHA256: "sum-" + id, Passed: true, Report: json.RawMessage(report)}
	}
	both := func(report string) []results.RegisteredModel {
		return []results.RegisteredModel{m("a", report), m("b", report)}
	}
	labelled := func(before, after string) string {
		return fmt.Sprintf(`{"schema": "onsite.compare/1", "before": {"models": [%s]}, "after": {"models": [%s]}}`, before, after)
	}
	active := running{"a": {sum: []string{"was-a"}}, "b": {}}
	for report, want := range map[string][2]bool{ // of a alone, of both
		`{"comparison": "c", "models": ["a"], "replaced": {"a": ""}}`:                                                                                       {true, false},
		`{"comparison": "c", "models": ["b", "a"], "replaced": {"a": "", "b": ""}}`:                                                                         {false, true},
		`{"comparison": "c", "models": ["a"], "replaced": {"a": "another was active"}}`:                                                                     {false, false},
		`{"comparison": "c", "models": ["b", "a"], "replaced": {"a": "", "b": "past"}}`:                                                                     {false, false},
		`{"against": "", "replaced": {"a": ""}}`:                                                                                                            {true, false},
		`{"against": ""}`:                                                                                                                                   {false, false},
		`{"against": "", "with": ["b"], "replaced": {"a": "", "b": ""}}`:                                                                                    {false, true},
		`{"against": "", "with": ["b"], "replaced": {"a": "", "b": "past"}}`:                                                                                {false, false},
		labelled(`{"task": "a", "sha256": "was-a"}`, `{"task": "a", "sha256": "sum-a"}`):                                                                    {true, false},
		labelled(`{"task": "a", "sha256": "was-a"}`, `{"task": "a", "sha256": "another"}`):                                                                  {false, false},
		labelled(`{"task": "a", "sha256": "past"}`, `{"task": "a", "sha256": "sum-a"}`):                                                                     {false, false},
		labelled(`{"task": "a", "sha256": "was-a"}`, `{"task": "a", "sha256": "sum-a"}, {"task": "b", "sha256": "sum-b"}`):                                  {false, true},
		labelled(`{"task": "a", "sha256": "was-a"}, {"task": "b", "sha256": "past"}`, `{"task": "a", "sha256": "sum-a"}, {"task": "b", "sha256": "sum-b"}`): {false, false},
		`{"passed": true}`: {true, false},
		`[]`:               {false, false},
	} {
		all := both(report)
		require.Equal(t, want[0], compared(all[0], all[:1], active), report)
		require.Equal(t, want[1], compared(all[0], all, active), report)
	}
	failed := m("a", `{"against": "", "replaced": {"a": ""}}`)
	failed.Passed = false
	require.False(t, compared(failed, []results.RegisteredModel{failed}, active))
}
