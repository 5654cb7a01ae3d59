package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/reuse/index"
	"onsite/results"
)

// Archive finds earlier jobs by the hashes of their frames, in all that a tenant has; see package workers/archive.
type Archive interface {
	Find(ctx context.Context, q index.Query) (index.Result, error)
}

const (
	// alikeMost is how much earlier footage beyond the newest is compared with, the most alike first: about what can be read in the time
	// of a job.
	alikeMost = 24
	// idEarly is how much earlier than its submission a job's id may be made, for an upload into a bucket (results/database).
	idEarly = 8 * 24 * time.Hour
)

// alikeOf says whose footage is searched by its frames; the zero policy stands for a built-in one.
func alikeOf(p policy.Policy) policy.Scope {
	if p.Name == "" {
		return policy.DefaultAlike
	}
	return p.History.Alike
}

// Alike looks in all that the policy has searched for footage that is not among the newest: near-identical frames, as they stand or mirrored.
// Where that is the scope, and the newest are all there is in it, there is nothing to look for.
func (h *history) Alike(ctx context.Context, f *reuse.Fingerprint, known []reuse.Candidate) ([]reuse.Candidate, error) {
	asked := f.Asked(false)
	whose := cmp.Or(h.alike, policy.Scope(h.scope.Kind))
	if h.Archive == nil || len(asked) == 0 || !h.cut && whose == policy.Scope(h.scope.Kind) {
		return nil, nil
	}
	q := index.Query{
		Tenant: h.scope.Tenant, Frames: asked, Radius: index.MaxRadius, Before: h.job, AsOf: h.asOf,
		Most: h.scope.Newest + alikeMost, // the newest are among them
	}
	switch whose {
	case policy.ScopeTenant:
	case policy.ScopeSite:
		q.Subject, q.Site = h.scope.Subject, h.scope.Site
	default:
		q.Subject = h.scope.Subject
	}
	if since := h.scope.Since; !since.IsZero() {
		q.From = firstID(since.Add(-idEarly))
	}
	found, err := h.Archive.Find(ctx, q)
	if err != nil {
		return nil, h.broken(fmt.Errorf("look for earlier footage that is alike: %w", err))
	}
	if n := len(found.Flooded); n > 0 {
		h.Logger.Info("pictures that are like very many others were not looked for", "job", h.job, "pictures", n)
		h.flooded = n
	}
	var out []reuse.Candidate
	for _, m := range found.Matches {
		if len(out) == alikeMost {
			break
		}
		if slices.ContainsFunc(known, func(c reuse.Candidate) bool { return c.Job == m.Job }) {
			continue
		}
		c, ok, err := h.found(ctx, m.Job)
		if err != nil {
			return nil, h.broken(err)
		}
		if ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// found reads a job that the archive found. The store has the last word on whether it is still there, and whether this job may see it.
func (h *history) found(ctx context.Context, job string) (reuse.Candidate, bool, error) {
	row, err := h.Store.Print(ctx, h.scope.Tenant, job)
	switch {
	case errors.Is(err, results.ErrNotFound), errors.Is(err, results.ErrErased):
		return reuse.Candidate{}, false, nil
	case err != nil:
		return reuse.Candidate{}, false, fmt.Errorf("read earlier footage that is alike: %w", err)
	}
	if row.Seq == 0 || row.Seq > h.asOf || row.Job >= h.job || row.AcceptedAt.Before(h.scope.Since) {
		return reuse.Candidate{}, false, nil
	}
	f, ok, err := h.read(ctx, row)
	return reuse.Candidate{Job: row.Job, SHA256: row.SHA256, Fingerprint: f, OtherSubject: row.Subject != h.scope.Subject, Mark: h.marks.pairs[row.Job]}, ok, err
}

// firstID is the smallest id of a time.
func firstID(t time.Time) string {
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(t)) // it fails in the year 10889
	return id.String()
}

// FramesOf gives the hashes of a fingerprint as the store keeps them for the archive.
func FramesOf(f *reuse.Fingerprint) []results.FrameHash {
	var out []results.FrameHash
	for _, h := range f.Frames() {
		out = append(out, results.FrameHash{AtMS: h.AtMS, Hash: h.Hash})
	}
	return out
}
