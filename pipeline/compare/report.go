package compare

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"time"

	"gonum.org/v1/gonum/stat"

	"onsite/pipeline"
)

// Schema is the report's form.
const Schema = "onsite.compare/1"

// Models is one of the two sets.
type Models struct {
	Set    string              `json:"set"` // digest of the whole set
	Models []pipeline.ModelRef `json:"models"`
}

// Limits are what a report must stay within to pass. They are set before anybody looks at it.
type Limits struct {
	Cases        int     `json:"cases"`        // at least so many
	Disagreement float64 `json:"disagreement"` // of the cases at most
	Loosened     float64 `json:"loosened"`     // cases that newly pass, of those that did not, at most; those labelled genuine do not count
	FMRFactor    float64 `json:"fmr_factor"`   // false matches at most so many times as often, where there are labels
	FNMRMore     float64 `json:"fnmr_more"`    // false non-matches at most so much more often, where there are labels
	Slower       float64 `json:"slower"`       // median time at most so many times as long
	GroupMore    float64 `json:"group_more"`   // disagreement of a group of at least GroupCases at most so much above that of all
	GroupCases   int     `json:"group_cases"`  // smaller groups say nothing
	Examples     int     `json:"examples"`     // of each flip that are named
	Check        string  `json:"check"`        // whose scores the curves are of
}

// DefaultLimits are careful for a model that replaces one of the same kind.
func DefaultLimits() Limits {
	return Limits{
		Cases: 100, Disagreement: 0.05, Loosened: 0.01, FMRFactor: 2, FNMRMore: 0.02, Slower: 2, GroupMore: 0.05, GroupCases: 30, Examples: 5,
		Check: string(pipeline.CheckFace),
	}
}

// Rate is a share with its 95 % interval (Wilson).
type Rate struct {
	N    int        `json:"n"`
	Of   int        `json:"of"`
	Rate float64    `json:"rate"`
	CI95 [2]float64 `json:"ci95"`
}

// Flip is a change of decision.
type Flip struct {
	From     pipeline.Decision `json:"from"`
	To       pipeline.Decision `json:"to"`
	Label    Label             `json:"label,omitempty"`
	Rate     Rate              `json:"rate"`
	Examples []string          `json:"examples"`
}

// ReasonShift is how often a reason was given before and after.
type ReasonShift struct {
	Code   string `json:"code"`
	Before int    `json:"before"`
	After  int    `json:"after"`
	Gone   int    `json:"gone"`
	New    int    `json:"new"`
}

// Quantiles are 5, 25, 50, 75 and 95 % of something.
type Quantiles [5]float64

// ScoreShift is how the scores of a check moved. Scores of two embedders do not compare: read the shift beside each one's own threshold.
type ScoreShift struct {
	Check       string    `json:"check"`
	Cases       int       `json:"cases"`
	Before      Quantiles `json:"before"`
	After       Quantiles `json:"after"`
	MeanShift   float64   `json:"mean_shift"`  // of the scores themselves
	Correlation float64   `json:"correlation"` // -1..1; of the same cases
}

// ErrorRates are the errors of labelled cases at the decisions that were made: an impostor that passes, a genuine case that is called abnormal.
// A case left to a person counts as neither.
type ErrorRates struct {
	FMR    Rate `json:"fmr"`
	FNMR   Rate `json:"fnmr"`
	Review Rate `json:"review"`
}

// Point of a DET curve.
type Point struct {
	FMR  float64 `json:"fmr"`
	FNMR float64 `json:"fnmr"`
}

// DET is the detection error trade-off of one set over all thresholds.
type DET struct {
	Points []Point `json:"points"`
	EER    float64 `json:"eer"`
}

// Group is the cases that have one thing in common.
type Group struct {
	By           string      `json:"by"`
	Value        string      `json:"value"`
	Cases        int         `json:"cases"`
	Small        bool        `json:"small"` // too few cases to say anything
	Disagreement Rate        `json:"disagreement"`
	Passing      [2]float64  `json:"passing"` // share that passes, before and after
	Before       *ErrorRates `json:"before,omitempty"`
	After        *ErrorRates `json:"after,omitempty"`
}

