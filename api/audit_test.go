package api

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
	merkle "onsite/results/audit"
	"onsite/results/evidence"
)

// signLog gives acme's entries their places and signs the head, as a worker does. It gives the public key.
func (s *stage) signLog() string {
	const tenant = "acme"
	s.t.Helper()
	ctx := context.Background()
	for more := true; more; {
		var err error
		_, more, err = s.store.SequenceAudit(ctx, 100)
		require.NoError(s.t, err)
	}
	key, err := merkle.NewKey(tenant)
	require.NoError(s.t, err)
	sealed, err := s.vault.SealBytes(ctx, tenant, results.TenantSubject, results.LogKeyRecord, []byte(key.Secret))
	require.NoError(s.t, err)
	kept, err := s.store.CreateLogKey(ctx, results.LogKey{Tenant: tenant, Public: key.Public, Sealed: sealed, CreatedAt: s.now()})
	require.NoError(s.t, err)
	secret, err := s.vault.OpenBytes(ctx, tenant, results.TenantSubject, results.LogKeyRecord, kept.Sealed)
	require.NoError(s.t, err)
	h, err := s.store.LogHead(ctx, tenant)
	require.NoError(s.t, err)
	note, err := merkle.Sign(merkle.Head{Origin: merkle.Origin(tenant), Size: h.Size, Root: [32]byte(h.Root)}, string(secret))
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.PutCheckpoint(ctx, results.Checkpoint{Tenant: tenant, Size: h.Size, Note: note, At: s.now()}))
	return kept.Public
}

func TestAuditProofs(t *testing.T) {
	d := newDesk(t)
	auditor := d.key("acme", audit)
	d.do(get, "/v1/audit/checkpoint", auditor, nil).problem(404, codeUnsigned)
	d.do(get, "/v1/audit/consistency?from=1", auditor, nil).problem(404, codeUnsigned)
	d.consent("e1")
	public := d.signLog()
	var first Checkpoint
	d.do(get, "/v1/audit/checkpoint", auditor, nil).into(&first)
	require.Equal(t, public, first.Key)
	older, err := merkle.Open(first.Note, public)
	require.NoError(t, err)
	require.Equal(t, first.Size, older.Size)

	d.consent("e1")
	waiting, err := d.store.LogWaiting(t.Context(), "acme", "", 10)
	require.NoError(t, err)
	require.NotEmpty(t, waiting)
	d.do(get, "/v1/audit/entries/"+waiting[0].ID+"/proof", auditor, nil).problem(404, codeUnsigned)
	d.signLog()
	var page List[AuditEntry]
	d.do(get, "/v1/audit", auditor, nil).into(&page)
	for _, e := range page.Items {
		a := d.do(get, "/v1/audit/entries/"+e.ID+"/proof", auditor, nil)
		require.Equal(t, 200, a.status, string(a.body))
		var p merkle.Inclusion // as somebody with nothing but the answer and the key checks it
		require.NoError(t, json.Unmarshal(a.body, &p))
		head, err := p.Check(public)
		require.NoError(t, err)
		require.Greater(t, head.Size, first.Size)
		require.Equal(t, e.Action, p.Entry.Action)
	}
	var c Consistency
	d.do(get, "/v1/audit/consistency?from="+strconv.FormatInt(first.Size, 10), auditor, nil).into(&c)
	newer, err := merkle.Open(c.Checkpoint, public)
	require.NoError(t, err)
	require.NoError(t, c.Check(older, newer))
	d.do(get, "/v1/audit/consistency?from=2&to=1", auditor, nil).problem(422, codeInvalid)
	d.do(get, "/v1/audit/consistency?from=1&to=9999", auditor, nil).problem(422, codeInvalid)
	d.do(get, "/v1/audit/checkpoint", d.key("acme", read), nil).problem(403, codeRole)
	d.do(get, "/v1/audit/checkpoint", d.key("other", audit), nil).problem(404, codeUnsigned)
}

func TestEvidencePackage(t *testing.T) {
	d := newDesk(t)
	job := d.accepted("acme")
	v := d.finished(job, pipeline.DecisionAbnormal, pipeline.NoFace)
	investigator := d.key("acme", investigate)
	path := "/v1/verdicts/" + job + "/evidence"
	d.do(get, path, investigator, nil).problem(422, codeInvalid)
	d.do(get, path+"?recipient=court", investigator, nil).problem(404, codeUnsigned)
	public := d.signLog()
	d.do(get, path+"?recipient=court&pdf=true", investigator, nil).problem(404, codeOff)
	a := d.do(get, path+"?recipient=Labour+court", investigator, nil)
	require.Equal(t, 200, a.status, string(a.body))
	r, err := evidence.Check(a.body, public)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.Equal(t, "Labour court", r.Manifest.Recipient)
	require.Equal(t, job, r.Manifest.Job)
	var names []string
	for _, f := range r.Manifest.Files {
		names = append(names, f.Name)
	}
	require.Subset(t, names, []string{"verdict.json", "proof.json", "claim.json", "received.json", "keyframes/0000.jpg", "report-en.html", "report-zh.html"})
	in, err := r.Inputs()
	require.NoError(t, err)
	require.False(t, in.Received.IsZero())
	require.True(t, in.Claim.TakenAt.Equal(in.Received), "a claim without a time has the server's: a replay must see that nothing was claimed")
	waiting, err := d.store.LogWaiting(t.Context(), "acme", "", 10)
	require.NoError(t, err)
	last := waiting[len(waiting)-1]
	require.Equal(t, []string{"evidence.exported", v.Subject, job + " for Labour court", results.Sum(a.body)}, []string{last.Action, last.Subject, last.Target, last.Digest})
	d.do(get, path+"?recipient=x", d.key("acme", audit), nil).problem(403, codeRole)
	d.do(get, path+"?recipient=x&revision=7", investigator, nil).problem(404, codeNotFound)

	d.server.Print = func(_ context.Context, html []byte) ([]byte, error) { return []byte("%PDF"), nil }
	a = d.do(get, path+"?recipient=court&pdf=true", investigator, nil)
	require.Contains(t, string(a.body), "report-zh.pdf")
	_, err = d.store.EraseSubject(t.Context(), "acme", v.Subject, d.now(), results.AuditEntry{ID: ulid.Make().String(), Tenant: "acme", Action: merkle.ActionErased, Subject: v.Subject})
	require.NoError(t, err)
	d.do(get, path+"?recipient=court", investigator, nil).problem(410, codeErased)
}

