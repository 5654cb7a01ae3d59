package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
	"onsite/results"
)

// reviseTries bounds how often a revision is made again because another one was written meanwhile.
const reviseTries = 5

// Recheck compares finished jobs with footage that was accepted before them and came after they were compared, and writes a further
// revision of a verdict whose reuse check gets worse. What was erased or has expired meanwhile is left out, and so is what cannot be
// read: comparing it again would change nothing. What was compared before ctx ended is remembered for a while, so that a long list that
// takes longer than one call may is brought to its end by the next ones. A job that is late for itself was marked: it is reconsidered.
func (c *Core) Recheck(ctx context.Context, late results.Late) error {
	var errs []error
	if slices.Contains(late.Jobs, late.Print.Job) {
		if err := c.again(ctx, late.Print.Tenant, late.Print.Job); err != nil {
			errs = append(errs, fmt.Errorf("compare job %s again after it was marked: %w", late.Print.Job, err))
		}
		late.Jobs = slices.DeleteFunc(slices.Clone(late.Jobs), func(job string) bool { return job == late.Print.Job })
	}
	if len(late.Jobs) > 0 {
		errs = append(errs, c.pairs(ctx, late))
	}
	if late.Look { // last: it needs the archive, and what is known needs it not
		if err := c.look(ctx, late.Print); err != nil {
			errs = append(errs, fmt.Errorf("look for footage like that of job %s that ran at the same time: %w", late.Print.Job, err))
		}
	}
	return errors.Join(errs...)
}

// pairs compares the jobs that are known not to have seen a print with it. An error says that some are left, also where only the time was over.
func (c *Core) pairs(ctx context.Context, late results.Late) error {
	earlier, err := c.permitted(ctx, late.Print, c.soundConsent)
	if err != nil {
		if passing(ctx, err) {
			return err
		}
		c.Logger.Warn("footage that came late cannot be read", "job", late.Print.Job, "error", err)
		return nil
	}
	var errs []error
	for _, job := range late.Jobs {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		errs = append(errs, c.recheck(ctx, late.Print, earlier, job, false))
	}
	return errors.Join(errs...)
}

// recheck compares a finished job with footage that came late, once. alike says that it was found by its frames, in what the job's policy has
// searched.
func (c *Core) recheck(ctx context.Context, late results.Print, earlier reuse.Fingerprint, job string, alike bool) error {
	pair := fmt.Sprintf("%s|%d|%s|%t", late.Job, late.Seq, job, alike)
	_, release, err := c.compared.take(ctx, pair, func(ctx context.Context) (struct{}, int64, error) {
		return struct{}{}, 1, c.compare(ctx, late, earlier, job, alike)
	})
	if err != nil {
		return fmt.Errorf("compare job %s with footage of job %s that came late: %w", job, late.Job, err)
	}
	release()
	return nil
}

func (c *Core) compare(ctx context.Context, late results.Print, earlier reuse.Fingerprint, job string, alike bool) error {
	own, err := c.Store.Print(ctx, late.Tenant, job)
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	print, err := c.permitted(ctx, own, c.soundConsent)
	if err != nil {
		if passing(ctx, err) {
			return err
		}
		c.Logger.Warn("the footage of a finished job cannot be read", "job", job, "error", err)
		return nil
	}
	sub, err := c.Store.Submission(ctx, job)
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	p, err := c.rules(ctx, sub)
	if err != nil {
		return err
	}
	if !within(sub, own, late, p, alike) {
		return nil
	}
	candidate := reuse.Candidate{Job: late.Job, SHA256: late.SHA256, Fingerprint: earlier, OtherSubject: late.Subject != sub.Subject}
	for range reviseTries {
		var m marks
		if m, err = c.marksFor(ctx, sub); err != nil {
			return err
		}
		candidate.Mark = m.pairs[late.Job]
		err = c.revise(ctx, sub, p, verify.Late{Print: print, Earlier: []reuse.Candidate{candidate}, Position: late.Seq, Backgrounds: m.backgrounds, Marks: m.asOf})
		if err == nil {
			return c.marked(ctx, sub, m)
		}
		if !errors.Is(err, results.ErrConflict) {
			return err
		}
	}
	return err
}

