package challenge

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"onsite/pipeline"
)

const (
	codeWrong = 1 // characters that may be misread: six of 21 leave chance no room
	codeNear  = 2 // ... of what a person should look at
	// otherFrames is in how many frames the same other code must stand before it is one that was shown instead of the right one. In fewer it may
	// be a misreading or something that came into view, such as the tag of a device.
	otherFrames = 3
)

// shown judges a code that was to be shown, and says how the camera stores the picture in which it was read.
func shown(t *TaskResult, s Seen) Camera {
	if s.NoText != "" {
		t.Outcome, t.Why = pipeline.NotChecked, s.NoText
		return Unsaid
	}
	best := codeLength + 1
	var found *Reading
	others := map[string]map[int]bool{} // the frames that show another code
	for i := range s.Texts {
		r := &s.Texts[i]
		plain := codeForm(r.Text)
		if d := apart(t.Wanted, plain); d < best {
			best, found = d, r
		}
		if len(plain) == codeLength && mixed(r.Text) {
			if others[plain] == nil {
				others[plain] = map[int]bool{}
			}
			others[plain][r.Keyframe] = true
		}
	}
	t.Outcome, t.Why = pipeline.Uncertain, "nothing_read"
	switch {
	case best <= codeWrong:
		t.Outcome, t.Why = pipeline.Pass, ""
	case best <= codeNear:
		t.Why = "near_code"
	case len(others) > 0:
		t.Why = "other_code"
		for _, frames := range others {
			if len(frames) >= otherFrames {
				t.Outcome = pipeline.Fail
			}
		}
		return Unsaid
	}
	if best > codeNear {
		return Unsaid
	}
	at := found.At.Milliseconds()
	t.FromMS, t.ToMS, t.Read, t.Keyframe, t.outline = &at, &at, found.Text, &found.Keyframe, found.Outline
	if found.Mirrored {
		return Mirrored
	}
	return Plain
}

// Shows says that a code can be read: nothing more can be learned from further pictures.
func Shows(code string, texts []Reading) bool {
	for _, r := range texts {
		if apart(code, codeForm(r.Text)) <= codeWrong {
			return true
		}
	}
	return false
}

// looks are characters that a text reader takes for one of the code's letters.
var looks = strings.NewReplacer("А", "A", "С", "C", "Е", "E", "Н", "H", "К", "K", "М", "M", "Р", "P", "Т", "T", "Х", "X", "×", "X", "Ⅴ", "V")

// codeForm is a line as codes are compared: capital letters and digits alone.
func codeForm(text string) string {
	var out strings.Builder
	for _, r := range norm.NFKC.String(text) {
		if r = unicode.ToUpper(r); unicode.IsLetter(r) || unicode.IsDigit(r) || r == '×' {
			out.WriteRune(r)
		}
	}
	return looks.Replace(out.String())
}

// mixed says that a line has the form of a code: letters and digits, nothing else.
func mixed(text string) bool {
	letter, digit := false, false
	for _, r := range strings.TrimSpace(text) {
		switch {
		case strings.ContainsRune(codeLetters, r) && r >= 'A':
			letter = true
		case strings.ContainsRune(codeLetters, r):
			digit = true
		default:
			return false
		}
	}
	return letter && digit
}

// apart is how many characters of the code are wrong, missing or too many in the part of a line that fits best.
func apart(code, line string) int {
	a, b := []rune(code), []rune(line)
	if len(b) > 200 {
		b = b[:200]
	}
	row := make([]int, len(b)+1)
	for i := range a {
		before := row[0]
		row[0] = i + 1
		for j := range b {
			was, cost := row[j+1], 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(before+cost, was+1, row[j]+1)
			before = was
		}
	}
	best := len(a)
	for _, v := range row {
		best = min(best, v)
	}
	return best
}
