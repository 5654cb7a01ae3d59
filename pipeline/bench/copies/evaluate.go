package copies

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/reuse"
)

// Options of an evaluation.
type Options struct {
	Half   string // "both", or "a" or "b": only that half of the families, for work on one half while the other stays unseen
	Seed   uint64 // of splits and intervals
	Splits int    // 0: 20, each both ways round
	Config reuse.Config
	// Progress is told how many files and pairs are done of how many; may be nil.
	Progress func(done, total int)
}

// defaultSplits is what the prototype's protocol had.
const defaultSplits = 20

// fixedSplit is the number of the split that Half means; the evaluation's own are counted from 0.
const fixedSplit = 1 << 20

// Fixed is what the product's own threshold does.
type Fixed struct {
	Threshold float64 `json:"threshold"`
	Recall    Share   `json:"recall"`
	Moving    Share   `json:"recall_without_freeze"` // a frozen picture has no motion to compare; it is for the no-motion check
	Hard      Share   `json:"false_hard"`
	Easy      Share   `json:"false_easy"`
}

// Kind is one transform.
type Kind struct {
	Transform  string   `json:"transform"` // with its severity
	N          int      `json:"n"`
	Reused     Share    `json:"reused"`
	CannotTell Share    `json:"cannot_tell"`
	Content    Share    `json:"same_content"` // at the product's threshold
	HeldOut    *float64 `json:"reused_held_out"`
	ContentOut *float64 `json:"same_content_held_out"`
	PDQOut     *float64 `json:"pdq_held_out"` // strangers alone kept out: the baseline at its best
}

// Method is one measure with the thresholds that the protocol gives it.
type Method struct {
	Name string `json:"name"`
	// Strangers: thresholds that keep out strangers alone. All: look-alikes too.
	Strangers *HeldOut `json:"strangers_kept_out"`
	All       *HeldOut `json:"all_kept_out"`
}

// Honest is what the check says about one relation.
type Honest struct {
	Relation   string  `json:"relation"`
	Reused     Share   `json:"reused"`
	CannotTell Share   `json:"cannot_tell"`
	TopS       float64 `json:"top_s"` // greatest S
}

// Part is the table of the clips, or of the photos.
type Part struct {
	Same       int                           `json:"same"`
	Hard       int                           `json:"hard"`
	Easy       int                           `json:"easy"`
	Families   int                           `json:"families"`
	Lookalikes int                           `json:"families_with_hard"`
	Recording  Fixed                         `json:"same_recording"`
	Content    Fixed                         `json:"same_content"`
	Asked      Share                         `json:"cannot_tell_of_same"`
	Honest     []Honest                      `json:"honest"`
	Kinds      []Kind                        `json:"kinds"`
	Methods    []Method                      `json:"methods"`
	Curves     map[string]map[string][]Point `json:"curves"` // "hard" and "easy", then measure
	MSPerPair  map[string]float64            `json:"ms_per_pair"`
	MSPerClip  float64                       `json:"ms_per_fingerprint"` // decoding not counted
	MSPerStill float64                       `json:"ms_per_still"`       // PDQ with its eight forms alone
	BytesMean  int                           `json:"bytes_per_fingerprint"`
	BytesPer5s int                           `json:"bytes_per_5s"`
}

// Report is the evaluation of one suite.
type Report struct {
	Suite  string `json:"suite"`
	Half   string `json:"half"`
	Seed   uint64 `json:"seed"`
	Splits int    `json:"splits"`
	Video  *Part  `json:"video"`
	Photo  *Part  `json:"photo"`
	Rows   []Row  `json:"-"`
}

// printed is what is known about one file.
type printed struct {
	fp    reuse.Fingerprint
	photo bool
	bytes int
	ms    float64
	still float64
}

