package core

import (
	"context"
	"fmt"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
)

// past is what the first run of a job saw, for a run that is made again.
type past struct {
	pipeline.Inputs
	look, hear bool // consent to face processing and to listening, as it was then
	keep       bool // templates that are missing are made, and kept
}

// consentThen gives whether a consent was in force when a verdict was made: as the verdict's checks say, else as the records do. One that was
// given later counts for nothing, and without one that holds still nothing is looked at again: where it matters that is *CannotReverify.
func (c *Core) consentThen(ctx context.Context, s results.Submission, purpose string, said verify.Told, when time.Time, matters bool) (bool, error) {
	if said == verify.Refused {
		return false, nil
	}
	if said == verify.Untold {
		all, err := c.Store.Consents(ctx, s.Tenant, s.Subject)
		if err != nil {
			return false, fmt.Errorf("list the subject's consents: %w", err)
		}
		given := false
		for _, r := range all {
			given = given || r.Purpose == purpose && !r.GivenAt.After(when) && (r.WithdrawnAt.IsZero() || r.WithdrawnAt.After(when))
		}
		if !given {
			return false, nil
		}
	}
	now, err := c.Store.Consented(ctx, s.Tenant, s.Subject, purpose)
	switch {
	case err != nil:
		return false, fmt.Errorf("look for the subject's consent: %w", err)
	case now || !matters:
		return now, nil
	case purpose == results.PurposeSound:
		return false, cannot("consent_withdrawn", "the consent to listening was withdrawn: nobody listens to the recording again", "分析声音的同意已撤回：不再分析录音")
	}
	return false, cannot("consent_withdrawn", "the consent to face processing was withdrawn: no face is looked at again", "人脸处理的同意已撤回：不再处理人脸")
}
