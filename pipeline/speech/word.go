package speech

import (
	"slices"
	"strings"
	"unicode"

	"github.com/mozillazg/go-pinyin"
	"golang.org/x/text/unicode/norm"
)

// Bounds of what is compared; what lies beyond is left out.
const (
	maxHeard  = 4000 // runes of a transcript
	maxPhrase = 60   // units of a wanted phrase
)

// unit is what a transcript and a phrase are compared by: a Chinese character by how it may be read, a word of letters, a digit.
type unit struct {
	text     string   // a word in lower case, a digit, or the character
	readings []string // of a Chinese character: pinyin without tones
}

var heteronym = pinyin.Args{Style: pinyin.Normal, Heteronym: true, Separator: "-", Fallback: func(rune, pinyin.Args) []string { return nil }}

// units splits a text. Punctuation and spaces separate words and are left out; full-width letters and digits become plain ones.
func units(text string) []unit {
	var out []unit
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			out = append(out, unit{text: word.String()})
			word.Reset()
		}
	}
	n := 0
	for _, r := range norm.NFKC.String(text) {
		if n++; n > maxHeard {
			break
		}
		switch {
		case unicode.Is(unicode.Han, r) || r == '〇':
			flush()
			out = append(out, unit{text: string(r), readings: pinyin.SinglePinyin(r, heteronym)})
		case unicode.IsDigit(r):
			flush()
			out = append(out, unit{text: string(r)})
		case unicode.IsLetter(r):
			word.WriteRune(unicode.ToLower(r))
		case r == '\'' || r == '’': // don't is one word
		default:
			flush()
		}
	}
	flush()
	return out
}

// digitSounds is how digits are said: pinyin without tones, and what radio and telephone speech says instead.
var digitSounds = map[string]string{
	"ling": "0", "yi": "1", "yao": "1", "er": "2", "liang": "2", "san": "3", "si": "4", "wu": "5", "liu": "6", "qi": "7", "ba": "8", "jiu": "9",
}

// digitCharacters are those whose sound says something else, or is said by another character's reading.
var digitCharacters = map[string]string{"〇": "0", "零": "0", "洞": "0", "幺": "1", "两": "2", "俩": "2", "拐": "7", "勾": "9"}

// digitWords are English words, with what a transcriber writes for the same sound.
var digitWords = map[string]string{
	"zero": "0", "oh": "0", "o": "0", "one": "1", "won": "1", "two": "2", "to": "2", "too": "2", "three": "3", "four": "4", "for": "4", "fore": "4",
	"five": "5", "six": "6", "seven": "7", "eight": "8", "ate": "8", "nine": "9", "niner": "9",
	"ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16", "seventeen": "17",
	"eighteen": "18", "nineteen": "19",
}

