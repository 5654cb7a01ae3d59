package core

import (
	"context"
	"fmt"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

// trail gives earlier claims: those of submissions that were received before this one. They need not have a verdict, since those who hand
// in for others do so within a minute. An erased person's claims are emptied: when a verdict is made again they are not in the trail any more, as
// footage that was erased is not in the history. Reverified.Gone counts them as far as the verdict says how many there were.
type trail struct {
	*history
	sub results.Submission
}

var _ pipeline.Trail = trail{}

// Own lists the subject's earlier claims.
func (t trail) Own(ctx context.Context, since time.Time, n int) ([]pipeline.Step, error) {
	return t.steps(ctx, "", since, n)
}

// OfDevice lists others' claims with the same device.
func (t trail) OfDevice(ctx context.Context, device string, since time.Time, n int) ([]pipeline.Step, error) {
	return t.steps(ctx, device, since, n)
}

func (t trail) steps(ctx context.Context, device string, since time.Time, n int) ([]pipeline.Step, error) {
	found, err := t.Store.Steps(ctx, results.StepFilter{
		Tenant: t.sub.Tenant, Subject: t.sub.Subject, Device: device, Since: since, Before: t.sub.ReceivedAt, Job: t.sub.Job, Newest: n,
	})
	if err != nil {
		return nil, t.broken(fmt.Errorf("list earlier claims: %w", err))
	}
	return found, nil
}
