package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
)

// filmed makes a finished job of a clip of five seconds with a keyframe each second, as its verdict names them.
func (d *desk) filmed(tenant string) string {
	d.t.Helper()
	job := d.accepted(tenant)
	d.finished(job, pipeline.DecisionAbnormal, pipeline.FootageReused)
	var v pipeline.Verdict
	row, err := d.store.Verdict(context.Background(), tenant, job, 0)
	require.NoError(d.t, err)
	require.NoError(d.t, json.Unmarshal(row.Body, &v))
	v.Media.DurationMS, v.Revision = 5000, 2
	for i := range 5 {
		v.Media.Keyframes = append(v.Media.Keyframes, pipeline.Keyframe{Index: i, PTSMS: int64(i) * 1000, PHash: reuse.Bits256{uint64(i)}.String()})
	}
	row.Body, err = json.Marshal(v)
	require.NoError(d.t, err)
	row.Revision = 2
	require.NoError(d.t, d.store.Revise(context.Background(), row, d.audit(tenant), "", "", nil))
	return job
}

func (d *desk) mark(body map[string]any) MarkAnswer {
	d.t.Helper()
	if _, ok := body["note"]; !ok {
		body["note"] = "a double upload"
	}
	var out MarkAnswer
	d.ok(http.StatusCreated, http.MethodPost, "/v1/reuse/marks", body).into(&out)
	return out
}

func TestMarks(t *testing.T) {
	d := newDesk(t)
	a, b := d.filmed("acme"), d.filmed("acme")
	d.core.again = func(job string) (results.Verdict, bool, error) {
		return results.Verdict{Job: job, Revision: 3, Decision: pipeline.DecisionPass}, true, nil
	}
	pair := d.mark(map[string]any{"kind": "pair", "job": a, "other": b}) // the order does not matter
	require.Equal(t, MarkedVerdict{Job: b, Changed: true, Revision: 3, Decision: pipeline.DecisionPass}, pair.Verdict)
	require.Equal(t, []any{b, a, results.MarkPair, int64(1)}, []any{pair.Job, pair.Other, pair.Kind, pair.Position})
	require.Nil(t, pair.AtMS)
	require.Equal(t, 1, d.bell.rings(results.BellVerdict))
	wall := d.mark(map[string]any{"kind": "background", "job": a, "at_ms": 2600, "site": "store-17"})
	require.EqualValues(t, 3000, *wall.AtMS, "the nearest keyframe")
	stored, err := d.store.Mark(t.Context(), "acme", wall.ID)
	require.NoError(t, err)
	require.Equal(t, reuse.Bits256{3}.String(), stored.Hash)
	require.Equal(t, "store-17", stored.Site)
	raw, err := json.Marshal(wall)
	require.NoError(t, err)
	require.NotContains(t, string(raw), stored.Hash, "the hash was made from a picture of a person")

	var all List[Mark]
	d.ok(http.StatusOK, http.MethodGet, "/v1/reuse/marks?limit=1", nil).into(&all)
	require.Equal(t, []Mark{wall.Mark}, all.Items)
	next := all.Next
	all = List[Mark]{}
	d.ok(http.StatusOK, http.MethodGet, "/v1/reuse/marks?limit=1&cursor="+next, nil).into(&all)
	require.Equal(t, []Mark{pair.Mark}, all.Items)
	d.ask(http.MethodGet, "/v1/reuse/marks?limit=1&kind=pair&cursor="+next, nil).problem(400, codeCursor)
	for query, want := range map[string]int{"job=" + a: 2, "job=" + b: 1, "kind=pair": 1, "kind=background": 1, "in_force=true": 2, "job=01J00000000000000000000000": 0} {
		all = List[Mark]{}
		d.ok(http.StatusOK, http.MethodGet, "/v1/reuse/marks?"+query, nil).into(&all)
		require.Len(t, all.Items, want, query)
	}

	var revoked MarkAnswer
	d.ok(http.StatusOK, http.MethodDelete, "/v1/reuse/marks/"+pair.ID, nil).into(&revoked)
	require.NotNil(t, revoked.RevokedAt)
	require.Equal(t, pair.Actor, revoked.RevokedBy)
	require.EqualValues(t, 3, revoked.RevokedPos)
	require.True(t, revoked.Verdict.Changed)
	d.ask(http.MethodDelete, "/v1/reuse/marks/"+pair.ID, nil).problem(409, codeState)
	d.ask(http.MethodDelete, "/v1/reuse/marks/01J00000000000000000000000", nil).problem(404, codeNotFound)
	d.ok(http.StatusOK, http.MethodGet, "/v1/reuse/marks?in_force=true", nil).into(&all)
	require.Len(t, all.Items, 1)

	log, err := d.store.AuditLog(t.Context(), "acme", results.Page{Limit: 500})
	require.NoError(t, err)
	var told []string
	for _, e := range log {
		if strings.HasPrefix(e.Action, "mark.") {
			require.Equal(t, "e1", e.Subject)
			require.Equal(t, pair.Actor, e.Actor)
			told = append(told, e.Action+" "+e.Target)
		}
	}
	require.Equal(t, []string{"mark.created " + pair.ID, "mark.created " + wall.ID, "mark.revoked " + pair.ID}, told)
}