// marked reconsiders a job about which something was marked since m was read: whoever marked it then did not see what was written since.
func (c *Core) marked(ctx context.Context, sub results.Submission, m marks) error {
	now, err := c.marksFor(ctx, sub)
	if err != nil || now.same(m) {
		return err
	}
	return c.again(ctx, sub.Tenant, sub.Job)
}

// again reconsiders a job. One that cannot be compared any more stays as it is.
func (c *Core) again(ctx context.Context, tenant, job string) error {
	_, _, err := c.Reconsider(ctx, tenant, job)
	var other *verify.OtherPolicyError
	switch {
	case gone(err), errors.Is(err, ErrNoPrint):
		return nil
	case errors.As(err, &other):
		c.Logger.Error("a marked job cannot be compared again: its policy is not there any more", "job", job, "policy", other.Have)
		return nil
	}
	return err
}

// revise compares once more and writes the next revision, if there is one.
func (c *Core) revise(ctx context.Context, sub results.Submission, p policy.Policy, late verify.Late) error {
	row, err := c.Store.Verdict(ctx, sub.Tenant, sub.Job, 0)
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	var v pipeline.Verdict
	if err := json.Unmarshal(row.Body, &v); err != nil {
		return fmt.Errorf("read its verdict: %w", err)
	}
	revised, changed, err := verify.Revise(ctx, v, p, late)
	var other *verify.OtherPolicyError
	if errors.As(err, &other) { // it was made by a program whose built-in policy was another: nobody can say what that would have decided
		c.Logger.Error("a verdict cannot be revised: its policy is not there any more", "job", sub.Job, "policy", other.Have)
		return nil
	}
	if err != nil || !changed {
		return err
	}
	_, err = c.write(ctx, revised, sub, row.Policy)
	if gone(err) {
		return nil
	}
	return err
}

// write writes a further revision with its webhook.
func (c *Core) write(ctx context.Context, v pipeline.Verdict, sub results.Submission, policyName string) (results.Verdict, error) {
	if c.measure {
		verify.Unverified(&v)
	}
	next, err := verdictRow(v, sub, policyName)
	if err != nil {
		return next, err
	}
	now := c.Store.Now()
	err = c.Store.Revise(ctx, next, audit(next, results.EventVerdictRevised, "system", now), results.EventVerdictRevised, verify.NewJob(), payload(next, results.EventVerdictRevised, now))
	if err == nil {
		c.Logger.Info("verdict revised", "job", sub.Job, "revision", next.Revision, "decision", string(next.Decision))
	}
	return next, err
}

// gone says that what was asked for is not there any more.
func gone(err error) bool {
	return errors.Is(err, results.ErrNotFound) || errors.Is(err, results.ErrErased)
}

// within says whether a job's policy compares it with an earlier print: the same bytes always, else by its scope, or because it is alike.
func within(sub results.Submission, own, late results.Print, p policy.Policy, alike bool) bool {
	if own.SHA256 == late.SHA256 || own.Packets != "" && own.Packets == late.Packets {
		return true
	}
	scope := scopeOf(sub, p)
	if late.AcceptedAt.Before(scope.Since) {
		return false
	}
	return alike || inScope(scope.Kind, late, own)
}

// inScope says whether an earlier print is in a scope of a later one's.
func inScope(kind string, earlier, later results.Print) bool {
	switch policy.Scope(kind) {
	case policy.ScopeTenant:
		return true
	case policy.ScopeSite:
		return earlier.Subject == later.Subject || later.Site != "" && earlier.Site == later.Site
	default:
		return earlier.Subject == later.Subject
	}
}
