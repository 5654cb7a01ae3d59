package copies

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

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
	// History compares every attack with all originals at once too, as the product does.
	History bool
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
	Lookup     Share    `json:"lookup"`       // by the tenant-wide index: some frame within index.MaxRadius bits
}

// Method is one measure with the thresholds that the protocol gives it.
type Method struct {
	Name string `json:"name"`
	// Strangers: the lowest thresholds that keep out strangers alone. All: look-alikes too. Found: the highest that find 95 % of the copies.
	Strangers *HeldOut `json:"strangers_kept_out"`
	All       *HeldOut `json:"all_kept_out"`
	Found     *HeldOut `json:"copies_found"`
}

// Honest is what the check says about one relation, or about several together.
type Honest struct {
	Relation   string  `json:"relation"`
	Reused     Share   `json:"reused"`
	CannotTell Share   `json:"cannot_tell"`
	TopS       float64 `json:"top_s"` // greatest S
}

// Part is the table of the clips, or of the photos.
type Part struct {
	Same       int      `json:"same"`
	Hard       int      `json:"hard"`
	Easy       int      `json:"easy"`
	Families   int      `json:"families"`
	Lookalikes int      `json:"families_with_hard"`
	Recording  Fixed    `json:"same_recording"`
	Content    Fixed    `json:"same_content"`
	Asked      Share    `json:"cannot_tell_of_same"`
	Lookup     Fixed    `json:"lookup"`            // the tenant-wide index; its threshold is in bits
	History    *History `json:"history,omitempty"` // with Options.History
	Honest     []Honest `json:"honest"`
	// HonestFamilies are the look-alikes of each family; its name stands where a relation does.
	HonestFamilies []Honest                      `json:"honest_families"`
	Kinds          []Kind                        `json:"kinds"`
	Methods        []Method                      `json:"methods"`
	Curves         map[string]map[string][]Point `json:"curves"` // "hard" and "easy", then measure
	MSPerPair      map[string]float64            `json:"ms_per_pair"`
	MSPerClip      float64                       `json:"ms_per_fingerprint"` // decoding not counted
	MSPerStill     float64                       `json:"ms_per_still"`       // PDQ with its eight forms alone
	BytesMean      int                           `json:"bytes_per_fingerprint"`
	BytesPer5s     int                           `json:"bytes_per_5s"`
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

// printed is what the fingerprint of one file cost.
type printed struct {
	photo   bool
	bytes   int
	seconds float64 // of the clip
	ms      float64 // of the whole fingerprint
	still   float64 // ms of PDQ in eight forms for one still
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
	e := evaluation{dir: dir, rows: rows, decode: decode, o: o, prints: map[string]printed{}, originals: map[string]reuse.Fingerprint{}}
	if err := e.run(ctx); err != nil {
		return Report{}, err
	}
	r := Report{Suite: dir, Half: o.Half, Seed: o.Seed, Splits: o.Splits, Rows: rows}
	r.Video, r.Photo = summarise(rows, e.prints, o, false), summarise(rows, e.prints, o, true)
	e.history(&r)
	return r, nil
}

// evaluation is a run over one suite.
type evaluation struct {
	dir    string
	rows   []Row
	decode reuse.Decode
	o      Options

	mu        sync.Mutex
	prints    map[string]printed           // what each file cost
	originals map[string]reuse.Fingerprint // as they would be stored: without the motion at its own size
	all       []reuse.Candidate            // the originals, with Options.History
	of        map[string]string            // their families
	whole     []wholeRow
	done      int
}

// run fingerprints the originals and keeps them, then each query, which is forgotten when its pairs are measured.
func (e *evaluation) run(ctx context.Context) error {
	photo := map[string]bool{}
	byQuery := map[string][]*Row{}
	for i := range e.rows {
		r := &e.rows[i]
		photo[r.Original] = r.Photo
		byQuery[r.Query] = append(byQuery[r.Query], r)
	}
	total := len(photo) + len(e.rows)
	each := func(names []string, do func(context.Context, string) (int, error)) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(runtime.NumCPU())
		for _, n := range names {
			group.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				steps, err := do(ctx, n)
				if err != nil {
					return fmt.Errorf("evaluate a reuse suite: %s: %w", n, err)
				}
				e.mu.Lock()
				defer e.mu.Unlock()
				e.done += steps
				if e.o.Progress != nil {
					e.o.Progress(e.done, total)
				}
				return nil
			})
		}
		return group.Wait()
	}
	if err := each(slices.Sorted(maps.Keys(photo)), func(ctx context.Context, n string) (int, error) {
		fp, err := e.print(ctx, n, photo[n])
		if err != nil {
			return 0, err
		}
		raw, err := fp.MarshalBinary()
		if err != nil {
			return 0, err
		}
		var stored reuse.Fingerprint
		if err := stored.UnmarshalBinary(raw); err != nil {
			return 0, err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.originals[n] = stored
		return 1, nil
	}); err != nil {
		return err
	}
	e.gather()
	return each(slices.Sorted(maps.Keys(byQuery)), func(ctx context.Context, n string) (int, error) {
		rows := byQuery[n]
		fp, err := e.print(ctx, n, rows[0].Photo)
		if err != nil {
			return 0, err
		}
		for _, r := range rows {
			o := e.originals[r.Original] // nobody writes any more
			if err := r.measure(ctx, &fp, &o, e.o.Config); err != nil {
				return 0, fmt.Errorf("compare with %s: %w", r.Original, err)
			}
		}
		if err := e.atOnce(ctx, rows[0], &fp); err != nil {
			return 0, err
		}
		return len(rows), nil
	})
}