var tens = map[string]string{"twenty": "2", "thirty": "3", "forty": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8", "ninety": "9"}

// spoken gives the digits that one unit says; "" where it says none.
func spoken(u unit) string {
	if len(u.text) == 1 && u.text[0] >= '0' && u.text[0] <= '9' {
		return u.text
	}
	if d, ok := digitCharacters[u.text]; ok {
		return d
	}
	for _, r := range u.readings {
		if d, ok := digitSounds[r]; ok {
			return d
		}
	}
	if d, ok := digitWords[u.text]; ok {
		return d
	}
	return digitSounds[u.text]
}

// Digits gives all digits that a transcript says, in their order: "4271", "四二七幺", "si er qi yi", "four two seven one", "forty-two,
// seventy-one" are all 4271. Chinese characters count by their sound, so that a transcriber that writes another character of the same sound
// is understood. Other words are left out.
func Digits(heard string) string {
	all := units(heard)
	var out strings.Builder
	repeat := 1
	for i, u := range all {
		say := spoken(u)
		next := ""
		if i+1 < len(all) {
			next = spoken(all[i+1])
		}
		switch {
		case u.text == "double" || u.text == "triple":
			repeat = map[string]int{"double": 2, "triple": 3}[u.text]
			continue
		case tens[u.text] != "":
			say = tens[u.text]
			if len(next) != 1 || next == "0" {
				say += "0" // twenty by itself
			}
		case u.text == "十": // 四十二 is 42, 四十 is 40, 十二 is 12
			before := i > 0 && spoken(all[i-1]) != ""
			say = ""
			if !before {
				say = "1"
			}
			if next == "" {
				say += "0"
			}
		}
		if say != "" {
			out.WriteString(strings.Repeat(say, repeat))
			repeat = 1
		}
	}
	return out.String()
}

// Said is how sure it is that something was said.
type Said int

// The answers.
const (
	NotSaid Said = iota
	Nearly       // so much alike that a transcriber's mistake may be all that is between them
	Clearly
)

// SaidDigits looks for digits, in their order and with none between, among those that a transcript says. With one digit wrong, missing or
// too many they are nearly said.
func SaidDigits(heard, wanted string) Said {
	got := Digits(heard)
	switch {
	case wanted == "":
		return Clearly
	case strings.Contains(got, wanted):
		return Clearly
	}
	a, b := make([]unit, 0, len(wanted)), make([]unit, 0, len(got))
	for _, r := range wanted {
		a = append(a, unit{text: string(r)})
	}
	for _, r := range got {
		b = append(b, unit{text: string(r)})
	}
	if within(a, b) <= 1 && len(wanted) > 1 {
		return Nearly
	}
	return NotSaid
}

// The shares of a phrase's units that must be heard, by sound and in their order. A phrase of up to two units must be there whole, and is
// never nearly said by half of it: too many other words sound like a part of it.
const (
	shareClearly = 0.8
	shareNearly  = 0.6
	shortPhrase  = 2
)

// SaidPhrase looks for a phrase anywhere in a transcript and gives the share (0..1) of it that was heard.
func SaidPhrase(heard, phrase string) (Said, float64) {
	want := units(phrase)
	if len(want) > maxPhrase {
		want = want[:maxPhrase]
	}
	if len(want) == 0 {
		return Clearly, 1 // nothing is wanted
	}
	share := max(0, 1-within(want, units(heard))/float64(len(want)))
	switch {
	case share >= 1, len(want) > shortPhrase && share >= shareClearly:
		return Clearly, share
	case len(want) > shortPhrase && share >= shareNearly, share >= 0.75:
		return Nearly, share
	}
	return NotSaid, share
}

// within is the least cost of turning a into any part of b (Sellers 1980: approximate matching within a longer text).
func within(a, b []unit) float64 {
	row := make([]float64, len(b)+1) // nothing of a matched yet: it may begin anywhere
	for i := range a {
		before := row[0]
		row[0] = float64(i + 1)
		for j := range b {
			was := row[j+1]
			row[j+1] = min(before+differ(a[i], b[j]), was+1, row[j]+1)
			before = was
		}
	}
	return slices.Min(row)
}

// halfway is the cost of two units that sound alike without being the same.
const halfway = 0.5

// differ is 0 for units that sound the same, 1 for those that do not, and in between for those that are often mistaken for one another.
func differ(a, b unit) float64 {
	if a.text == b.text {
		return 0
	}
	if da := spoken(a); da != "" && da == spoken(b) {
		return 0
	}
	best := 1.0
	for _, x := range a.readings {
		for _, y := range b.readings {
			switch {
			case x == y:
				return 0
			case blurred(x) == blurred(y):
				best = halfway
			}
		}
	}
	if len(a.readings) == 0 && len(b.readings) == 0 && best > halfway && alike(a.text, b.text) {
		best = halfway
	}
	return best
}

// blurred takes from a syllable what many speakers and transcribers do not tell apart: zh and z, ch and c, sh and s, n and l at the
// beginning, ng and n at the end.
func blurred(s string) string {
	for _, p := range [][2]string{{"zh", "z"}, {"ch", "c"}, {"sh", "s"}, {"n", "l"}} {
		if rest, ok := strings.CutPrefix(s, p[0]); ok {
			s = p[1] + rest
			break
		}
	}
	if rest, ok := strings.CutSuffix(s, "ng"); ok {
		s = rest + "n"
	}
	return s
}

// alike says that two words differ in at most a quarter of their letters, and by one at least: work and works, organise and organize.
func alike(a, b string) bool {
	x, y := []rune(a), []rune(b)
	if len(x) < 4 || len(y) < 4 || len(x) > 40 || len(y) > 40 {
		return false
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		before := row[0]
		row[0] = i + 1
		for j := range y {
			was, cost := row[j+1], 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(before+cost, was+1, row[j]+1)
			before = was
		}
	}
	return 4*row[len(y)] <= max(len(x), len(y))
}
