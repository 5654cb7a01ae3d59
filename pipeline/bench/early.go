package bench

import (
	"context"
	"fmt"

	"onsite/pipeline"
	"onsite/pipeline/verify"
)

// EarlyExit is the second row: the same clips under the same policy with early_exit on.
type EarlyExit struct {
	CPUSPerClip  float64            `json:"cpu_s_per_clip"`
	SameOutcomes float64            `json:"same_outcomes"` // share of the clips on which every check says the same as without
	Stopped      float64            `json:"stopped"`       // share of the clips on which some check stopped early
	Stages       map[string]float64 `json:"stages"`        // CPU milliseconds
}

// early runs every clip as often as without early exit and compares with those verdicts.
func early(ctx context.Context, v *verify.Verifier, o Options, jobs []*prepared, without []pipeline.Verdict) (*EarlyExit, error) {
	e := EarlyExit{Stages: map[string]float64{}}
	sums, stages := newSeries(len(jobs)), map[verify.Stage]series{}
	for n := range len(jobs) * o.Runs {
		at := n % len(jobs)
		job := jobs[at].job
		job.InTurn, job.Policy.EarlyExit = true, true
		out, err := v.Run(ctx, job)
		if err != nil {
			return nil, fmt.Errorf("bench: verify %s with early exit: %w", job.Media.Name(), err)
		}
		o.ran.one()
		sums.add(at, addUp(out.Costs, stages, at, len(jobs)))
		if n >= len(jobs) {
			continue
		}
		same, stopped := 1.0, 0.0
		for name, c := range out.Verdict.Checks {
			if c.Outcome != without[at].Checks[name].Outcome {
				same = 0
			}
			if c.Detail["stopped_early"] != nil {
				stopped = 1
			}
		}
		e.SameOutcomes += same / float64(len(jobs))
		e.Stopped += stopped / float64(len(jobs))
	}
	e.CPUSPerClip = sums.typical() / 1000
	for s, m := range stages {
		e.Stages[string(s)] = m.typical()
	}
	return &e, nil
}

// addUp adds a run's costs to the series of its clip and gives their sum in ms, without that of pictures, which a verdict does not need.
func addUp(costs map[verify.Stage]verify.Cost, stages map[verify.Stage]series, clip, clips int) float64 {
	sum := 0.0
	for s, c := range costs {
		if s == verify.StageTotal {
			continue
		}
		if stages[s] == nil {
			stages[s] = newSeries(clips)
		}
		stages[s].add(clip, ms(c.CPU))
		if s != verify.StagePictures {
			sum += ms(c.CPU)
		}
	}
	return sum
}
