package api

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"onsite/results"
	merkle "onsite/results/audit"
)

// AuditEntry is one entry of the audit log. It holds no biometrics.
type AuditEntry struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor" doc:"API key, worker, or system"`
	Action  string    `json:"action"`
	Subject string    `json:"subject,omitempty"`
	Target  string    `json:"target,omitempty"`
	Digest  string    `json:"digest,omitempty" doc:"of what it is about, where there is such a thing"`
}

type auditOutput struct{ Body List[AuditEntry] }

// Checkpoint is a signed head of the tenant's audit log.
type Checkpoint struct {
	Size int64     `json:"size" doc:"entries that it covers"`
	Note string    `json:"note" doc:"C2SP signed note: origin, size, root, signature. Keep it somewhere else: it is what a rewritten log is told by"`
	At   time.Time `json:"at"`
	Key  string    `json:"key" doc:"public key of the log (C2SP verifier key). Pin the first one that you see: whoever rewrites the log can replace it here"`
}

type (
	checkpointOutput struct{ Body Checkpoint }

	proofInput struct {
		ULIDPath
	}
	proofOutput struct{ Body merkle.Inclusion }

	consistencyInput struct {
		From int64 `query:"from" minimum:"1" required:"true" doc:"size of the older checkpoint"`
		To   int64 `query:"to" minimum:"1" doc:"size of the newer one; left out: the newest"`
	}
	consistencyOutput struct {
		Body Consistency
	}
)

// Consistency proves that the newer of two logs begins with the older one.
type Consistency struct {
	merkle.Consistency
	Checkpoint string `json:"checkpoint" doc:"the signed head of the newer size, where there is one of exactly that size"`
}

func (s *Server) auditRoutes() {
	register(s, describe(get, "/v1/audit", "list-audit", "audit", "Read the audit log"), func(ctx context.Context, in *PageInput) (*auditOutput, error) {
		p, err := s.page(ctx, "audit", nil, *in)
		if err != nil {
			return nil, err
		}
		rows, err := s.Store.AuditLog(ctx, PrincipalOf(ctx).Tenant, p)
		if err != nil {
			return nil, err
		}
		return &auditOutput{Body: list(s, ctx, "audit", nil, p, rows, func(a results.AuditEntry) string { return a.ID }, showEntry)}, nil
	})
	register(s, describe(get, "/v1/audit/checkpoint", "get-checkpoint", "audit", "The newest signed head of the audit log",
		explained("Entries are leaves of a Merkle tree (RFC 6962); its head is signed about every second while there is something new.")),
		func(ctx context.Context, _ *nothing) (*checkpointOutput, error) {
			c, key, err := s.checkpoint(ctx, 0)
			if err != nil {
				return nil, err
			}
			return &checkpointOutput{Body: Checkpoint{Size: c.Size, Note: c.Note, At: c.At, Key: key.Public}}, nil
		})
	register(s, describe(get, "/v1/audit/entries/{id}/proof", "get-audit-proof", "audit", "Prove that an entry is in the audit log",
		explained("The entry, what hides it in its leaf, and the path from the leaf to the newest signed head. Of an erased subject's entry only the leaf is proven: nobody can tell any more that it is theirs.")), s.inclusion)
	register(s, describe(get, "/v1/audit/consistency", "get-audit-consistency", "audit", "Prove that the audit log only grew between two sizes"), s.consistency)
}

// checkpoint gives the newest signed head that covers at least so many entries, and the log's key.
func (s *Server) checkpoint(ctx context.Context, least int64) (results.Checkpoint, results.LogKey, error) {
	tenant := PrincipalOf(ctx).Tenant
	c, err := s.Store.Checkpoint(ctx, tenant, least)
	if errors.Is(err, results.ErrNotFound) {
		return c, results.LogKey{}, problem(codeUnsigned)
	}
	if err != nil {
		return c, results.LogKey{}, err
	}
	k, err := s.Store.LogKey(ctx, tenant)
	return c, k, err
}

// hashes reads the tenant's tree.
func (s *Server) hashes(ctx context.Context) tlog.HashReader {
	return merkle.Hashes(func(indexes []int64) ([][]byte, error) {
		return s.Store.LogHashes(ctx, PrincipalOf(ctx).Tenant, indexes)
	})
}

func (s *Server) inclusion(ctx context.Context, in *proofInput) (*proofOutput, error) {
	e, err := s.Store.LogEntry(ctx, PrincipalOf(ctx).Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.prove(ctx, e)
	return &proofOutput{Body: p}, err
}

// prove makes the proof that an entry is in the log.
func (s *Server) prove(ctx context.Context, e results.LoggedEntry) (p merkle.Inclusion, err error) {
	if e.Seq < 0 {
		return p, problem(codeUnsigned)
	}
	c, k, err := s.checkpoint(ctx, e.Seq+1)
	if err != nil {
		return p, err
	}
	head, err := merkle.Open(c.Note, k.Public)
	if err != nil {
		return p, err
	}
	p = merkle.Inclusion{Entry: merkle.EntryOf(e.AuditEntry), Nonce: hex.EncodeToString(e.Nonce), Index: e.Seq, Checkpoint: c.Note}
	if p.Leaf, p.Path, err = merkle.Include(head, e.Seq, s.hashes(ctx)); err != nil {
		return p, err
	}
	if e.Nonce == nil { // of an erased subject: only that there is such a leaf
		p.Entry = merkle.Entry{Schema: merkle.Schema, ID: e.ID, Tenant: e.Tenant}
	}
	// What is handed out as a proof holds: else the log was changed, and that must be heard.
	if _, err := p.Check(k.Public); err != nil {
		return p, errors.Join(merkle.ErrDamaged, err)
	}
	return p, nil
}

func (s *Server) consistency(ctx context.Context, in *consistencyInput) (*consistencyOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	head, err := s.Store.LogHead(ctx, tenant)
	if errors.Is(err, results.ErrNotFound) {
		return nil, problem(codeUnsigned)
	}
	if err != nil {
		return nil, err
	}
	if in.To == 0 {
		in.To = head.Size
	}
	if in.From > in.To || in.To > head.Size {
		return nil, problem(codeInvalid).with("from must not be over to, and to not over %d, the size of the log.", "from 不得大于 to，to 不得大于日志的记录数 %d。", head.Size)
	}
	out := &consistencyOutput{}
	if out.Body.Consistency, err = merkle.Consist(in.From, in.To, s.hashes(ctx)); err != nil {
		return nil, err
	}
	if some, err := s.Store.Checkpoints(ctx, tenant, in.To-1, 1); err != nil {
		return nil, err
	} else if len(some) == 1 && some[0].Size == in.To {
		out.Body.Checkpoint = some[0].Note
	}
	return out, nil
}

func showEntry(a results.AuditEntry) AuditEntry {
	return AuditEntry{ID: a.ID, At: a.At, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Target: a.Target, Digest: a.Digest}
}
