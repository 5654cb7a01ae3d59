package scene

import (
	"math"
	"sort"
)

// seen is the best agreement of one name with the words of a frame.
type seen struct {
	compared
	name  string
	words []Word // one, or the neighbours that make up the name together
	read  string
}

// better orders sights: found, doubtful, neither; then by similarity.
func (s seen) better(than seen) bool {
	a, b := s.rank(), than.rank()
	return a > b || (a == b && s.similarity > than.similarity)
}

func (s seen) rank() int {
	switch {
	case s.found:
		return 2
	case s.doubt:
		return 1
	}
	return 0
}

// bestOf compares a name with every word, and with neighbours that may be parts of one name: beside each other on one line, or on lines
// below each other. Names on signs are often broken.
func bestOf(n signName, words []Word) seen {
	var best seen
	better := func(c compared, of ...Word) {
		if !(seen{compared: c}).better(best) {
			return
		}
		best = seen{compared: c, name: n.raw, words: of}
		for i, w := range of {
			if i > 0 {
				best.read += " "
			}
			best.read += w.Text
		}
	}
	for _, w := range words {
		better(n.in(w.Text, w.Confidence), w)
	}
	if best.found {
		return best
	}
	for _, row := range neighbours(words) {
		text, confidence := "", 1.0
		for _, w := range row {
			text += w.Text + " "
			confidence = math.Min(confidence, w.Confidence)
		}
		better(n.in(text, confidence), row...)
	}
	return best
}

// longestRow bounds how many words are joined: signs space their characters out, so that each is found alone.
const longestRow = 16

// neighbours gives the rows of words that stand beside each other, left to right, and the pairs and triples that stand below each other.
func neighbours(words []Word) [][]Word {
	sorted := append([]Word(nil), words...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].line.cx < sorted[j].line.cx })
	out := rows(sorted)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].line.cy < sorted[j].line.cy })
	for i, a := range sorted {
		for j := i + 1; j < len(sorted); j++ {
			b := sorted[j]
			if !below(a.line, b.line) {
				continue
			}
			out = append(out, []Word{a, b})
			for _, c := range sorted[j+1:] {
				if below(b.line, c.line) {
					out = append(out, []Word{a, b, c})
				}
			}
		}
	}
	return out
}

// rows starts a row at every word and follows it to the right, each time to the nearest word beside the last one.
func rows(sorted []Word) [][]Word {
	var out [][]Word
	for i := range sorted {
		row := []Word{sorted[i]}
		for j := i + 1; j < len(sorted) && len(row) < longestRow; j++ {
			if beside(row[len(row)-1].line, sorted[j].line) {
				row = append(row, sorted[j])
			}
		}
		if len(row) > 1 {
			out = append(out, row)
		}
	}
	return out
}

// along gives b's centre in a's own directions: u along the line, v across it.
func along(a, b line) (u, v float64) {
	c, s := math.Cos(a.angle), math.Sin(a.angle)
	dx, dy := b.cx-a.cx, b.cy-a.cy
	return dx*c + dy*s, -dx*s + dy*c
}

// similarHeight keeps a shop's name and the phone number below it apart.
func similarHeight(a, b line) bool { return a.h < 2*b.h && b.h < 2*a.h }

// beside: on the same line, with a gap of at most two heights.
func beside(a, b line) bool {
	u, v := along(a, b)
	gap := u - (a.w+b.w)/2
	return similarHeight(a, b) && math.Abs(v) < math.Min(a.h, b.h)/2 && gap > -a.h && gap < 2*a.h
}

// below: the next line, overlapping it by half of the shorter one.
func below(a, b line) bool {
	u, v := along(a, b)
	gap := v - (a.h+b.h)/2
	overlap := (a.w+b.w)/2 - math.Abs(u)
	return similarHeight(a, b) && gap > -a.h/2 && gap < 1.2*a.h && overlap > math.Min(a.w, b.w)/2
}
