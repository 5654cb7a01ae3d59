package storetest

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"onsite/results"
	"onsite/results/audit"
)

var logCases = []Case{
	{Name: "entries get their places", Alone: true, Run: sequencesAudit},
	{Name: "two sequencers leave no gap", Alone: true, Run: sequencesTogether},
	{Name: "proofs hold", Alone: true, Run: provesAudit},
	{Name: "erasing a subject hides its entries", Alone: true, Run: hidesErased},
	{Name: "checkpoints", Run: checkpoints},
	{Name: "the key of a log is made once", Run: logKey},
}

// SequenceAll gives all entries their places.
func SequenceAll(t testing.TB, s results.Store) int {
	t.Helper()
	sum := 0
	for {
		placed, more, err := s.SequenceAudit(t.Context(), 100)
		require.NoError(t, err)
		if sum += placed; !more {
			return sum
		}
	}
}

// Reader reads the hashes of a tenant's log.
func Reader(t testing.TB, s results.Store, tenant string) tlog.HashReader {
	return audit.Hashes(func(indexes []int64) ([][]byte, error) { return s.LogHashes(t.Context(), tenant, indexes) })
}

// AppendEntries writes n entries about a subject.
func AppendEntries(t testing.TB, s results.Store, tenant, subject string, n int) []results.AuditEntry {
	t.Helper()
	all := make([]results.AuditEntry, n)
	for i := range all {
		all[i] = Audit(s, tenant, "photo.read")
		all[i].Subject, all[i].Target, all[i].Digest = subject, NewID(), Sum(NewID())
		require.NoError(t, s.Append(t.Context(), all[i]))
	}
	return all
}

func headOf(t testing.TB, s results.Store, tenant string) audit.Head {
	t.Helper()
	h, err := s.LogHead(t.Context(), tenant)
	require.NoError(t, err)
	require.Len(t, h.Root, tlog.HashSize)
	return audit.Head{Origin: audit.Origin(tenant), Size: h.Size, Root: tlog.Hash(h.Root)}
}

func sequencesAudit(t *testing.T, s results.Store) {
	ctx := t.Context()
	one, two := NewTenant(t, s), NewTenant(t, s)
	_, err := s.LogHead(ctx, one)
	require.ErrorIs(t, err, results.ErrNotFound)
	heads, err := s.LogHeads(ctx)
	require.NoError(t, err)
	require.Empty(t, heads)
	want := AppendEntries(t, s, one, "e1", 3)
	waiting, oldest, err := s.AuditBacklog(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, waiting)
	require.Equal(t, want[0].At, oldest)
	some, err := s.LogWaiting(ctx, one, want[0].ID, 10)
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.EqualValues(t, -1, some[0].Seq)
	require.Empty(t, some[0].Nonce)

	require.Equal(t, 3, SequenceAll(t, s))
	want = append(want, AppendEntries(t, s, one, "", 4)...)
	others := AppendEntries(t, s, two, "e1", 5)
	require.Equal(t, 9, SequenceAll(t, s))
	require.Zero(t, SequenceAll(t, s))
	waiting, oldest, err = s.AuditBacklog(ctx)
	require.NoError(t, err)
	require.Zero(t, waiting)
	require.True(t, oldest.IsZero())

	got, err := s.LogEntries(ctx, one, 0, 100)
	require.NoError(t, err)
	require.Len(t, got, 7)
	var leaves []tlog.Hash
	for i, e := range got {
		require.EqualValues(t, i, e.Seq)
		require.Equal(t, want[i], e.AuditEntry)
		require.Len(t, e.Nonce, audit.SaltBytes)
		leaves = append(leaves, audit.Leaf(e.Nonce, e.AuditEntry))
	}
	_, root, err := audit.Grow(0, leaves, nil)
	require.NoError(t, err)
	require.Equal(t, audit.Head{Origin: audit.Origin(one), Size: 7, Root: root}, headOf(t, s, one))
	rest, err := s.LogEntries(ctx, one, 5, 1)
	require.NoError(t, err)
	require.Equal(t, got[5:6], rest)
	entry, err := s.LogEntry(ctx, two, others[4].ID)
	require.NoError(t, err)
	require.EqualValues(t, 4, entry.Seq)
	about, err := s.LogEntriesAbout(ctx, two, others[4].Target, 10)
	require.NoError(t, err)
	require.Equal(t, []results.LoggedEntry{entry}, about)
	about, err = s.LogEntriesAbout(ctx, two, "nothing", 10)
	require.NoError(t, err)
	require.Empty(t, about)
	_, err = s.LogEntry(ctx, one, others[4].ID)
	require.ErrorIs(t, err, results.ErrNotFound)
	heads, err = s.LogHeads(ctx)
	require.NoError(t, err)
	require.Len(t, heads, 2)
	hashes, err := s.LogHashes(ctx, one, []int64{0, 9999})
	require.NoError(t, err)
	require.Equal(t, leaves[0][:], hashes[0])
	require.Nil(t, hashes[1])
}

