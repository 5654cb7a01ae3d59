package bench

import (
	"context"
	"fmt"
	"strings"

	"onsite/pipeline"
)

// Naive verifies a clip the obvious way (cmd/onsite-naive) against a photo of the person.
type Naive func(ctx context.Context, clip, person pipeline.Media) (NaiveVerdict, error)

// NaiveVerdict is what the obvious pipeline says about one clip, and what it cost.
type NaiveVerdict struct {
	Frames int                `json:"frames"` // that were read
	Looked int                `json:"looked"` // that the models saw
	Face   string             `json:"face"`   // pass, fail or uncertain
	Live   string             `json:"live"`
	Words  int                `json:"words"`  // lines that were read on signs
	Known  int                `json:"known"`  // hashes of earlier clips that a frame is like
	CPUMS  float64            `json:"cpu_ms"` // of the whole process but its start and the loading of models
	Stages map[string]float64 `json:"stages"` // CPU milliseconds
}

// Baseline compares with the obvious pipeline in the same run.
type Baseline struct {
	CPUSPerClip   float64            `json:"cpu_s_per_clip"`
	SameDecisions float64            `json:"same_decisions"` // share of the clips on which face and liveness pass, or do not, in both
	Clips         int                `json:"clips"`
	Stages        map[string]float64 `json:"stages"` // CPU milliseconds
	Differ        []string           `json:"differ,omitempty"`
	Each          []Pair             `json:"each"`
}

// Pair is what one clip cost both in the first run, CPU milliseconds.
type Pair struct {
	File     string  `json:"file"`
	NaiveMS  float64 `json:"naive_ms"`
	OnsiteMS float64 `json:"onsite_ms"`
}

// comparison collects what both say.
type comparison struct {
	sum  Baseline
	same int
}

// run has the obvious pipeline verify a clip that was verified as v at a cost of ours in ms.
func (c *comparison) run(ctx context.Context, naive Naive, j *prepared, v pipeline.Verdict, ours float64) error {
	if naive == nil || j.person == nil {
		return nil
	}
	n, err := naive(ctx, j.job.Media, j.person)
	if err != nil {
		return fmt.Errorf("bench: the naive pipeline on %s: %w", j.job.Media.Name(), err)
	}
	c.sum.Clips++
	c.sum.Each = append(c.sum.Each, Pair{File: j.job.Media.Name(), NaiveMS: n.CPUMS, OnsiteMS: ours})
	c.sum.CPUSPerClip += n.CPUMS / 1000
	if c.sum.Stages == nil {
		c.sum.Stages = map[string]float64{}
	}
	for s, ms := range n.Stages {
		c.sum.Stages[s] += ms
	}
	var differ []string
	compare := func(name pipeline.CheckName, theirs string) {
		if ours := v.Checks[name].Outcome; (ours == pipeline.Pass) != (theirs == string(pipeline.Pass)) {
			differ = append(differ, fmt.Sprintf("%s %s, naive %s", name, ours, theirs))
		}
	}
	compare(pipeline.CheckFace, n.Face)
	compare(pipeline.CheckLiveness, n.Live)
	if len(differ) == 0 {
		c.same++
	} else {
		c.sum.Differ = append(c.sum.Differ, j.job.Media.Name()+": "+strings.Join(differ, "; "))
	}
	return nil
}

// result gives the means over the clips; nil where nothing was compared.
func (c *comparison) result() *Baseline {
	n := float64(c.sum.Clips)
	if n == 0 {
		return nil
	}
	b := c.sum
	b.CPUSPerClip /= n
	b.SameDecisions = float64(c.same) / n
	for s := range b.Stages {
		b.Stages[s] /= n
	}
	return &b
}