// print fingerprints one file and notes what it cost.
func (e *evaluation) print(ctx context.Context, name string, photo bool) (reuse.Fingerprint, error) {
	fp, p, err := fingerprint(ctx, filepath.Join(e.dir, filepath.FromSlash(name)), e.decode)
	if err != nil {
		return reuse.Fingerprint{}, err
	}
	p.photo = photo
	e.mu.Lock()
	defer e.mu.Unlock()
	e.prints[name] = p
	return fp, nil
}

// fingerprint decodes and fingerprints one file.
func fingerprint(ctx context.Context, path string, decode reuse.Decode) (reuse.Fingerprint, printed, error) {
	var p printed
	clip, err := decode(ctx, pipeline.File(path))
	if err != nil {
		return reuse.Fingerprint{}, p, fmt.Errorf("decode: %w", err)
	}
	defer clip.Close()
	stop := stopwatch()
	fp, err := reuse.Compute(clip)
	p.ms, p.seconds = stop(), fp.Duration.Seconds()
	if err != nil {
		return reuse.Fingerprint{}, p, err
	}
	raw, err := fp.MarshalBinary()
	if err != nil {
		return reuse.Fingerprint{}, p, err
	}
	p.bytes = len(raw)
	v, err := view(clip)
	if err != nil {
		return reuse.Fingerprint{}, p, err
	}
	stop = stopwatch()
	_, _, err = reuse.PDQVariants(v)
	p.still = stop()
	return fp, p, err
}

// view is the first still of a clip.
func view(c *media.Clip) (models.Image, error) { return media.View(c.Frames[0].Image) }

// stopwatch begins to count the processor time of this goroutine, which keeps its thread until the count is taken, in milliseconds: other
// work of the machine does not count. OpenCV must not use threads of its own (cmd/onsite sees to that).
func stopwatch() (stop func() float64) {
	runtime.LockOSThread()
	began := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	return func() float64 {
		defer runtime.UnlockOSThread()
		return float64((cpuTime(unix.CLOCK_THREAD_CPUTIME_ID) - began).Microseconds()) / 1000
	}
}

// measure compares one pair in every way.
func (r *Row) measure(ctx context.Context, q, o *reuse.Fingerprint, cfg reuse.Config) error {
	stop := stopwatch()
	_, res, err := reuse.Check(ctx, *q, []reuse.Candidate{{Job: r.Original, Fingerprint: *o}}, 0, cfg)
	r.MS = stop()
	if err != nil {
		return err
	}
	m := &res.Matches[0]
	r.Verdict, r.S = m.Verdict, m.S
	r.Scores[Recording], r.Scores[Content] = m.Score, m.Content
	r.Lookup = nearestFrame(q, o)
	r.baselines(q, o)
	return nil
}

// nearestFrame is the least distance, in bits, of what the tenant-wide lookup asks (the stills, as they stand and mirrored) and the frames
// by which the index knows the original.
func nearestFrame(q, o *reuse.Fingerprint) int {
	best := bitsOfHash + 1
	frames := o.Frames()
	for _, a := range q.Asked(false) {
		for i := range a.Forms {
			for k := range frames {
				best = min(best, a.Forms[i].Distance(&frames[k].Hash))
			}
		}
	}
	return best
}

// vpdqBits is the distance at which the vPDQ rule counts a frame as matched.
const vpdqBits = 31

// pdqQuality is the quality below which PDQ's authors discard a hash.
const pdqQuality = 50

// baselines are the plain hashes: no mirrored forms, no borders taken off. PDQ and vPDQ pass over stills without quality, as the reference
// programs do; without any other there the score is 0.
func (r *Row) baselines(q, o *reuse.Fingerprint) {
	near64, near256, matched, asked := 64, 256, 0, 0
	for i := range q.Stills {
		best := 256
		for k := range o.Stills {
			near64 = min(near64, reuse.Bits256{q.Stills[i].PHash64}.Distance(reuse.Bits256{o.Stills[k].PHash64}))
			if min(q.Stills[i].Quality, o.Stills[k].Quality) >= pdqQuality {
				best = min(best, q.Stills[i].PDQ[0].Distance(o.Stills[k].PDQ[0]))
			}
		}
		if q.Stills[i].Quality < pdqQuality {
			continue
		}
		asked++
		near256 = min(near256, best)
		matched += one(best <= vpdqBits)
	}
	r.Scores[PHash64], r.Scores[PDQ] = 1-float64(near64)/64, 1-float64(near256)/256
	r.Scores[VPDQ] = float64(matched) / float64(max(1, asked))
}
