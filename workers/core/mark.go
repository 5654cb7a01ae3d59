package core

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"onsite/pipeline/reuse"
	"onsite/results"
)

// marks is what investigators marked that concerns one job, as of a position in the tenant's sequence of marks.
type marks struct {
	asOf        int64
	pairs       map[string]string // the other job -> the mark
	backgrounds []reuse.Background
}

// marksFor reads the marks that are in force now for a job, at the position that its verdict will name.
func (c *Core) marksFor(ctx context.Context, sub results.Submission) (marks, error) {
	asOf, err := c.Store.MarksPosition(ctx, sub.Tenant)
	if err != nil {
		return marks{}, fmt.Errorf("read the position of the marks: %w", err)
	}
	return c.marksAt(ctx, sub, asOf)
}

// marksAt reads the marks that were in force for a job at a position.
func (c *Core) marksAt(ctx context.Context, sub results.Submission, asOf int64) (marks, error) {
	m := marks{asOf: asOf, pairs: map[string]string{}}
	if asOf == 0 { // nobody ever marked anything, as in most tenants
		return m, nil
	}
	rows, err := c.Store.MarksFor(ctx, sub.Tenant, sub.Job, sub.Site, asOf)
	if err != nil {
		return marks{}, fmt.Errorf("read the marks: %w", err)
	}
	for _, row := range rows {
		switch row.Kind {
		case results.MarkPair:
			other := row.Other
			if other == sub.Job {
				other = row.Job
			}
			m.pairs[other] = row.ID
		case results.MarkBackground:
			hash, err := reuse.ParseBits256(row.Hash)
			if err != nil { // it was checked when it was marked: somebody changed the row
				c.Logger.Error("a marked background cannot be read, and is left out", "mark", row.ID, "error", err)
				continue
			}
			m.backgrounds = append(m.backgrounds, reuse.Background{ID: row.ID, Hash: hash})
		}
	}
	return m, nil
}

// same says that these are the same marks, whatever else was marked meanwhile.
func (m marks) same(other marks) bool {
	return maps.Equal(m.pairs, other.pairs) && slices.Equal(m.backgrounds, other.backgrounds)
}

// others are the jobs that the marked pairs name.
func (m marks) others() []string { return slices.Sorted(maps.Keys(m.pairs)) }

var (
	_ reuse.Marked  = (*history)(nil)
	_ reuse.Flooded = (*history)(nil)
)

// Backgrounds is reuse.Marked.
func (h *history) Backgrounds() []reuse.Background { return h.marks.backgrounds }

// MarksAsOf is reuse.Marked: the position that the attempt began at.
func (h *history) MarksAsOf() int64 { return h.marks.asOf }

// Flooded is reuse.Flooded.
func (h *history) Flooded() int { return h.flooded }
