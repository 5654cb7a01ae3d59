package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
)

type compareInput struct {
	ULIDPath
	Body struct {
		MinJobs    int     `json:"min_jobs,omitempty" minimum:"1" default:"50" doc:"with fewer the comparison does not pass"`
		MaxChanged float64 `json:"max_changed,omitempty" minimum:"0" maximum:"1" default:"0.02" doc:"the largest part of decisions that may differ"`
	}
}

// ModelComparison is what the shadow runs of a model come to.
type ModelComparison struct {
	Model       string                  `json:"model" doc:"id"`
	SHA256      string                  `json:"sha256"`
	With        []string                `json:"with,omitempty" doc:"ids of the models that are tried together with it"`
	Against     string                  `json:"against" doc:"id of the model that was active; empty: what the program brings along"`
	Replaced    map[string]string       `json:"replaced" doc:"the same by task, of all that ran"`
	Jobs        int                     `json:"jobs"`
	Stale       int                     `json:"stale" doc:"runs that do not count: another model made the verdict, or other models ran with it"`
	Changed     int                     `json:"changed" doc:"with another decision"`
	ChangedRate float64                 `json:"changed_rate"`
	CI95        [2]float64              `json:"ci95" doc:"Wilson's interval of the rate: what it may truly be, at 95 %"`
	Flips       map[string]int          `json:"flips" doc:"decisions that changed: pass -> review"`
	Came        map[string]int          `json:"came" doc:"reasons that the model gave and the verdict did not"`
	Went        map[string]int          `json:"went" doc:"reasons that the verdict gave and the model did not"`
	Scores      map[string]ScoreShift   `json:"scores" doc:"by check: how the score moved"`
	Sites       map[string]GroupChanges `json:"sites" doc:"of a model of the installation as tenant/site"`
	CPUMS       float64                 `json:"cpu_ms" doc:"of one run with the model on one thread, on average"`
	MinJobs     int                     `json:"min_jobs"`
	MaxChanged  float64                 `json:"max_changed"`
	Passed      bool                    `json:"passed"`
	Why         []pipeline.Text         `json:"why" nullable:"false" doc:"why it did not pass"`
	MadeAt      time.Time               `json:"made_at"`
}

// ScoreShift is how a check's score moved.
type ScoreShift struct {
	Jobs   int     `json:"jobs" doc:"with a score on both sides"`
	Mean   float64 `json:"mean" doc:"new less old"`
	Lowest float64 `json:"lowest"`
	Most   float64 `json:"most"`
}

// GroupChanges is one group of jobs.
type GroupChanges struct {
	Jobs    int `json:"jobs"`
	Changed int `json:"changed"`
}

// maxCompared bounds how many shadow runs one comparison reads: the newest.
const maxCompared = 20_000

func (s *Server) compareModel(ctx context.Context, in *compareInput) (*struct{ Body ModelComparison }, error) {
	m, err := s.model(ctx, in.ID, true)
	if err != nil {
		return nil, err
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	tenant := m.Tenant // the operator compares over all jobs
	out := ModelComparison{Model: m.ID, SHA256: m.SHA256, Against: active.Doc.Runs(m.Tenant, m.Task), Replaced: map[string]string{}, Flips: map[string]int{}, Came: map[string]int{}, Went: map[string]int{}, Scores: map[string]ScoreShift{}, Sites: map[string]GroupChanges{},
		MinJobs: in.Body.MinJobs, MaxChanged: in.Body.MaxChanged, Why: []pipeline.Text{}, MadeAt: s.stamp()}
	for _, t := range active.Doc.Shadows {
		if t.Model == m.ID {
			out.With = slices.Sorted(maps.Values(t.With))
		}
	}
	tasks := map[string]string{m.ID: m.Task}
	for _, id := range out.With {
		one, err := s.Store.Model(ctx, id)
		if err != nil {
			return nil, err
		}
		tasks[id] = one.Task
	}
	for _, task := range tasks {
		out.Replaced[task] = active.Doc.Runs(m.Tenant, task)
	}
	for after := ""; out.Jobs < maxCompared; {
		rows, err := s.Store.ShadowRuns(ctx, m.ID, tenant, results.Page{After: after, Limit: 500})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			now := map[string]string{}
			for id, task := range tasks {
				now[id] = active.Doc.Runs(r.Tenant, task)
			}
			if err := out.add(r, now, m.Tenant == ""); err != nil {
				return nil, err
			}
		}
		if len(rows) < 500 {
			break
		}
		after = rows[len(rows)-1].Job
	}
	out.sum()
	if m.Report, err = json.Marshal(out); err != nil {
		return nil, err
	}
	m.Passed = out.Passed
	a := s.modelEntry(ctx, "model.compared", m)
	a.Digest = results.Sum(m.Report)
	return &struct{ Body ModelComparison }{out}, s.Store.ChangeModel(ctx, m, m.State, a)
}

