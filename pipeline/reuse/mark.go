package reuse

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"onsite/pipeline"
)

// Background is a picture that an investigator marked: its content (a company's poster wall, a shop seen by a fixed camera) says nothing
// about reuse.
type Background struct {
	ID   string  // of the mark
	Hash Bits256 // PDQ of the marked still, as it stands
}

// ParseBits256 reads what Bits256.String writes: 64 hex digits.
func ParseBits256(text string) (Bits256, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return Bits256{}, fmt.Errorf("read a 256-bit hash: %d characters that are not 64 hex digits", len(text))
	}
	var b Bits256
	for i := range b {
		b[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return b, nil
}

// sameBackground is the PDQ distance up to which a still is a marked background: the PDQ paper's own limit for "the same picture". A still
// that is farther away shows more than the background, and counts as ever.
const sameBackground = 31

// Background gives the id of the marked background that a still shows in any of its eight forms, "" for none. Of several it is the nearest.
func (c *Config) Background(s *Still) string {
	id, best := "", sameBackground+1
	if s.Quality < minQuality {
		return "" // its hash says nothing, also not this
	}
	for i := range c.Backgrounds {
		for k := range s.PDQ {
			if d := s.PDQ[k].Distance(c.Backgrounds[i].Hash); d < best {
				id, best = c.Backgrounds[i].ID, d
			}
		}
	}
	return id
}

// Marked is a history that knows what investigators marked. Which of its pairs are no copies stands in its candidates (Candidate.Mark).
type Marked interface {
	pipeline.History
	Backgrounds() []Background
	// MarksAsOf is the position in the sequence of marks that both go by: the same position gives the same marks.
	MarksAsOf() int64
}

// Flooded is a history that left earlier footage out because a still of this submission matches too much of it.
type Flooded interface {
	pipeline.History
	// Flooded is how many of this submission's stills match so much that nothing was looked up for them; 0: none.
	Flooded() int
}

// WithMarks adds what a history knows besides its candidates to the settings of a check.
func (c Config) WithMarks(h pipeline.History) Config {
	if m, ok := h.(Marked); ok {
		c.Backgrounds = m.Backgrounds()
	}
	if f, ok := h.(Flooded); ok {
		c.Flooded = f.Flooded()
	}
	return c
}

// unmarked parts a history into what is compared and the pairs that an investigator marked as no copies.
func unmarked(history []Candidate) (open, marked []Candidate) {
	if !slices.ContainsFunc(history, func(c Candidate) bool { return c.Mark != "" }) {
		return history, nil
	}
	for _, c := range history {
		if c.Mark == "" {
			open = append(open, c)
		} else {
			marked = append(marked, c)
		}
	}
	return open, marked
}

// clear adds the marked pairs to the matches, as different and cleared. They are compared like the others, so that the verdict says what
// the mark took back, but take no place from them; what would have been different anyway is not told. At most cfg.Full are compared.
func (res *Result) clear(ctx context.Context, fp *Fingerprint, marked []Candidate, cfg Config) error {
	var q *query
	defer func() {
		if q != nil {
			q.close()
		}
	}()
	for i := range marked[:min(len(marked), cfg.Full)] {
		c := &marked[i]
		m, same := identical(fp, c)
		if !same {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("compare with earlier footage %s: %w", c.Job, err)
			}
			var err error
			if q == nil {
				if q, err = newQuery(fp); err != nil {
					return err
				}
			}
			if m, err = q.full(ctx, c, glanceAt(&q.index, &c.Fingerprint, i), cfg); err != nil {
				return fmt.Errorf("compare with earlier footage %s: %w", c.Job, err)
			}
		}
		if m.Verdict != Different {
			m.clear(c.Mark)
			res.Matches = append(res.Matches, m)
		}
	}
	return nil
}

// clear takes a match back because of a mark.
func (m *Match) clear(mark string) { m.ClearedBy, m.Cleared, m.Verdict = mark, m.Verdict, Different }

// plain looks once more at a match that leaves the question to a person: without the stills that show a marked background, on either
// side. What time says stays: a score of stage B in the band in which nothing is claimed is no likeness of pictures.
func (q *query) plain(ctx context.Context, m Match, c *Candidate, cfg Config) (Match, error) {
	if m.Verdict != CannotTell || len(cfg.Backgrounds) == 0 {
		return m, nil
	}
	ours, mark := q.f.without(cfg)
	theirs, other := c.Fingerprint.without(cfg)
	if mark == "" {
		mark = other
	}
	if mark == "" {
		return m, nil
	}
	without, err := newQuery(&ours)
	if err != nil {
		return Match{}, err
	}
	defer without.close()
	stripped := *c
	stripped.Fingerprint = theirs
	left, err := without.full(ctx, &stripped, glanceAt(&without.index, &theirs, 0), cfg)
	if err != nil {
		return Match{}, err
	}
	timed := m.S > 0 && m.Score >= cfg.CannotTell
	if timed || left.Verdict != Different {
		return m, nil
	}
	m.clear(mark)
	return m, nil
}

// without gives the fingerprint without the stills that show a marked background, and the mark of the first such still; "" when there is
// none. Its motion stays: time is not what a background says nothing about.
func (f *Fingerprint) without(cfg Config) (Fingerprint, string) {
	mark := ""
	place := make([]int, len(f.Stills)) // where a still that stays comes to stand; -1: it goes
	gone := map[int64]bool{}            // by its time, in milliseconds, as points are kept
	n := 0
	for i := range f.Stills {
		id := cfg.Background(&f.Stills[i])
		if id == "" {
			place[i] = n
			n++
			continue
		}
		if mark == "" {
			mark = id
		}
		place[i] = -1
		gone[f.Stills[i].PTS.Milliseconds()] = true
	}
	if mark == "" {
		return *f, ""
	}
	out := *f
	out.Stills, out.Areas = nil, nil
	for i, s := range f.Stills {
		if place[i] >= 0 {
			out.Stills = append(out.Stills, s)
		}
	}
	for _, a := range f.Areas {
		if a.Still = place[a.Still]; a.Still >= 0 {
			out.Areas = append(out.Areas, a)
		}
	}
	if stills, err := decodePoints(f.points); err == nil { // damage is found, and named, where the points are compared
		kept := slices.DeleteFunc(stills, func(p pointStill) bool { return gone[p.pts.Milliseconds()] })
		out.points, out.index = encodePoints(kept), makeIndex(kept)
	}
	return out, mark
}
