package liveness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/authenticity"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
)

// BenchModels is what the benchmark needs from the models: faces are found first.
type BenchModels interface {
	EyeModels
	Models
}

// Decode turns an outside file into pixels with motion (media.Decoder does).
type Decode func(context.Context, pipeline.Media) (*media.Clip, error)

// BenchOptions say how a folder is measured.
type BenchOptions struct {
	Liveness     Config
	Face         face.Config
	Authenticity authenticity.Config
	Progress     func(done, total int) // called after each item; nil: not
	// Suite says of the files of a generated suite who is in them and which family of attacks they belong to; nil: the folder is no suite.
	Suite map[string]Origin
}

// DefaultBenchOptions measure what the product uses.
func DefaultBenchOptions() BenchOptions {
	return BenchOptions{Liveness: DefaultConfig(), Face: face.DefaultConfig(), Authenticity: authenticity.DefaultConfig()}
}

// Origin is who is seen in a file of a suite, and the family of attacks that it belongs to, empty for an honest one.
type Origin struct{ Person, Group string }

// BenchItem is one file as measured.
type BenchItem struct {
	File    string           `json:"file"` // relative to the folder
	Species string           `json:"species"`
	Outcome pipeline.Outcome `json:"outcome"` // of liveness and authenticity together, the worse one
	// Score is how live and real the file looks, 0..1: the lower of the live score (0.5 is the threshold) and 1 - suspicion/2 of authenticity
	// (suspicion 1 is its threshold, so 0.5 again). Null when neither could be computed.
	Score        *float64         `json:"score"`
	Liveness     pipeline.Outcome `json:"liveness"`
	Votes        pipeline.Outcome `json:"votes"` // liveness by the single-frame model alone
	LiveScore    *float64         `json:"live_score"`
	Authenticity pipeline.Outcome `json:"authenticity"`
	Suspicion    *float64         `json:"suspicion"`
	Reasons      []pipeline.Code  `json:"reasons"`
	CaughtBy     []string         `json:"caught_by"` // who did not let it pass: votes, signs, authenticity
	// Person and Group are known of a suite that --make wrote. HeldOut is the outcome with weights of the signs that were fitted without this person
	// and, for an attack, without its species.
	Person  string             `json:"person,omitempty"`
	Group   string             `json:"group,omitempty"`
	HeldOut pipeline.Outcome   `json:"held_out,omitempty"`
	Cues    map[string]float64 `json:"cues,omitempty"`
	Signs   map[string]float64 `json:"signs,omitempty"` // what each took from the log odds of a live person
	Error   string             `json:"error,omitempty"` // the file could not be measured

	Hesitates bool `json:"votes_hesitate,omitempty"` // the votes lie below the threshold or just above it, and neither noise nor the light explains it
}

// Rate is a share with its counts and the exact (Clopper-Pearson) bounds of 95 %.
type Rate struct {
	N         int `json:"n"`
	Pass      int `json:"pass"`
	Fail      int `json:"fail"`
	Uncertain int `json:"uncertain"`
	// NonResponse counts files without an answer: no face, too short.
	NonResponse int        `json:"non_response"`
	CI95        [2]float64 `json:"ci95"` // of the rate that apcer or bpcer reports
}

// BenchResult is what `onsite bench liveness --json` prints, in the words of ISO/IEC 30107-3.
type BenchResult struct {
	Items []BenchItem `json:"items"`
	// BPCER is the share of real files that are called an attack (outcome fail); null without real files.
	BPCER *float64 `json:"bpcer"`
	// APCER is, for each species, the share of attacks that pass. An uncertain attack goes to a person and is not accepted.
	APCER map[string]float64 `json:"apcer"`
	// APCERStrict counts every attack that is not called one.
	APCERStrict map[string]float64 `json:"apcer_strict"`
	Real        Rate               `json:"real"`
	Species     map[string]Rate    `json:"species"`
	// HeldOut are the same counts with weights of the signs that were fitted without the person and without the species; only of a suite.
	HeldOut map[string]Rate `json:"held_out,omitempty"`
	// CaughtBy counts, for each species, which witness did not let how many files pass.
	CaughtBy  map[string]map[string]int `json:"caught_by"`
	MSPerItem float64                   `json:"ms_per_item"` // finding faces and both checks, without decoding
	DecodeMS  float64                   `json:"decode_ms_per_item"`
}

const realSpecies = "real"

