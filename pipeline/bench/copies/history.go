package copies

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"onsite/pipeline/bench/attack"
	"onsite/pipeline/reuse"
)

// History is what comparing every attack with all originals at once gives: a first look at each of them, and the full comparison with the
// few that look most alike, as the product does. That is how very many pairs of other scenes can be measured.
type History struct {
	Originals int   `json:"originals"`
	Families  int   `json:"families"` // of the originals
	Chosen    Share `json:"chosen"`   // attacks whose original is among those compared in full
	Reused    Share `json:"reused"`   // attacks whose original is called the same recording
	Asked     Share `json:"asked"`    // ... or left to a person

	// Pairs of an attack and an original of another family. Attacks that show a second clip (attack.Mixes) are left out.
	Pairs       int `json:"other_scene_pairs"`
	Full        int `json:"other_scene_full"`         // of them compared in full
	SameContent int `json:"other_scene_same_content"` // of these, at or above the content threshold
	CannotTell  int `json:"other_scene_cannot_tell"`
	WrongReused int `json:"other_scene_reused"`

	Wrong []string `json:"other_scene_named"` // up to 20 pairs with the same content, cannot tell or reused
}

// namedMost bounds History.Wrong.
const namedMost = 20

// wholeRow is one attack against all originals.
type wholeRow struct {
	row  *Row // of its own original
	seen map[string]*reuse.Match
}

// gather makes one history of all originals.
func (e *evaluation) gather() {
	if !e.o.History {
		return
	}
	e.of = map[string]string{}
	for i := range e.rows {
		e.of[e.rows[i].Original] = e.rows[i].Other
	}
	for _, n := range slices.Sorted(maps.Keys(e.originals)) {
		e.all = append(e.all, reuse.Candidate{Job: n, Fingerprint: e.originals[n]})
	}
}

// atOnce compares one attack with all originals; first is any of its pairs.
func (e *evaluation) atOnce(ctx context.Context, first *Row, fp *reuse.Fingerprint) error {
	if len(e.all) == 0 {
		return nil
	}
	own := first
	for i := range e.rows {
		if r := &e.rows[i]; r.Query == first.Query && r.Same {
			own = r
		}
	}
	_, res, err := reuse.Check(ctx, *fp, e.all, 0, e.o.Config)
	if err != nil {
		return fmt.Errorf("compare with all originals: %w", err)
	}
	w := wholeRow{own, map[string]*reuse.Match{}}
	for i := range res.Matches {
		w.seen[res.Matches[i].Job] = &res.Matches[i]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.whole = append(e.whole, w)
	return nil
}

// history fills the report.
func (e *evaluation) history(r *Report) {
	if len(e.all) == 0 {
		return
	}
	families := map[string]bool{}
	for _, f := range e.of {
		families[f] = true
	}
	slices.SortFunc(e.whole, func(a, b wholeRow) int { return cmp.Compare(a.row.Query, b.row.Query) })
	for _, p := range []*Part{r.Video, r.Photo} {
		if p == nil {
			continue
		}
		h := History{Originals: len(e.all), Families: len(families), Wrong: []string{}}
		var own []*Row
		at := map[*Row]*reuse.Match{}
		for _, w := range e.whole {
			if w.row.Photo != (p == r.Photo) {
				continue
			}
			if w.row.Same {
				own = append(own, w.row)
				at[w.row] = w.seen[w.row.Original]
			}
			if !attack.Mixes(w.row.Transform) {
				h.others(&w, e.of)
			}
		}
		seed := e.o.Seed
		h.Chosen = count(own, seed, func(r *Row) bool { return at[r] != nil })
		h.Reused = count(own, seed, func(r *Row) bool { return at[r] != nil && at[r].Verdict == reuse.Same })
		h.Asked = count(own, seed, func(r *Row) bool { return at[r] != nil && at[r].Verdict != reuse.Different })
		p.History = &h
	}
}

// others counts the pairs of one attack with originals of other families.
func (h *History) others(w *wholeRow, of map[string]string) {
	for _, n := range slices.Sorted(maps.Keys(of)) {
		if of[n] == w.row.Family {
			continue
		}
		h.Pairs++
		m := w.seen[n]
		if m == nil {
			continue
		}
		h.Full++
		alike := m.Content >= reuse.ContentThreshold
		h.SameContent += one(alike)
		h.CannotTell += one(m.Verdict == reuse.CannotTell)
		h.WrongReused += one(m.Verdict == reuse.Same)
		if (alike || m.Verdict != reuse.Different) && len(h.Wrong) < namedMost {
			h.Wrong = append(h.Wrong, fmt.Sprintf("%s %s: content %.2f (%d bits, %d points), %s", w.row.Query, n, m.Content, m.Distance, m.Inliers, m.Verdict))
		}
	}
}
