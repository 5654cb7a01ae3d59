package copies

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"onsite/pipeline"
	"onsite/pipeline/bench/attack"
	"onsite/pipeline/reuse"
	"onsite/pipeline/reuse/index"
)

// Measure is one way of telling how alike two files are; more is more alike.
type Measure int

// The measures. The last three are the baselines: what public tools do.
const (
	Recording Measure = iota // the check's same-recording score (stage B)
	Content                  // the check's same-content score (stage A)
	PHash64                  // nearest pair of stills, 64-bit perceptual hash
	PDQ                      // nearest pair of stills, PDQ as it stands
	VPDQ                     // share of the query's stills with a still of the original within 31 bits of PDQ
	measures
)

// String is the measure's name in tables.
func (m Measure) String() string {
	return [...]string{"same_recording", "same_content", "phash64", "pdq", "vpdq"}[m]
}

// Row is one pair of the suite with what was measured.
type Row struct {
	Query, Original     string
	Same                bool
	Transform, Severity string // of a different pair: the relation, and the tag of what was done to the query
	Family, Other       string // of the query, of the original
	Photo               bool

	Scores  [measures]float64
	Verdict reuse.Verdict
	S       float64 // of stage B, before it is brought into 0..1
	MS      float64 // processor time of the comparison
	Lookup  int     // least distance in bits of the frames by which the tenant-wide lookup asks; 257: none can be asked about
}

// tag is the transform with its severity.
func (r *Row) tag() string {
	if r.Same {
		return r.Transform + r.Severity
	}
	return r.Transform
}

// lookup says whether the tenant-wide lookup would find the original.
func (r *Row) lookup() bool { return r.Lookup <= index.MaxRadius }

// hard says whether the pair is honest footage that looks like a copy.
func (r *Row) hard() bool { return !r.Same && attack.Hard(r.Transform) }

// load reads the suite's table.
func load(dir string) ([]Row, error) {
	path := filepath.Join(dir, attack.Table)
	table, err := pipeline.ReadTable(path, attack.Columns[:len(attack.Columns)-1]...) // OriginalFamily came later
	if err != nil {
		return nil, fmt.Errorf("read the suite (make one with `onsite bench reuse --make DIR --clips FOLDER`): %w", err)
	}
	rows := make([]Row, 0, len(table))
	of := map[string]string{} // original to family, where another row tells it
	for _, t := range table {
		r := Row{Query: t.Get("query"), Original: t.Get("original"), Same: t.Get("label") == "same", Transform: t.Get("transform"), Severity: t.Get("severity"), Family: t.Get("family"), Other: t.Get(attack.OriginalFamily), Photo: t.Get("kind") == "photo"}
		known := t.Get("label") == "same" || t.Get("label") == "different" && slices.Contains(attack.Relations, r.Transform)
		if r.Query == "" || r.Original == "" || r.Family == "" || !known {
			return nil, fmt.Errorf("read the suite: %s, line %d: want query, original, family, and the label same, or different one of %s as transform", path, t.Line, strings.Join(attack.Relations, ", "))
		}
		if r.Same || r.hard() { // a look-alike hangs together with what it is like
			of[r.Original] = r.Family
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("read the suite: %s has no pairs", path)
	}
	for i := range rows {
		r := &rows[i]
		if r.Other == "" {
			r.Other = of[r.Original]
		}
		if r.Other == "" {
			return nil, fmt.Errorf("read the suite: %s, line %d: nothing says which family %s is of; add the column %s", path, table[i].Line, r.Original, attack.OriginalFamily)
		}
	}
	return rows, nil
}

// halves splits the families in two: those with look-alikes and those without apart, so that both halves have some of each.
func halves(rows []Row, seed uint64, split int) map[string]bool {
	lookalikes := map[string]bool{}
	for i := range rows {
		lookalikes[rows[i].Family] = lookalikes[rows[i].Family] || rows[i].hard()
	}
	var groups [2][]string
	for f, yes := range lookalikes {
		k := 0
		if yes {
			k = 1
		}
		groups[k] = append(groups[k], f)
	}
	r := rand.New(rand.NewPCG(seed, uint64(split)+1)) //nolint:gosec // G404: reproducible choices, no secret
	first := map[string]bool{}
	at := r.IntN(2) // which half gets the odd one
	for _, g := range groups {
		sort.Strings(g)
		r.Shuffle(len(g), func(a, b int) { g[a], g[b] = g[b], g[a] })
		for _, f := range g {
			first[f] = at%2 == 0
			at++
		}
	}
	return first
}

// within keeps the pairs that lie wholly in one half; those that cross are in neither.
func within(rows []*Row, half map[string]bool, first bool) []*Row {
	var out []*Row
	for _, r := range rows {
		if half[r.Family] == first && half[r.Other] == first {
			out = append(out, r)
		}
	}
	return out
}
