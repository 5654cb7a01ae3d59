package verify

import (
	"context"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/place"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
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

// drawn is the map of a report: nil where no position and no fence are known.
func (r *run) drawn() *report.Ground {
	g, result := &report.Ground{}, r.shown.ground
	if result.Outcome == "" {
		return nil
	}
	g.Fences = result.Fences
	away := func(m float64, en, zh string) pipeline.Text {
		l := place.Length(m)
		return pipeline.Text{EN: l.EN + en, ZH: zh + l.ZH}
	}
	if l := result.Claimed; l != nil {
		p := report.GroundPoint{Kind: "claimed", At: *l, Label: pipeline.Text{EN: "reported by the device", ZH: "设备上报的位置"}, Good: true}
		if len(g.Fences) > 0 && result.Outside > 0 {
			p.Good, p.Note = false, away(result.Outside, " outside the site", "在该地点范围外 ")
		}
		g.Points = append(g.Points, p)
	}
	if l := result.Media; l != nil {
		p := report.GroundPoint{Kind: "file", At: *l, Label: pipeline.Text{EN: "stored in the file", ZH: "文件中保存的位置"}, Good: true}
		if result.Claimed != nil {
			p.Note = away(place.Distance(*l, *result.Claimed), " from A", "距 A ")
		}
		g.Points = append(g.Points, p)
	}
	if s := result.Previous; s != nil && s.Location != nil {
		took := place.Span(result.Took)
		note := away(place.Distance(*s.Location, *result.Claimed), " from A, "+took.EN+" between", "距 A ")
		note.ZH += "，间隔 " + took.ZH
		g.Points = append(g.Points, report.GroundPoint{Kind: "earlier", At: *s.Location, Label: pipeline.Text{EN: "earlier upload " + s.Job, ZH: "先前的提交 " + s.Job}, Note: note, Good: true})
	}
	if len(g.Points) == 0 && len(g.Fences) == 0 {
		return nil
	}
	return g
}
