package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"onsite/pipeline/challenge"
	"onsite/pipeline/verify"
	"onsite/results"
)

// recording adds whether the sound may be listened to, and what the person was asked to do.
func (a *attempt) recording(ctx context.Context, job *verify.Job) (err error) {
	if a.policy.Name == "" { // the default policies ask for neither
		return nil
	}
	switch {
	case !a.policy.Listens():
	case a.pinned != nil:
		job.Hear = a.pinned.hear
	default:
		if job.Hear, err = a.Store.Consented(ctx, a.Sub.Tenant, a.Sub.Subject, results.PurposeSound); err != nil {
			return fmt.Errorf("look for the subject's consent to listening: %w", err)
		}
	}
	if a.policy.Challenge.Wanted {
		job.Challenge, err = a.challenge(ctx)
	}
	return err
}

// challenge gives what a submission answers, with what became of it: its own transaction used it, unless an earlier one had.
func (a *attempt) challenge(ctx context.Context) (*challenge.Given, error) {
	id := a.Sub.Challenge()
	if id == "" {
		return nil, nil //nolint:nilnil // it answers none
	}
	out := &challenge.Given{ID: id, State: challenge.Unknown}
	row, err := a.Store.Challenge(ctx, a.Sub.Tenant, id)
	if errors.Is(err, results.ErrNotFound) {
		return out, nil
	} else if err != nil {
		return nil, fmt.Errorf("read the challenge: %w", err)
	}
	switch {
	case row.Subject != a.Sub.Subject:
		out.State = challenge.Foreign
	case row.Job != a.Sub.Job:
		out.State = challenge.Used
	case row.UsedAt.After(row.ExpiresAt):
		out.State = challenge.Late
	default:
		out.State = challenge.Fresh
		if err := json.Unmarshal(row.Doc, &out.Asked); err != nil {
			return nil, fmt.Errorf("read the challenge %s: %w", id, err)
		}
	}
	return out, nil
}
