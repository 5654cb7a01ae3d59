package api

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
	merkle "onsite/results/audit"
)

// signLog gives a tenant's entries their places and signs the head, as a worker does. It gives the public key.
func signLog(t *testing.T, s results.Store, tenant string) string {
	t.Helper()
	ctx := t.Context()
	for more := true; more; {
		var err error
		_, more, err = s.SequenceAudit(ctx, 100)
		require.NoError(t, err)
	}
	key, err := merkle.NewKey(tenant)
	require.NoError(t, err)
	kept, err := s.CreateLogKey(ctx, results.LogKey{Tenant: tenant, Public: key.Public, Sealed: []byte(key.Secret), CreatedAt: s.Now()})
	require.NoError(t, err)
	h, err := s.LogHead(ctx, tenant)
	require.NoError(t, err)
	note, err := merkle.Sign(merkle.Head{Origin: merkle.Origin(tenant), Size: h.Size, Root: [32]byte(h.Root)}, string(kept.Sealed))
	require.NoError(t, err)
	require.NoError(t, s.PutCheckpoint(ctx, results.Checkpoint{Tenant: tenant, Size: h.Size, Note: note, At: s.Now()}))
	return kept.Public
}

func TestAuditProofs(t *testing.T) {
	d := newDesk(t)
	auditor := d.key("acme", audit)
	d.do(get, "/v1/audit/checkpoint", auditor, nil).problem(404, codeUnsigned)
	d.do(get, "/v1/audit/consistency?from=1", auditor, nil).problem(404, codeUnsigned)
	d.consent("e1")
	public := signLog(t, d.store, "acme")
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
	signLog(t, d.store, "acme")
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
