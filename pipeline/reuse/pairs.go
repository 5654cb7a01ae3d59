package reuse

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"onsite/pipeline"
)

// ContentThreshold is the content score (Match.Content) from which the same content counts as in view.
const ContentThreshold = sameContent

// PairRow is one labelled pair with the check's answer.
type PairRow struct {
	Query     string  `json:"query"`
	Original  string  `json:"original"`
	Label     string  `json:"label"` // same or different
	Transform string  `json:"transform"`
	Score     float64 `json:"score"`   // same recording, 0..1
	Content   float64 `json:"content"` // same content in view, 0..1
	Reused    bool    `json:"reused"`  // the decision: fail
	Outcome   string  `json:"outcome"` // of the check: fail, uncertain, pass

	line int // of the table
}

// TableError says that the table of pairs cannot be used as it is.
type TableError struct{ Err error }

func (e *TableError) Error() string { return "read the pairs: " + e.Err.Error() }
func (e *TableError) Unwrap() error { return e.Err }

// PairError says which file, named in which line of which table, cannot be compared.
type PairError struct {
	Table, File string
	Line        int
	Err         error
}

func (e *PairError) Error() string {
	return fmt.Sprintf("%s, line %d: %s: %v", e.Table, e.Line, e.File, e.Err)
}
func (e *PairError) Unwrap() error { return e.Err }

// Recall is how many of the same pairs were found.
type Recall struct {
	Same   int     `json:"same"`
	Reused float64 `json:"reused"` // share called the same recording
	Asked  float64 `json:"asked"`  // share called that or left to a person
}

// PairsReport is the table of `onsite bench reuse --pairs`.
type PairsReport struct {
	Pairs             []PairRow          `json:"pairs"`
	Recall            *float64           `json:"recall"` // share of same pairs called reused; null without same pairs
	RecallByTransform map[string]float64 `json:"recall_by_transform"`
	FalseMatches      int                `json:"false_matches"` // different pairs called reused
	Asked             *float64           `json:"asked"`         // share of same pairs called reused or left to a person
	FalseAsked        int                `json:"false_asked"`   // different pairs left to a person
	MSPerQuery        float64            `json:"ms_per_query"`  // wall time of one comparison, decoding and fingerprints not counted
	ByTransform       map[string]Recall  `json:"by_transform"`
}

// Pairs runs the check on every pair of a CSV file with a header and the columns query, original, label (same or different), optionally
// transform and others; paths are relative to the file or from the root. Each pair is a history of one. A table that cannot be read gives a
// TableError, a file that cannot be decoded a PairError.
func Pairs(ctx context.Context, csvPath string, decode Decode, cfg Config, progress func(done, total int)) (PairsReport, error) {
	list, err := readPairs(csvPath)
	if err != nil {
		return PairsReport{}, err
	}
	prints := printCache{dir: filepath.Dir(csvPath), decode: decode, have: map[string]Fingerprint{}}
	r := PairsReport{Pairs: list, RecallByTransform: map[string]float64{}, ByTransform: map[string]Recall{}}
	var spent time.Duration
	for i := range list {
		row := &list[i]
		q, err := prints.get(ctx, row.Query)
		if err != nil {
			return PairsReport{}, &PairError{csvPath, row.Query, row.line, err}
		}
		o, err := prints.get(ctx, row.Original)
		if err != nil {
			return PairsReport{}, &PairError{csvPath, row.Original, row.line, err}
		}
		began := time.Now()
		check, res, err := Check(ctx, q, []Candidate{{Job: row.Original, Fingerprint: o}}, 0, cfg)
		if err != nil {
			return PairsReport{}, &PairError{csvPath, row.Query, row.line, err}
		}
		spent += time.Since(began)
		row.Score, row.Content = res.Matches[0].Score, res.Matches[0].Content
		row.Reused, row.Outcome = check.Outcome == pipeline.Fail, string(check.Outcome)
		if progress != nil {
			progress(i+1, len(list))
		}
	}
	r.summarise()
	r.MSPerQuery = float64(spent.Microseconds()) / 1000 / float64(max(1, len(list)))
	return r, nil
}

// summarise counts.
func (r *PairsReport) summarise() {
	var all Recall
	for _, p := range r.Pairs {
		asked := p.Reused || p.Outcome == string(pipeline.Uncertain)
		if p.Label == "different" {
			r.FalseMatches += count(p.Reused)
			r.FalseAsked += count(asked && !p.Reused)
			continue
		}
		t := r.ByTransform[p.Transform]
		for _, x := range []*Recall{&t, &all} {
			x.Same++
			x.Reused += float64(count(p.Reused))
			x.Asked += float64(count(asked))
		}
		r.ByTransform[p.Transform] = t
	}
	for k, t := range r.ByTransform {
		t.Reused, t.Asked = t.Reused/float64(t.Same), t.Asked/float64(t.Same)
		r.ByTransform[k] = t
		r.RecallByTransform[k] = t.Reused
	}
	if all.Same > 0 {
		recall, asked := all.Reused/float64(all.Same), all.Asked/float64(all.Same)
		r.Recall, r.Asked = &recall, &asked
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// printCache keeps fingerprints, because originals occur often.
type printCache struct {
	dir    string
	decode Decode
	have   map[string]Fingerprint
}

func (c *printCache) get(ctx context.Context, name string) (Fingerprint, error) {
	if f, ok := c.have[name]; ok {
		return f, nil
	}
	clip, err := c.decode(ctx, pipeline.File(pipeline.Named(c.dir, name)))
	if err != nil {
		return Fingerprint{}, fmt.Errorf("decode: %w", err)
	}
	defer clip.Close()
	f, err := Compute(clip)
	if err != nil {
		return Fingerprint{}, err
	}
	c.have[name] = f
	return f, nil
}

// readPairs reads the CSV file.
func readPairs(path string) ([]PairRow, error) {
	rows, err := pipeline.ReadTable(path, "query", "original", "label")
	if err != nil {
		return nil, &TableError{err}
	}
	out := make([]PairRow, 0, len(rows))
	for _, r := range rows {
		p := PairRow{Query: r.Get("query"), Original: r.Get("original"), Label: r.Get("label"), Transform: r.Get("transform"), line: r.Line}
		if p.Query == "" || p.Original == "" || p.Label != "same" && p.Label != "different" {
			return nil, &TableError{fmt.Errorf("line %d: want a query, an original and the label same or different, got %q, %q, %q", r.Line, p.Query, p.Original, p.Label)}
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, &TableError{errors.New("no pairs in it")}
	}
	return out, nil
}