// Times are how long cases took, ms.
type Times struct {
	Cases  int     `json:"cases"`
	Median float64 `json:"median_ms"`
	P95    float64 `json:"p95_ms"`
}

// Report is the whole comparison.
type Report struct {
	Schema       string          `json:"schema"`
	CreatedAt    time.Time       `json:"created_at"`
	Onsite       string          `json:"onsite"`
	Data         string          `json:"data"` // what was compared, in the caller's words
	DataText     pipeline.Text   `json:"data_text"`
	Before       Models          `json:"before"`
	After        Models          `json:"after"`
	Limits       Limits          `json:"limits"`
	Cases        int             `json:"cases"`
	Labelled     int             `json:"labelled"`
	Disagreement Rate            `json:"disagreement"`
	Flips        []Flip          `json:"flips"`
	Reasons      []ReasonShift   `json:"reasons"`
	Scores       []ScoreShift    `json:"scores"`
	BeforeErrors *ErrorRates     `json:"before_errors,omitempty"`
	AfterErrors  *ErrorRates     `json:"after_errors,omitempty"`
	BeforeDET    *DET            `json:"before_det,omitempty"`
	AfterDET     *DET            `json:"after_det,omitempty"`
	Groups       []Group         `json:"groups"`
	BeforeTimes  Times           `json:"before_times"`
	AfterTimes   Times           `json:"after_times"`
	Notes        []pipeline.Text `json:"notes"`
	Passed       bool            `json:"passed"`
	Failed       []pipeline.Text `json:"failed"` // limits that were not kept, for people

	margins [2][2][]float64 // for the plot: before, after; genuine or unknown, impostor
}

// Options say what is compared.
type Options struct {
	Data          pipeline.Text
	Before, After Models
	Limits        Limits
	Notes         []pipeline.Text // what a reader has to know of the data
	Onsite        string          // the program's version
	Now           time.Time       // when it was made
}

// Build makes the report. An error of the cases ends it: half a comparison is none.
func Build(o Options, cases iter.Seq2[Case, error]) (*Report, error) {
	r := &Report{
		Schema: Schema, CreatedAt: o.Now.UTC().Truncate(time.Second), Onsite: o.Onsite, Data: o.Data.EN, DataText: o.Data, Before: o.Before, After: o.After, Limits: o.Limits,
		Flips: []Flip{}, Reasons: []ReasonShift{}, Scores: []ScoreShift{}, Groups: []Group{}, Notes: []pipeline.Text{}, Failed: []pipeline.Text{},
	}
	var all []Case
	for c, err := range cases {
		if err != nil {
			return nil, fmt.Errorf("compare models: %w", err)
		}
		all = append(all, c)
	}
	r.Cases = len(all)
	r.flips(all)
	r.reasons(all)
	r.scores(all)
	r.BeforeErrors, r.AfterErrors = errorsOf(all)
	for _, c := range all {
		if c.Label != "" {
			r.Labelled++
		}
	}
	r.BeforeDET = detOf(all, o.Limits.Check, func(c *Case) *Side { return &c.Before })
	r.AfterDET = detOf(all, o.Limits.Check, func(c *Case) *Side { return &c.After })
	r.groups(all)
	r.BeforeTimes = timesOf(all, func(c *Case) float64 { return c.Before.MS })
	r.AfterTimes = timesOf(all, func(c *Case) float64 { return c.After.MS })
	r.Notes = append(r.Notes, o.Notes...)
	r.judge(all)
	return r, nil
}

// JSON is the report as it is stored and signed.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the comparison: %w", err)
	}
	return append(b, '\n'), nil
}