// An investigator may mark, whoever only reads may not; an auditor may look.
func TestWhoMayMark(t *testing.T) {
	d := newDesk(t)
	a, b := d.filmed("acme"), d.filmed("acme")
	body := map[string]any{"kind": "pair", "job": b, "other": a, "note": "n"}
	for _, r := range []results.Role{read, submit, audit, notice} {
		d.do(http.MethodPost, "/v1/reuse/marks", d.key("acme", r), body).problem(403, codeRole)
	}
	require.Equal(t, http.StatusCreated, d.do(http.MethodPost, "/v1/reuse/marks", d.key("acme", investigate), body).status)
	require.Equal(t, http.StatusOK, d.do(http.MethodGet, "/v1/reuse/marks", d.key("acme", audit), nil).status)
	// Another tenant's jobs are not there, in either place.
	theirs := d.filmed("other")
	for _, body := range []map[string]any{
		{"kind": "pair", "job": theirs, "other": a, "note": "n"}, {"kind": "pair", "job": a, "other": theirs, "note": "n"}, {"kind": "background", "job": theirs, "at_ms": 0, "note": "n"},
	} {
		d.ask(http.MethodPost, "/v1/reuse/marks", body).problem(404, codeNotFound)
	}
}

func TestMarksRefused(t *testing.T) {
	d := newDesk(t)
	a, b := d.filmed("acme"), d.filmed("acme")
	bare := d.accepted("acme")
	d.mark(map[string]any{"kind": "pair", "job": b, "other": a})
	d.mark(map[string]any{"kind": "background", "job": a, "at_ms": 0})
	ask := func(body map[string]any) answer {
		if _, ok := body["note"]; !ok {
			body["note"] = "n"
		}
		return d.ask(http.MethodPost, "/v1/reuse/marks", body)
	}
	ask(map[string]any{"kind": "pair", "job": a, "other": b}).problem(409, codeExists)
	ask(map[string]any{"kind": "background", "job": a, "at_ms": 400}).problem(409, codeExists)
	for _, c := range []struct {
		body         map[string]any
		field, fault string
	}{
		{map[string]any{"kind": "pair", "job": a}, "body.other", "required"},
		{map[string]any{"kind": "pair", "job": a, "other": a}, "body.other", "same"},
		{map[string]any{"kind": "pair", "job": a, "other": b, "at_ms": 0}, "body.at_ms", "surplus"},
		{map[string]any{"kind": "pair", "job": a, "other": b, "site": "store-17"}, "body.site", "surplus"},
		{map[string]any{"kind": "background", "job": a}, "body.at_ms", "required"},
		{map[string]any{"kind": "background", "job": a, "at_ms": 0, "other": b}, "body.other", "surplus"},
		{map[string]any{"kind": "background", "job": a, "at_ms": 5001}, "body.at_ms", "maximum"},
		{map[string]any{"kind": "background", "job": a, "at_ms": 1000, "site": "nowhere"}, "body.site", "unknown"},
		{map[string]any{"kind": "pair", "job": a, "other": b, "note": "a\x00b"}, "body.note", "pattern"},
	} {
		f := ask(c.body).field(422, codeInvalid, c.field, c.fault)
		require.NotEmpty(t, f.Fix)
	}
	ask(map[string]any{"kind": "pair", "job": a, "other": b, "note": strings.Repeat("x", 501)}).problem(422, codeInvalid)
	ask(map[string]any{"kind": "wall", "job": a}).problem(422, codeInvalid)
	ask(map[string]any{"kind": "pair", "job": "01J00000000000000000000000", "other": a}).problem(404, codeNotFound)
	ask(map[string]any{"kind": "background", "job": bare, "at_ms": 0}).problem(404, codePending)
	pictureless := d.accepted("acme")
	d.finished(pictureless, pipeline.DecisionPass)
	ask(map[string]any{"kind": "background", "job": pictureless, "at_ms": 0}).problem(409, codeState)
	p := d.do(http.MethodPost, "/v1/reuse/marks", d.admin, map[string]any{"kind": "pair", "job": b, "other": a, "note": "n"}, "Accept-Language", "zh").problem(409, codeExists)
	require.Contains(t, p.Detail, "已被标记")
}