func TestReverify(t *testing.T) {
	d := newDesk(t)
	job := d.accepted("acme")
	auditor := d.key("acme", audit)
	path := "/v1/verdicts/" + job + "/reverify"
	d.do("POST", path, auditor, nil).problem(404, codePending)
	v := d.finished(job, pipeline.DecisionPass)
	var r Reverification
	d.do("POST", path, auditor, nil).into(&r)
	first := r
	require.NotEmpty(t, r.ID)
	require.Equal(t, Reverification{ID: r.ID, Job: job, Asked: "pinned", MadeAt: r.MadeAt, MadeBy: r.MadeBy, Agreement: verify.Equal, Before: v.Decision, Now: v.Decision, Checks: []verify.CheckDiff{}, Recipe: []string{}, Gone: 2}, r)
	d.do("POST", path+"?recipe=current&body=true", auditor, nil).into(&r)
	require.Equal(t, verify.Different, r.Agreement)
	require.Equal(t, []string{"face_embed: a -> b"}, r.Recipe)
	require.NotEmpty(t, r.Verdict)
	d.core.err = &CannotReverify{State: "media_gone", Text: say("gone", "没有了")}
	d.do("POST", path, auditor, nil).into(&r)
	require.Equal(t, impossible, r.Agreement)
	require.Equal(t, "media_gone", r.State)
	d.core.err = nil
	d.server.remaking <- struct{}{}
	d.do("POST", path, auditor, nil).problem(429, codeBusyTenant)
	<-d.server.remaking
	d.do("POST", path, d.key("acme", read), nil).problem(403, codeRole)
	d.do("POST", path, d.key("other", audit), nil).problem(404, codeNotFound)
	d.do("POST", path+"?recipe=other", auditor, nil).field(422, codeInvalid, "query.recipe", "pattern")
	var kept List[Reverification]
	d.do(get, "/v1/verdicts/"+job+"/reverifications?limit=2", auditor, nil).into(&kept)
	require.Len(t, kept.Items, 2)
	require.Equal(t, impossible, kept.Items[0].Agreement)
	next := kept.Next
	kept = List[Reverification]{}
	d.do(get, "/v1/verdicts/"+job+"/reverifications?body=true&limit=2&cursor="+next, auditor, nil).into(&kept)
	require.Len(t, kept.Items, 1)
	require.NotEmpty(t, kept.Items[0].Verdict)
	kept.Items[0].Verdict = nil
	require.Equal(t, first, kept.Items[0])
	d.do(get, "/v1/verdicts/"+job+"/reverifications", d.key("acme", read), nil).problem(403, codeRole)
	d.do(get, "/v1/verdicts/"+job+"/reverifications", d.key("other", audit), nil).problem(404, codeNotFound)
	var now VerdictRow
	d.do(get, "/v1/verdicts/"+job, auditor, nil).into(&now)
	require.Equal(t, 1, now.Revision, "it stands beside the verdict, and supersedes nothing")

	v.Revision, v.Decision = 2, pipeline.DecisionReview
	require.NoError(t, d.store.Revise(t.Context(), v, d.audit("acme"), "", "", nil))
	d.do("POST", path, auditor, nil).into(&r)
	require.Equal(t, &InForce{Revision: 2, Decision: pipeline.DecisionReview}, r.InForce, "what is made again is not what is in force")

	log, err := d.store.LogWaiting(t.Context(), "acme", "", 50)
	require.NoError(t, err)
	said := 0
	for _, e := range log {
		if e.Action == "verdict.reverified" && e.Target == job && e.Digest != "" {
			said++
		}
	}
	require.Equal(t, 4, said)
	_, err = d.store.EraseSubject(t.Context(), "acme", v.Subject, d.now(), results.AuditEntry{ID: ulid.Make().String(), Tenant: "acme", Action: merkle.ActionErased, Subject: v.Subject})
	require.NoError(t, err)
	r = Reverification{}
	d.do("POST", path, auditor, nil).into(&r)
	require.Empty(t, r.ID, "of an erased person nothing is kept")
	d.do(get, "/v1/verdicts/"+job+"/reverifications", auditor, nil).into(&kept)
	require.Empty(t, kept.Items)
}
