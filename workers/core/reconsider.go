package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
)

// ErrNoPrint says that a job's footage cannot be compared any more: its fingerprint was never made, or its time is over.
var ErrNoPrint = errors.New("the job's fingerprint is not kept any more")

// Reconsider compares a finished job once more with what it was compared with, under the marks that are in force now, and writes a further
// revision where that changes what its verdict says of reuse. It gives the newest verdict, and whether it is new. ErrNoPrint; an unfinished
// job has no verdict (results.ErrNotFound) and needs none: it will see the marks.
func (c *Core) Reconsider(ctx context.Context, tenant, job string) (results.Verdict, bool, error) {
	row, err := c.Store.Verdict(ctx, tenant, job, 0)
	if err != nil {
		return row, false, err
	}
	own, err := c.Store.Print(ctx, tenant, job)
	if gone(err) {
		return row, false, ErrNoPrint
	} else if err != nil {
		return row, false, err
	}
	print, err := c.permitted(ctx, own, c.soundConsent)
	if err != nil {
		if !passing(ctx, err) {
			c.Logger.Warn("the footage of a finished job cannot be read", "job", job, "error", err)
			err = ErrNoPrint
		}
		return row, false, err
	}
	sub, err := c.Store.Submission(ctx, job)
	if err != nil {
		return row, false, err
	}
	p, err := c.rules(ctx, sub)
	if err != nil {
		return row, false, err
	}
	changed := false
	for range reviseTries {
		var before, now marks
		if before, err = c.marksFor(ctx, sub); err != nil {
			return row, changed, err
		}
		next, written, rerr := c.reconsider(ctx, sub, p, print, before)
		switch err = rerr; {
		case errors.Is(err, results.ErrConflict):
			continue
		case err != nil:
			return next, changed, err
		}
		row, changed = next, changed || written
		// Who marks at the same time may have looked before this revision was there.
		if now, err = c.marksFor(ctx, sub); err != nil || now.same(before) {
			return row, changed, err
		}
	}
	return row, changed, err
}

func (c *Core) reconsider(ctx context.Context, sub results.Submission, p policy.Policy, print reuse.Fingerprint, m marks) (results.Verdict, bool, error) {
	rows, err := c.Store.VerdictRevisions(ctx, sub.Tenant, sub.Job)
	if err == nil && len(rows) == 0 {
		err = results.ErrNotFound
	}
	if err != nil {
		return results.Verdict{}, false, err
	}
	revisions := make([]pipeline.Verdict, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Body, &revisions[i]); err != nil {
			return results.Verdict{}, false, fmt.Errorf("read verdict %d of job %s: %w", row.Revision, sub.Job, err)
		}
	}
	newest := rows[len(rows)-1]
	h := &history{Core: c, job: sub.Job, scope: scopeOf(sub, p), alike: alikeOf(p), asOf: revisions[len(rows)-1].Inputs.HistoryAsOf, marks: m}
	earlier, err := verify.Earlier(ctx, h, &print)
	if err != nil {
		return newest, false, err
	}
	revised, changed, err := verify.Reconsider(ctx, revisions, p, verify.Marked{Print: print, Earlier: earlier, Missing: h.Missing(), Pairs: m.pairs, History: h})
	if err != nil || !changed {
		return newest, false, err
	}
	next, err := c.write(ctx, revised, sub, newest.Policy)
	if err != nil {
		return newest, false, err
	}
	return next, true, nil
}
