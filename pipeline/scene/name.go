package scene

import (
	"slices"
	"strings"
	"unicode"

	"github.com/mozillazg/go-pinyin"
	"golang.org/x/text/unicode/norm"
)

// How names are compared with what was read. Chosen on one half of eval/signs, reported on the other; measure_test.go prints both.
const (
	// doubtConfidence is the mean character confidence below which a line may only raise a doubt: mirrored and cut-off text reads so.
	doubtConfidence = 0.5
	// freeLatin and freeHan are the lengths from which a name may stand inside a longer run of letters: recognition loses the spaces
	// between words, but STAR is not in STARBUCKS and 中国 not in every bank's sign.
	freeLatin  = 6
	freeHan    = 3
	freePinyin = 10 // renminlu is in renminludong, another street
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
	raw        string // as the site has it
	key        []rune
	han        bool
	pinyin     bool    // the key is how a Chinese name sounds, in Latin letters
	similarity float64 // Config.SignSimilarity
}

func newSignName(raw string) signName {
	n := signName{raw: raw, key: key(raw)}
	for _, r := range n.key {
		n.han = n.han || unicode.Is(unicode.Han, r)
	}
	return n
}

// namesOf gives the names to look for: those of the site, and the pinyin of Chinese ones, which often stands below them.
func namesOf(raw []string) []signName {
	var out []signName
	for _, r := range raw {
		out = append(out, newSignName(r))
	}
	for _, r := range raw {
		for _, k := range pinyinOf(r) {
			if !slices.ContainsFunc(out, func(n signName) bool { return string(n.key) == k }) {
				out = append(out, signName{raw: r, key: []rune(k), pinyin: true})
			}
		}
	}
	return out
}

// pinyinOf writes a Chinese name as it sounds, without tones; a character with several sounds gives several. Short ones are left out: with
// four letters or five, too many names sound alike.
func pinyinOf(name string) []string {
	const shortest, most = 6, 4
	k := key(name)
	args := pinyin.NewArgs()
	args.Heteronym = true
	args.Fallback = func(r rune, _ pinyin.Args) []string { return []string{string(r)} }
	out := []string{""}
	for _, r := range k {
		var sounds []string
		for _, s := range pinyin.SinglePinyin(r, args) {
			if s = string(key(s)); s != "" && !slices.Contains(sounds, s) {
				sounds = append(sounds, s)
			}
		}
		if len(sounds) == 0 {
			return nil
		}
		var longer []string
		for _, o := range out {
			for _, s := range sounds {
				if len(longer) < most {
					longer = append(longer, o+s)
				}
			}
		}
		out = longer
	}
	if !slices.ContainsFunc(k, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return nil
	}
	return slices.DeleteFunc(out, func(s string) bool { return len(s) < shortest })
}

// edits is how many wrong, missing or extra characters a reading of the name may have. A Chinese character says more than a letter, and
// one other character often makes another name (人民路, 人和路), so short names must be exact.
func (n signName) edits() int {
	switch {
	case n.similarity > 0:
		return int(float64(len(n.key))*(1-n.similarity) + 1e-9)
	case n.han:
		return len(n.key) / 4
	case n.pinyin:
		return 0 // shaola, roast meat, and shaokao, barbecue, are one letter apart
	}
	return len(n.key) / 5
}

// budget is edits in the unit of nearest; a character that is easily taken for another is half an edit, and from the length on at which
// that leaves three sure ones, one of these is free.
func (n signName) budget() int {
	b := edit * n.edits()
	if n.similarity == 0 && !n.pinyin && b == 0 && len(n.key) >= 4 {
		b = confusion
	}
	return b
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
	c := compared{similarity: 1 - float64(d)/float64(edit*len(n.key))}
	if c.similarity <= 0 {
		return compared{}
	}
	free := freeLatin
	switch {
	case n.han:
		free = freeHan
	case n.pinyin:
		free = freePinyin
	}
	if len(n.key) < free && (from > 0 || to < len(k)) && !n.isWord(line) {
		return c
	}
	allowed := n.budget()
	switch {
	case d <= allowed && confidence >= doubtConfidence:
		c.found = true
	case d <= allowed, d <= allowed+edit && 2*d <= edit*len(n.key) && len(n.key) >= 4 && !n.pinyin:
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

// The unit of nearest: a character that readers take for another one counts half.
const (
	edit      = 2
	confusion = 1
)

// nearest is the smallest edit distance between a and any part b[from:to] of b (Sellers 1980), in units of half an edit; of several equal
// parts the first.
func nearest(a, b []rune) (d, from, to int) {
	type cell struct{ d, from int }
	prev, cur := make([]cell, len(b)+1), make([]cell, len(b)+1)
	for j := range prev {
		prev[j] = cell{0, j}
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = cell{i * edit, 0}
		for j := 1; j <= len(b); j++ {
			best := prev[j-1]
			if a[i-1] != b[j-1] {
				best.d += edit
				if alike(a[i-1], b[j-1]) {
					best.d += confusion - edit
				}
			}
			if c := prev[j]; c.d+edit < best.d {
				best = cell{c.d + edit, c.from}
			}
			if c := cur[j-1]; c.d+edit < best.d {
				best = cell{c.d + edit, c.from}
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