// Run measures the suite in dir. Files are fingerprinted once each; originals are compared as they would be stored.
func Run(ctx context.Context, dir string, decode reuse.Decode, o Options) (Report, error) {
	if o.Splits == 0 {
		o.Splits = defaultSplits
	}
	if !slices.Contains([]string{"", "both", "a", "b"}, o.Half) {
		return Report{}, fmt.Errorf("evaluate a reuse suite: half is %q, want both, a or b", o.Half)
	}
	rows, err := load(dir)
	if err != nil {
		return Report{}, err
	}
	if o.Half == "a" || o.Half == "b" {
		first := halves(rows, o.Seed, fixedSplit)
		rows = slices.DeleteFunc(rows, func(r Row) bool {
			return first[r.Family] != (o.Half == "a") || first[r.Other] != (o.Half == "a")
		})
		if len(rows) == 0 {
			return Report{}, fmt.Errorf("evaluate a reuse suite: half %s has no pairs: too few scene families", o.Half)
		}
	} else {
		o.Half = "both"
	}
	prints, err := fingerprints(ctx, dir, rows, decode, o.Progress)
	if err != nil {
		return Report{}, err
	}
	for i := range rows {
		if err := rows[i].measure(ctx, prints, o.Config); err != nil {
			return Report{}, fmt.Errorf("compare %s with %s: %w", rows[i].Query, rows[i].Original, err)
		}
		if o.Progress != nil {
			o.Progress(len(prints)+i+1, len(prints)+len(rows))
		}
	}
	r := Report{Suite: dir, Half: o.Half, Seed: o.Seed, Splits: o.Splits, Rows: rows}
	r.Video, r.Photo = summarise(rows, prints, o, false), summarise(rows, prints, o, true)
	return r, nil
}

// fingerprints makes those of all files that the rows name.
func fingerprints(ctx context.Context, dir string, rows []Row, decode reuse.Decode, progress func(int, int)) (map[string]printed, error) {
	kind := map[string]bool{}
	for i := range rows {
		kind[rows[i].Query], kind[rows[i].Original] = rows[i].Photo, rows[i].Photo
	}
	names := make([]string, 0, len(kind))
	for n := range kind {
		names = append(names, n)
	}
	sort.Strings(names)
	out := make(map[string]printed, len(names))
	for i, n := range names {
		p, err := fingerprint(ctx, filepath.Join(dir, filepath.FromSlash(n)), decode)
		if err != nil {
			return nil, fmt.Errorf("evaluate a reuse suite: %s: %w", n, err)
		}
		p.photo = kind[n]
		out[n] = p
		if progress != nil {
			progress(i+1, len(names)+len(rows))
		}
	}
	return out, nil
}

// fingerprint decodes and fingerprints one file.
func fingerprint(ctx context.Context, path string, decode reuse.Decode) (printed, error) {
	clip, err := decode(ctx, pipeline.File(path))
	if err != nil {
		return printed{}, fmt.Errorf("decode: %w", err)
	}
	defer clip.Close()
	began := time.Now()
	fp, err := reuse.Compute(clip)
	if err != nil {
		return printed{}, err
	}
	p := printed{fp: fp, ms: ms(began)}
	raw, err := fp.MarshalBinary()
	if err != nil {
		return printed{}, err
	}
	p.bytes = len(raw)
	v, err := view(clip)
	if err != nil {
		return printed{}, err
	}
	began = time.Now()
	if _, _, err := reuse.PDQVariants(v); err != nil {
		return printed{}, err
	}
	p.still = ms(began)
	return p, nil
}

// view is the first still of a clip.
func view(c *media.Clip) (models.Image, error) { return media.View(c.Frames[0].Image) }

// ms is the wall time since, in milliseconds.
func ms(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

// measure compares one pair in every way.
func (r *Row) measure(ctx context.Context, prints map[string]printed, cfg reuse.Config) error {
	q, o := prints[r.Query].fp, prints[r.Original].fp
	began := time.Now()
	_, res, err := reuse.Check(ctx, q, []reuse.Candidate{{Job: r.Original, Fingerprint: o}}, 0, cfg)
	if err != nil {
		return err
	}
	r.MS = ms(began)
	m := &res.Matches[0]
	r.Verdict, r.S = m.Verdict, m.S
	r.Scores[Recording], r.Scores[Content] = m.Score, m.Content
	r.baselines(&q, &o)
	return nil
}

// vpdqBits is the distance at which the vPDQ rule counts a frame as matched.
const vpdqBits = 31

// baselines are the plain hashes: no mirrored forms, no borders taken off.
func (r *Row) baselines(q, o *reuse.Fingerprint) {
	near64, near256, matched := 64, 256, 0
	for i := range q.Stills {
		best := 256
		for k := range o.Stills {
			near64 = min(near64, reuse.Bits256{q.Stills[i].PHash64}.Distance(reuse.Bits256{o.Stills[k].PHash64}))
			best = min(best, q.Stills[i].PDQ[0].Distance(o.Stills[k].PDQ[0]))
		}
		near256 = min(near256, best)
		matched += one(best <= vpdqBits)
	}
	r.Scores[PHash64], r.Scores[PDQ] = 1-float64(near64)/64, 1-float64(near256)/256
	r.Scores[VPDQ] = float64(matched) / float64(max(1, len(q.Stills)))
}