func sequencesTogether(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	const n = 60
	var errs [6]error
	together(len(errs), func(i int) {
		if i%2 == 0 {
			for range n / 3 {
				if errs[i] == nil {
					errs[i] = s.Append(t.Context(), Audit(s, tenant, "photo.read"))
				}
			}
			return
		}
		for range 10 {
			if _, _, err := s.SequenceAudit(t.Context(), 7); err != nil {
				errs[i] = err
			}
		}
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	SequenceAll(t, s)
	all, err := s.LogEntries(t.Context(), tenant, 0, 2*n)
	require.NoError(t, err)
	require.Len(t, all, n)
	r, err := audit.Inspect(t.Context(), s, tenant, audit.Options{})
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.EqualValues(t, n, r.Entries)
}

func provesAudit(t *testing.T, s results.Store) {
	tenant := NewTenant(t, s)
	key, err := audit.NewKey(tenant)
	require.NoError(t, err)
	AppendEntries(t, s, tenant, "e1", 5)
	SequenceAll(t, s)
	older := headOf(t, s, tenant)
	AppendEntries(t, s, tenant, "e2", 8)
	SequenceAll(t, s)
	newer := headOf(t, s, tenant)
	checkpoint, err := audit.Sign(newer, key.Secret)
	require.NoError(t, err)
	entries, err := s.LogEntries(t.Context(), tenant, 0, 100)
	require.NoError(t, err)
	for _, e := range entries {
		leaf, path, err := audit.Include(newer, e.Seq, Reader(t, s, tenant))
		require.NoError(t, err)
		p := audit.Inclusion{Entry: audit.EntryOf(e.AuditEntry), Nonce: hex.EncodeToString(e.Nonce), Leaf: leaf, Index: e.Seq, Path: path, Checkpoint: checkpoint}
		got, err := p.Check(key.Public)
		require.NoError(t, err)
		require.Equal(t, newer, got)
		p.Entry.Action = "photo.deleted"
		_, err = p.Check(key.Public)
		require.ErrorIs(t, err, audit.ErrProof)
	}
	c, err := audit.Consist(older.Size, newer.Size, Reader(t, s, tenant))
	require.NoError(t, err)
	require.NoError(t, c.Check(older, newer))
	older.Root[0] ^= 1
	require.ErrorIs(t, c.Check(older, newer), audit.ErrProof)
}

func hidesErased(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	NewSubject(t, s, tenant, "gone")
	AppendEntries(t, s, tenant, "gone", 3)
	AppendEntries(t, s, tenant, "stays", 3)
	SequenceAll(t, s)
	before := headOf(t, s, tenant)
	late := AppendEntries(t, s, tenant, "gone", 1) // has no place yet when its subject goes
	a := Audit(s, tenant, audit.ActionErased)
	a.Subject, a.Target = "gone", "gone"
	_, err := s.EraseSubject(ctx, tenant, "gone", s.Now(), a)
	require.NoError(t, err)
	after := AppendEntries(t, s, tenant, "gone", 1)[0] // somebody asked for something of theirs later
	SequenceAll(t, s)

	all, err := s.LogEntries(ctx, tenant, 0, 100)
	require.NoError(t, err)
	hidden := 0
	for _, e := range all {
		switch {
		case e.ID == after.ID:
			require.NotNil(t, e.Nonce, "what comes later can be checked")
			require.False(t, e.Hidden)
		case e.Subject == "gone" && e.ID != a.ID:
			require.True(t, e.Hidden)
			require.Empty(t, e.Digest, "it may be that of a photo")
			require.Nil(t, e.Nonce, "nobody can tell that this leaf was theirs")
			hidden++
		default:
			require.NotNil(t, e.Nonce, "that a subject was erased stays provable")
		}
		require.NotEqual(t, int64(-1), e.Seq)
	}
	require.Equal(t, 5, hidden)
	erasure, err := s.LogEntry(ctx, tenant, a.ID)
	require.NoError(t, err)
	require.Len(t, erasure.Digest, 64)
	entry, err := s.LogEntry(ctx, tenant, late[0].ID)
	require.NoError(t, err)
	require.Nil(t, entry.Nonce)
	c, err := audit.Consist(before.Size, headOf(t, s, tenant).Size, Reader(t, s, tenant))
	require.NoError(t, err)
	require.NoError(t, c.Check(before, headOf(t, s, tenant)), "the tree is what it was")
	r, err := audit.Inspect(ctx, s, tenant, audit.Options{})
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.EqualValues(t, 5, r.Hidden)
}

func checkpoints(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	_, err := s.Checkpoint(ctx, tenant, 0)
	require.ErrorIs(t, err, results.ErrNotFound)
	var want []results.Checkpoint
	for _, size := range []int64{2, 5, 9} {
		c := results.Checkpoint{Tenant: tenant, Size: size, Note: NewID(), At: s.Now().Add(time.Duration(size) * time.Second)}
		require.NoError(t, s.PutCheckpoint(ctx, c))
		want = append(want, c)
	}
	again := want[1]
	again.Note = "another"
	require.NoError(t, s.PutCheckpoint(ctx, again), "the first stays")
	got, err := s.Checkpoints(ctx, tenant, -1, 10)
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, err = s.Checkpoints(ctx, tenant, 2, 1)
	require.NoError(t, err)
	require.Equal(t, want[1:2], got)
	newest, err := s.Checkpoint(ctx, tenant, 6)
	require.NoError(t, err)
	require.Equal(t, want[2], newest)
	_, err = s.Checkpoint(ctx, tenant, 10)
	require.ErrorIs(t, err, results.ErrNotFound)
}

func logKey(t *testing.T, s results.Store) {
	ctx := t.Context()
	tenant := NewTenant(t, s)
	_, err := s.LogKey(ctx, tenant)
	require.ErrorIs(t, err, results.ErrNotFound)
	k := results.LogKey{Tenant: tenant, Public: "first", Sealed: []byte{1, 2}, CreatedAt: s.Now()}
	got, err := s.CreateLogKey(ctx, k)
	require.NoError(t, err)
	require.Equal(t, k, got)
	other := k
	other.Public = "second"
	got, err = s.CreateLogKey(ctx, other)
	require.NoError(t, err)
	require.Equal(t, k, got)
}
