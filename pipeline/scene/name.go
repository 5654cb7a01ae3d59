package scene

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// How names are compared with what was read. Chosen on one half of eval/signs, reported on the other; measure_test.go prints both.
const (
	// doubtConfidence is the mean character confidence below which a line may only raise a doubt: mirrored and cut-off text reads so.
	doubtConfidence = 0.5
	// freeLatin and freeHan are the lengths from which a name may stand inside a longer run of letters: recognition loses the spaces
	// between words, but STAR is not in STARBUCKS and 中国 not in every bank's sign.
	freeLatin = 6
	freeHan   = 3
)

// key is the form in which names and readings are compared: compatibility forms unified (NFKC), lower case, without accents, spaces and
// punctuation, traditional characters as simplified ones.
func key(s string) []rune {
	s = norm.NFD.String(strings.ToLower(norm.NFKC.String(s)))
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			out = append(out, r)
		}
	}
	// Recompose what the decomposition took apart but is one letter (Hangul syllables, kana with voicing marks lost theirs above).
	out = []rune(norm.NFC.String(string(out)))
	for i, r := range out {
		if s, ok := simplified[r]; ok {
			out[i] = s
		}
	}
	return out
}

// readable tells whether the text recogniser knows the scripts of a name: Han, Latin and digits. It gives the first letter that it does
// not know, or 0; a name without any letter or digit gives a space.
func readable(s string) rune {
	k := key(s)
	if len(k) == 0 {
		return ' '
	}
	for _, r := range norm.NFKC.String(s) {
		if unicode.IsLetter(r) && !unicode.Is(unicode.Han, r) && !unicode.Is(unicode.Latin, r) {
			return r
		}
	}
	return 0
}

// signName is one name to read.
type signName struct {
	raw        string
	key        []rune
	han        bool
	similarity float64 // Config.SignSimilarity
}

func newSignName(raw string) signName {
	n := signName{raw: raw, key: key(raw)}
	for _, r := range n.key {
		n.han = n.han || unicode.Is(unicode.Han, r)
	}
	return n
}

// edits is how many wrong, missing or extra characters a reading of the name may have. A Chinese character says more than a letter, and
// one other character often makes another name (人民路, 人和路), so short names must be exact.
func (n signName) edits() int {
	if n.similarity > 0 {
		return int(float64(len(n.key))*(1-n.similarity) + 1e-9)
	}
	if n.han {
		return len(n.key) / 4
	}
	return len(n.key) / 5
}

// compared is how a line agrees with a name.
type compared struct {
	similarity float64 // 1: exact; 1 - edits / length
	found      bool
	doubt      bool // nearly: one edit more than allowed, or the line is uncertain itself
}

// in looks for the name in one line of text.
func (n signName) in(line string, confidence float64) compared {
	k := key(line)
	if len(k) == 0 || len(n.key) == 0 {
		return compared{}
	}
	d, from, to := nearest(n.key, k)
	c := compared{similarity: 1 - float64(d)/float64(len(n.key))}
	if c.similarity <= 0 {
		return compared{}
	}
	free := freeLatin
	if n.han {
		free = freeHan
	}
	if len(n.key) < free && (from > 0 || to < len(k)) && !n.isWord(line) {
		return c
	}
	allowed := n.edits()
	switch {
	case d <= allowed && confidence >= doubtConfidence:
		c.found = true
	case d <= allowed, d == allowed+1 && 2*d <= len(n.key) && len(n.key) >= 4:
		c.doubt = true
	}
	return c
}

// isWord tells whether the name stands in the line as words of its own.
func (n signName) isWord(line string) bool {
	if n.han {
		return false
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i := range words {
		joined := ""
		for j := i; j < len(words) && len(joined) < 2*len(n.raw); j++ {
			joined += words[j]
			if string(key(joined)) == string(n.key) {
				return true
			}
		}
	}
	return false
}

// nearest is the smallest edit distance between a and any part b[from:to] of b (Sellers 1980); of several equal parts the first.
func nearest(a, b []rune) (d, from, to int) {
	type cell struct{ d, from int }
	prev, cur := make([]cell, len(b)+1), make([]cell, len(b)+1)
	for j := range prev {
		prev[j] = cell{0, j}
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = cell{i, 0}
		for j := 1; j <= len(b); j++ {
			best := prev[j-1]
			if a[i-1] != b[j-1] {
				best.d++
			}
			if c := prev[j]; c.d+1 < best.d {
				best = cell{c.d + 1, c.from}
			}
			if c := cur[j-1]; c.d+1 < best.d {
				best = cell{c.d + 1, c.from}
			}
			cur[j] = best
		}
		prev, cur = cur, prev
	}
	d = prev[0].d
	for j, c := range prev {
		if c.d < d {
			d, from, to = c.d, c.from, j
		}
	}
	return d, from, to
}