// Bench runs liveness and authenticity as the product does on DIR/real/* (honest photos and clips) and DIR/fake/* or DIR/fake/<species>/*
// (attacks; files directly in fake are the species "fake"). Files that cannot be decoded are listed with their error and left out of the rates.
func Bench(ctx context.Context, dir string, o BenchOptions, decode Decode, m BenchModels) (BenchResult, error) {
	r := BenchResult{Items: []BenchItem{}, APCER: map[string]float64{}, APCERStrict: map[string]float64{}, Species: map[string]Rate{}}
	items, err := listItems(dir)
	if err != nil {
		return BenchResult{}, err
	}
	matcher := face.New(m, o.Face)
	var checks, decoding time.Duration
	measured := 0
	for i := range items {
		start := time.Now()
		clip, err := decode(ctx, pipeline.File(filepath.Join(dir, items[i].File)))
		if ctx.Err() != nil {
			return BenchResult{}, fmt.Errorf("bench liveness: %w", ctx.Err())
		}
		if err != nil {
			items[i].Outcome, items[i].Error = pipeline.Error, err.Error()
		} else {
			decoded := time.Now()
			items[i].Person, items[i].Group = o.Suite[items[i].File].Person, o.Suite[items[i].File].Group
			err := items[i].measure(ctx, clip, matcher, m, &o)
			clip.Close()
			if err != nil {
				return BenchResult{}, fmt.Errorf("bench liveness: %s: %w", items[i].File, err)
			}
			decoding += decoded.Sub(start)
			checks += time.Since(decoded)
			measured++
		}
		if o.Progress != nil {
			o.Progress(i+1, len(items))
		}
	}
	r.Items = items
	if o.Suite != nil {
		heldOut(r.Items, &o.Liveness)
	}
	r.rates()
	if measured > 0 {
		r.MSPerItem = checks.Seconds() * 1000 / float64(measured)
		r.DecodeMS = decoding.Seconds() * 1000 / float64(measured)
	}
	return r, nil
}

// listItems lists the files of a folder, sorted; hidden files are left out.
func listItems(dir string) ([]BenchItem, error) {
	var out []BenchItem
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("bench liveness: %w", err)
	}
	for _, part := range []string{realSpecies, "fake"} {
		root := filepath.Join(dir, part)
		if target, err := filepath.EvalSymlinks(root); err == nil {
			root = target
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.HasPrefix(d.Name(), ".") && path != root {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // a link counts as what it points to
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			species := part
			if first, rest, _ := strings.Cut(filepath.ToSlash(rel), "/"); part == "fake" && rest != "" {
				species = first
			}
			out = append(out, BenchItem{File: part + "/" + filepath.ToSlash(rel), Species: species, Reasons: []pipeline.Code{}})
			return nil
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("bench liveness: list %s: %w", root, err)
		}
	}
	if len(out) == 0 {
		return nil, &pipeline.DataError{Path: dir, Wrong: pipeline.Text{EN: "it holds no files", ZH: "其中没有文件"}, Want: pipeline.Text{
			EN: "put honest photos and clips into real/ and attacks into fake/ or fake/<species>/", ZH: "请将真实素材放在 real/，攻击素材放在 fake/ 或 fake/<类别>/",
		}}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].File < out[j].File })
	return out, nil
}

// measure runs both checks on one file.
func (it *BenchItem) measure(ctx context.Context, clip *media.Clip, matcher *face.Matcher, m BenchModels, o *BenchOptions) error {
	found, err := matcher.Find(ctx, clip)
	if err != nil {
		return err
	}
	track, err := Follow(ctx, m, clip, found)
	if err != nil {
		return err
	}
	return it.judge(ctx, clip, &found, &track, m, o)
}

// judge runs both checks on a file whose faces were found and followed.
func (it *BenchItem) judge(ctx context.Context, clip *media.Clip, found *face.Found, track *Track, m Models, o *BenchOptions) error {
	live, err := Check(ctx, m, clip, *found, track, o.Liveness)
	if err != nil {
		return err
	}
	auth := authenticity.Check(clip, o.Authenticity)
	it.Liveness, it.LiveScore, it.Authenticity, it.Suspicion = live.Outcome, live.Score, auth.Outcome, auth.Score
	it.Outcome = worse(live.Outcome, auth.Outcome)
	it.Votes, _ = live.Detail["votes"].(pipeline.Outcome)
	if it.Votes == "" {
		it.Votes = live.Outcome
	}
	it.Hesitates, _ = live.Detail["votes_hesitate"].(bool)
	it.Cues, _ = live.Detail["cues"].(map[string]float64)
	signs, _ := live.Detail["signs"].(map[string]float64)
	for _, w := range []struct {
		name string
		said pipeline.Outcome
	}{{"votes", it.Votes}, {"signs", bySigns(&fitted, it.Cues, it.Hesitates, &o.Liveness)}, {"authenticity", auth.Outcome}} {
		if w.said == pipeline.Fail || w.said == pipeline.Uncertain {
			it.CaughtBy = append(it.CaughtBy, w.name)
		}
	}
	it.Signs = signs
	if live.Score != nil {
		v := *live.Score
		it.Score = &v
	}
	if auth.Score != nil {
		v := 1 - math.Min(*auth.Score, 2)/2
		if it.Score == nil || v < *it.Score {
			it.Score = &v
		}
	}
	for _, f := range append(live.Findings, auth.Findings...) {
		it.Reasons = append(it.Reasons, f.Code)
	}
	return nil
}