// A mark is in force whether or not its job could be compared again, and the answer says why not.
func TestMarkThatCannotBeCompared(t *testing.T) {
	d := newDesk(t)
	a := d.filmed("acme")
	for want, err := range map[string]error{"no_verdict": results.ErrNotFound, "no_fingerprint": ErrNoFootage, "other_policy": &verify.OtherPolicyError{}, "not_now": errors.New("boom at /secret")} {
		d.core.again = func(job string) (results.Verdict, bool, error) {
			return results.Verdict{Job: job, Revision: 2}, false, err
		}
		got := d.mark(map[string]any{"kind": "background", "job": a, "at_ms": 1000})
		require.NotNil(t, got.Verdict.Why)
		require.Equal(t, want, got.Verdict.Why.Kind)
		require.NotEmpty(t, got.Verdict.Why.Text.ZH)
		require.NotContains(t, got.Verdict.Why.Text.EN, "secret")
		require.False(t, got.Verdict.Changed)
		d.ok(http.StatusOK, http.MethodDelete, "/v1/reuse/marks/"+got.ID, nil)
	}
}

// A pair of two people's uploads stands in the audit log for both of them.
func TestPairOfTwoSubjects(t *testing.T) {
	d := newDesk(t)
	a := d.filmed("acme")
	accepted := d.submit(d.admin, nil, "subject", "e2", "site", "store-17", "@media", "footage of another")
	var j AcceptedJob
	accepted.into(&j)
	pair := d.mark(map[string]any{"kind": "pair", "job": j.Job, "other": a})
	d.ok(http.StatusOK, http.MethodDelete, "/v1/reuse/marks/"+pair.ID, nil)
	log, err := d.store.AuditLog(t.Context(), "acme", results.Page{Limit: 500})
	require.NoError(t, err)
	told := map[string][]string{}
	for _, e := range log {
		if e.Target == pair.ID {
			told[e.Action] = append(told[e.Action], e.Subject)
		}
	}
	require.ElementsMatch(t, []string{"e1", "e2"}, told["mark.created"])
	require.ElementsMatch(t, []string{"e1", "e2"}, told["mark.revoked"])
}
