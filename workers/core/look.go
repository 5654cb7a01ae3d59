package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"onsite/pipeline/policy"
	"onsite/pipeline/reuse/index"
	"onsite/results"
)

// wider is whose footage a job's policy has searched by its frames where that is more than its scope; "" where it is not.
func wider(s results.Scope, alike policy.Scope) string {
	kind := policy.Scope(s.Kind)
	if alike == policy.ScopeTenant && kind != policy.ScopeTenant || alike == policy.ScopeSite && kind == policy.ScopeSubject {
		return string(alike)
	}
	return ""
}

// look finds by its frames what ran at the same time as a job, and compares the later-accepted of the two where its policy has the earlier one
// searched by its frames only: what is in its scope is known to have been missed without looking. Both had positions when the job got its own, so
// that of two jobs one finds the other.
func (c *Core) look(ctx context.Context, own results.Print) error {
	if c.Archive == nil {
		return nil
	}
	print, err := c.permitted(ctx, own, c.soundConsent)
	if err != nil {
		if passing(ctx, err) {
			return err
		}
		c.Logger.Warn("the footage of a finished job cannot be read", "job", own.Job, "error", err)
		return nil
	}
	asked := print.Asked(false)
	if len(asked) == 0 {
		return nil
	}
	q := index.Query{Tenant: own.Tenant, Frames: asked, Radius: index.MaxRadius, AsOf: own.Seq - 1, Most: alikeMost + policy.DefaultNewest}
	var errs []error
	if own.Alike != "" { // accepted before it, and in the feed after it began
		before := q
		before.Before, before.Since = own.Job, own.AsOf
		if own.Alike == string(policy.ScopeSite) {
			before.Subject, before.Site = own.Subject, own.Site
		}
		errs = append(errs, c.lookFor(ctx, before, own, func(ctx context.Context, earlier results.Print) error {
			f, err := c.permitted(ctx, earlier, c.soundConsent)
			if err != nil {
				if passing(ctx, err) {
					return err
				}
				c.Logger.Warn("footage that came late cannot be read", "job", earlier.Job, "error", err)
				return nil
			}
			return c.recheck(ctx, earlier, f, own.Job, true)
		}))
	}
	after := q // accepted after it, and in the feed before it
	after.From = own.Job
	errs = append(errs, c.lookFor(ctx, after, own, func(ctx context.Context, later results.Print) error {
		return c.recheck(ctx, own, print, later.Job, true)
	}))
	return errors.Join(errs...)
}

// lookFor compares a job with what the archive finds, the most alike first, if that is for the frames to say.
func (c *Core) lookFor(ctx context.Context, q index.Query, own results.Print, compare func(context.Context, results.Print) error) error {
	found, err := c.Archive.Find(ctx, q)
	if err != nil {
		return fmt.Errorf("look for footage that is alike: %w", err)
	}
	var errs []error
	n := 0
	for _, m := range found.Matches {
		if n == alikeMost {
			break
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		other, err := c.Store.Print(ctx, own.Tenant, m.Job)
		if gone(err) {
			continue
		} else if err != nil {
			return errors.Join(append(errs, fmt.Errorf("read footage that is alike: %w", err))...)
		}
		earlier, later := other, own
		if other.Job > own.Job {
			earlier, later = own, other
		}
		if byFrames(earlier, later) {
			n++
			errs = append(errs, compare(ctx, other))
		}
	}
	return errors.Join(errs...)
}

// byFrames says whether it is for the frames to say that a later job is compared with an earlier one: it is not in the job's scope, but in what its policy
// has searched.
func byFrames(earlier, later results.Print) bool {
	if later.Alike == "" || inScope(cmp.Or(later.Scope, string(policy.ScopeSite)), earlier, later) {
		return false
	}
	return inScope(later.Alike, earlier, later)
}