// worse is the outcome of two checks together. Liveness that could not be checked leaves the file without a face unanswered, whatever
// authenticity lets pass; authenticity that could not be checked (a photo) leaves the word to liveness.
func worse(live, auth pipeline.Outcome) pipeline.Outcome {
	for _, o := range []pipeline.Outcome{pipeline.Error, pipeline.Fail, pipeline.Uncertain} {
		if live == o || auth == o {
			return o
		}
	}
	return live
}

// rates counts the outcomes by species.
func (r *BenchResult) rates() {
	real, attacks := count(r.Items, func(it *BenchItem) pipeline.Outcome { return it.Outcome })
	if real != nil {
		r.Real = *real
		v := float64(real.Fail) / float64(real.N)
		r.BPCER = &v
	}
	r.Species = attacks
	for species, c := range attacks {
		r.APCER[species] = float64(c.Pass) / float64(c.N)
		r.APCERStrict[species] = float64(c.N-c.Fail) / float64(c.N)
	}
	r.CaughtBy = map[string]map[string]int{}
	suite := false
	for i := range r.Items {
		it := &r.Items[i]
		suite = suite || it.HeldOut != ""
		for _, who := range it.CaughtBy {
			if r.CaughtBy[it.Species] == nil {
				r.CaughtBy[it.Species] = map[string]int{}
			}
			r.CaughtBy[it.Species][who]++
		}
	}
	if !suite {
		return
	}
	real, r.HeldOut = count(r.Items, func(it *BenchItem) pipeline.Outcome { return it.HeldOut })
	if real != nil {
		r.HeldOut[realSpecies] = *real
	}
}

// count counts outcomes by species; those of the real files are apart, nil when there are none.
func count(items []BenchItem, of func(*BenchItem) pipeline.Outcome) (real *Rate, attacks map[string]Rate) {
	all := map[string]*Rate{}
	for i := range items {
		it := &items[i]
		if it.Error != "" {
			continue
		}
		c := all[it.Species]
		if c == nil {
			c = &Rate{}
			all[it.Species] = c
		}
		c.N++
		switch of(it) {
		case pipeline.Pass:
			c.Pass++
		case pipeline.Fail:
			c.Fail++
		case pipeline.Uncertain:
			c.Uncertain++
		default:
			c.NonResponse++
		}
	}
	attacks = map[string]Rate{}
	for species, c := range all {
		if species == realSpecies {
			c.CI95 = clopperPearson(c.Fail, c.N)
			real = c
			continue
		}
		c.CI95 = clopperPearson(c.Pass, c.N)
		attacks[species] = *c
	}
	return real, attacks
}

// clopperPearson gives the exact 95 % bounds of k of n (Clopper and Pearson 1934), by bisection on the binomial tails.
func clopperPearson(k, n int) [2]float64 {
	const alpha = 0.025
	out := [2]float64{0, 1}
	if k > 0 { // the p at which k or more of n has probability alpha
		out[0] = bisect(func(p float64) bool { return 1-binomial(k-1, n, p) < alpha })
	}
	if k < n { // the p at which k or fewer of n has probability alpha
		out[1] = bisect(func(p float64) bool { return binomial(k, n, p) > alpha })
	}
	return out
}

// bisect finds where below turns from true to false on 0..1.
func bisect(below func(float64) bool) float64 {
	lo, hi := 0.0, 1.0
	for range 60 {
		if mid := (lo + hi) / 2; below(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// binomial is the probability of at most k successes in n trials of probability p.
func binomial(k, n int, p float64) float64 {
	if p <= 0 {
		return 1
	}
	if p >= 1 {
		if k >= n {
			return 1
		}
		return 0
	}
	sum := 0.0
	for i := 0; i <= k; i++ {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(i + 1))
		c, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(a - b - c + float64(i)*math.Log(p) + float64(n-i)*math.Log(1-p))
	}
	return math.Min(sum, 1)
}