// Digest is the sha256, in hex, of JSON: what a person signs.
func (r *Report) Digest() (string, error) {
	b, err := r.JSON()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func (r *Report) flips(all []Case) {
	type key struct {
		from, to pipeline.Decision
		label    Label
	}
	found := map[key][]string{}
	of := map[key]int{}
	changed := 0
	for _, c := range all {
		of[key{from: c.Before.Decision, label: c.Label}]++
		if c.Before.Decision != c.After.Decision {
			changed++
			k := key{c.Before.Decision, c.After.Decision, c.Label}
			found[k] = append(found[k], c.ID)
		}
	}
	r.Disagreement = rate(changed, len(all))
	for k, ids := range found {
		sort.Strings(ids)
		r.Flips = append(r.Flips, Flip{From: k.from, To: k.to, Label: k.label, Rate: rate(len(ids), of[key{from: k.from, label: k.label}]), Examples: ids[:min(len(ids), r.Limits.Examples)]})
	}
	sort.Slice(r.Flips, func(i, j int) bool {
		a, b := r.Flips[i], r.Flips[j]
		if a.Rate.N != b.Rate.N {
			return a.Rate.N > b.Rate.N
		}
		return fmt.Sprint(a.From, a.To, a.Label) < fmt.Sprint(b.From, b.To, b.Label)
	})
}

func (r *Report) reasons(all []Case) {
	found := map[string]*ReasonShift{}
	of := func(code string) *ReasonShift {
		if found[code] == nil {
			found[code] = &ReasonShift{Code: code}
		}
		return found[code]
	}
	for _, c := range all {
		for _, code := range c.Before.Codes {
			of(code).Before++
			if !slices.Contains(c.After.Codes, code) {
				of(code).Gone++
			}
		}
		for _, code := range c.After.Codes {
			of(code).After++
			if !slices.Contains(c.Before.Codes, code) {
				of(code).New++
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(found)) {
		r.Reasons = append(r.Reasons, *found[code])
	}
}

func (r *Report) scores(all []Case) {
	checks := map[string][2][]float64{}
	for i := range all {
		c := &all[i]
		for name, b := range c.Before.Scores {
			if a, ok := c.After.Scores[name]; ok {
				v := checks[name]
				v[0], v[1] = append(v[0], b.Value), append(v[1], a.Value)
				checks[name] = v
				if name == r.Limits.Check {
					kind := 0
					if c.Label == Impostor {
						kind = 1
					}
					r.margins[0][kind] = append(r.margins[0][kind], b.Value-b.Threshold)
					r.margins[1][kind] = append(r.margins[1][kind], a.Value-a.Threshold)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		v := checks[name]
		s := ScoreShift{Check: name, Cases: len(v[0]), MeanShift: stat.Mean(v[1], nil) - stat.Mean(v[0], nil)}
		if len(v[0]) > 1 && stat.Variance(v[0], nil) > 0 && stat.Variance(v[1], nil) > 0 {
			s.Correlation = stat.Correlation(v[0], v[1], nil)
		}
		s.Before, s.After = quantiles(v[0]), quantiles(v[1])
		r.Scores = append(r.Scores, s)
	}
}

func (r *Report) groups(all []Case) {
	members := map[[2]string][]Case{}
	for _, c := range all {
		for by, value := range c.Groups {
			members[[2]string{by, value}] = append(members[[2]string{by, value}], c)
		}
	}
	for k, cases := range members {
		g := Group{By: k[0], Value: k[1], Cases: len(cases), Small: len(cases) < r.Limits.GroupCases}
		changed, passing := 0, [2]int{}
		for _, c := range cases {
			if c.Before.Decision != c.After.Decision {
				changed++
			}
			for i, d := range []pipeline.Decision{c.Before.Decision, c.After.Decision} {
				if d == pipeline.DecisionPass {
					passing[i]++
				}
			}
		}
		g.Disagreement = rate(changed, len(cases))
		g.Passing = [2]float64{share(passing[0], len(cases)), share(passing[1], len(cases))}
		g.Before, g.After = errorsOf(cases)
		r.Groups = append(r.Groups, g)
	}
	sort.Slice(r.Groups, func(i, j int) bool {
		a, b := r.Groups[i], r.Groups[j]
		if a.By != b.By {
			return a.By < b.By
		}
		return a.Value < b.Value
	})
}