// add counts a run of just these models, if the verdict was made with what is active now in their place.
func (c *ModelComparison) add(r results.ShadowRun, now map[string]string, whose bool) error {
	var d struct {
		Checks  []verify.CheckDiff `json:"checks"`
		Group   map[string]string  `json:"group"`
		Against string             `json:"against"`
		With    map[string]string  `json:"with"`
	}
	if err := json.Unmarshal(r.Detail, &d); err != nil {
		return fmt.Errorf("read what model %s said of job %s: %w", r.Model, r.Job, err)
	}
	was := map[string]string{r.Model: d.Against}
	maps.Copy(was, d.With)
	if !maps.Equal(was, now) {
		c.Stale++
		return nil
	}
	c.Jobs++
	c.CPUMS += r.CPUMS
	if !r.Same {
		c.Changed++
		c.Flips[r.Before+" -> "+r.After]++
	}
	if name := d.Group["site"]; name != "" {
		if whose { // two tenants may have a site of one name
			name = r.Tenant + "/" + name
		}
		site := c.Sites[name]
		if site.Jobs++; !r.Same {
			site.Changed++
		}
		c.Sites[name] = site
	}
	for _, check := range d.Checks {
		for _, code := range check.Now.Codes {
			if !slices.Contains(check.Before.Codes, code) {
				c.Came[string(code)]++
			}
		}
		for _, code := range check.Before.Codes {
			if !slices.Contains(check.Now.Codes, code) {
				c.Went[string(code)]++
			}
		}
		if check.Before.Score == nil || check.Now.Score == nil {
			continue
		}
		shift := *check.Now.Score - *check.Before.Score
		of, ok := c.Scores[string(check.Check)]
		if !ok {
			of.Lowest, of.Most = shift, shift
		}
		of.Jobs++
		of.Mean += shift
		of.Lowest, of.Most = min(of.Lowest, shift), max(of.Most, shift)
		c.Scores[string(check.Check)] = of
	}
	return nil
}

func (c *ModelComparison) sum() {
	for name, of := range c.Scores {
		of.Mean /= float64(of.Jobs)
		c.Scores[name] = of
	}
	if c.Jobs > 0 {
		c.ChangedRate, c.CPUMS = float64(c.Changed)/float64(c.Jobs), c.CPUMS/float64(c.Jobs)
	}
	c.CI95 = wilson(c.Changed, c.Jobs)
	if c.Jobs < c.MinJobs {
		c.Why = append(c.Why, say("There are %d shadow runs, %d are wanted.", "仅有 %d 次试运行，需要 %d 次。", c.Jobs, c.MinJobs))
	}
	if c.ChangedRate > c.MaxChanged {
		c.Why = append(c.Why, say("%.2f %% of the decisions differ, %.2f %% are allowed.", "%.2f %% 的结论不同，允许 %.2f %%。", 100*c.ChangedRate, 100*c.MaxChanged))
	}
	c.Passed = len(c.Why) == 0
}

// wilson is the 95 % score interval of a rate of k in n (Wilson 1927); 0 to 1 without any.
func wilson(k, n int) [2]float64 {
	if n == 0 {
		return [2]float64{0, 1}
	}
	const z = 1.959964
	p, f := float64(k)/float64(n), float64(n)
	mid, half := p+z*z/(2*f), z*math.Sqrt(p*(1-p)/f+z*z/(4*f*f))
	return [2]float64{max(0, (mid-half)/(1+z*z/f)), min(1, (mid+half)/(1+z*z/f))}
}
