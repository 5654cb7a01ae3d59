package bench

import (
	"context"
	"fmt"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/reuse"
	"onsite/pipeline/verify"
)

// MaxApartMS is what a clip may cost whose history has no candidate for reuse, CPU milliseconds.
const MaxApartMS = 1400

// Apart is what a clip costs when none of the 200 earlier clips shows the same scene.
type Apart struct {
	CPUSPerClip float64            `json:"cpu_s_per_clip"`
	Clips       int                `json:"clips"` // for which there was footage of other scenes
	Stages      map[string]float64 `json:"stages"`
}

// Kept is what the pictures cost that a service keeps as evidence: other people are looked for and blurred in each. It is in no other figure.
type Kept struct {
	CPUMS    float64 `json:"cpu_ms"`   // mean over the clips
	Pictures float64 `json:"pictures"` // of a clip, mean: 3 where the verdict passes, 12 at most where it does not
	Clips    int     `json:"clips"`
	Passed   int     `json:"passed"` // clips whose verdict passes; none as a rule, since the workload's site has a name that is on no sign: the dearest case
	EachMS   float64 `json:"each_ms"`
}

// apart runs every clip as often as the measured runs, with a history of other scenes and keeping pictures.
func apart(ctx context.Context, v *verify.Verifier, o Options, jobs []*prepared, prints []pipeline.Earlier) (*Apart, *Kept, error) {
	a := Apart{Stages: map[string]float64{}}
	sums, stages, all := newSeries(len(jobs)), map[verify.Stage]series{}, map[verify.Stage]series{}
	pictures, passed := 0, 0
	for i, j := range jobs {
		strangers, err := unlike(ctx, j, i, prints)
		if err != nil {
			return nil, nil, fmt.Errorf("bench: footage of other scenes than %s: %w", j.job.Media.Name(), err)
		}
		job := j.job
		job.InTurn, job.Keyframes, job.History = true, true, history(strangers, len(strangers))
		if len(strangers) > 0 {
			a.Clips++
		}
		for run := range o.Runs {
			out, err := v.Run(ctx, job)
			if err != nil {
				return nil, nil, fmt.Errorf("bench: verify %s among other scenes: %w", j.job.Media.Name(), err)
			}
			addUp(out.Costs, all, i, len(jobs))
			o.ran.one()
			pictures += len(out.Keyframes)
			if run == 0 && out.Verdict.Decision == pipeline.DecisionPass {
				passed++
			}
			if len(strangers) > 0 {
				sums.add(i, addUp(out.Costs, stages, i, len(jobs)))
			}
		}
	}
	k := &Kept{
		CPUMS: all[verify.StagePictures].typical(), Pictures: float64(pictures) / float64(max(1, len(jobs)*o.Runs)), Clips: len(jobs), Passed: passed,
	}
	if k.Pictures > 0 {
		k.EachMS = k.CPUMS / k.Pictures
	}
	if a.Clips == 0 {
		return nil, k, nil
	}
	a.CPUSPerClip = sums.typical() / 1000
	for s, m := range stages {
		a.Stages[string(s)] = m.typical()
	}
	return &a, k, nil
}

// unlike gives the fingerprints of footage of other scenes than the clip at a place: those that a comparison of the two alone passes without seeing
// the same place.
func unlike(ctx context.Context, j *prepared, at int, prints []pipeline.Earlier) ([]pipeline.Earlier, error) {
	var out []pipeline.Earlier
	for i, e := range prints {
		if i == at {
			continue
		}
		earlier, err := reuse.Read(e.Fingerprint)
		if err != nil {
			return nil, err
		}
		check, found, err := reuse.Check(ctx, j.print, []reuse.Candidate{{Job: "earlier", SHA256: e.SHA256, Fingerprint: earlier}}, 0, reuse.DefaultConfig())
		if err != nil {
			return nil, err
		}
		if check.Outcome == pipeline.Pass && !found.SamePlace {
			out = append(out, e)
		}
	}
	return out, nil
}

// fingerprint gives a clip's fingerprint, and the same as a history has it.
func fingerprint(clip *media.Clip) (reuse.Fingerprint, pipeline.Earlier, error) {
	print, err := reuse.Compute(clip)
	if err != nil {
		return reuse.Fingerprint{}, pipeline.Earlier{}, err
	}
	raw, err := print.MarshalBinary()
	if err != nil {
		return reuse.Fingerprint{}, pipeline.Earlier{}, err
	}
	return print, pipeline.Earlier{Fingerprint: raw, SHA256: clip.Info.SHA256}, nil
}

// strangers gives the fingerprints of clips that are not measured.
func strangers(ctx context.Context, v *verify.Verifier, clips []pipeline.Media) ([]pipeline.Earlier, error) {
	out := make([]pipeline.Earlier, 0, len(clips))
	for _, m := range clips {
		clip, err := v.Decode(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("bench: earlier footage %s: %w", m.Name(), err)
		}
		_, e, err := fingerprint(clip)
		clip.Close()
		if err != nil {
			return nil, fmt.Errorf("bench: earlier footage %s: %w", m.Name(), err)
		}
		out = append(out, e)
	}
	return out, nil
}
