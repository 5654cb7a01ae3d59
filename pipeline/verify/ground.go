package verify

import (
	"context"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/place"
	"onsite/pipeline/policy"
)

// takenAt is when the upload was made as well as is known: what was claimed, else when it came, else now.
func (r *run) takenAt() time.Time {
	switch {
	case !r.Claim.TakenAt.IsZero():
		return r.Claim.TakenAt
	case !r.Received.IsZero():
		return r.Received
	}
	return time.Now()
}

// dated says that the device claimed when the upload was made. A service that fills in its own time gives the same for both.
func (r *run) dated() bool {
	return !r.Claim.TakenAt.IsZero() && !r.Claim.TakenAt.Equal(r.Received)
}

// ground runs the place check: the claimed position against the site and against what was claimed before.
func (r *run) ground(ctx context.Context) error {
	rule := r.Policy.Checks[pipeline.CheckPlace]
	switch {
	case !r.wants(pipeline.CheckPlace):
		r.set(pipeline.CheckPlace, notChecked(policy.WhyNotWanted))
		return nil
	case rule.Need == policy.WithFence && r.Site == nil:
		r.set(pipeline.CheckPlace, notChecked(policy.WhyNoSite))
		return nil
	case rule.Need == policy.WithFence && !place.HasGround(r.Site):
		r.set(pipeline.CheckPlace, notChecked(policy.WhyNoFence))
		return nil
	}
	return r.stage(ctx, StagePlace, func(ctx context.Context) error {
		cfg := place.DefaultConfig()
		past, err := place.Read(ctx, r.Trail, r.Claim, r.Received, cfg)
		if err != nil {
			return r.broke(pipeline.CheckPlace, err)
		}
		check, result := place.Check(place.Input{
			Claim: r.Claim, Dated: r.dated(), Received: r.Received, Site: r.Site, Media: r.clip.Info.Location, Trail: past,
		}, cfg)
		r.shown.ground = result
		r.set(pipeline.CheckPlace, check)
		return nil
	})
}
