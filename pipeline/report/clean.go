package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"onsite/pipeline"
)

// Clean makes text from outside (file names, errors that name them) fit for one line of a terminal: no control characters, no direction
// marks, no line breaks, valid UTF-8.
func Clean(s string) string { return clean(s) }

// clean makes outside text safe to look at: control characters (they drive terminals) and the characters that turn the direction of
// text around (they make "gpj.exe" of "exe.jpg") become visible.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x200E, r == 0x200F, r == 0x061C, r == 0x2028, r == 0x2029:
			return unicode.ReplacementChar
		default:
			return r
		}
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// visibleJSON shows JSON as it is, with the characters that clean replaces written as JSON escapes: the same document, readable.
func visibleJSON(raw []byte) string {
	var sb strings.Builder
	for _, r := range strings.ToValidUTF8(string(raw), string(unicode.ReplacementChar)) {
		if r != '\n' && r != '\t' && r != unicode.ReplacementChar && clean(string(r)) == string(unicode.ReplacementChar) {
			fmt.Fprintf(&sb, "\\u%04x", r)
			continue
		}
		sb.WriteRune(r)
	}
	return sb.String()
}

func cleanText(t pipeline.Text) pipeline.Text {
	return pipeline.Text{EN: clean(t.EN), ZH: clean(t.ZH)}
}

func same(s string) pipeline.Text { return pipeline.Text{EN: s, ZH: s} }

// clock writes a position in a clip as m:ss.t.
func clock(ms int64) string {
	if ms < 0 {
		return "-" + clock(-ms)
	}
	tenths := (ms + 50) / 100
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}

func span(from, to int64) string { return clock(from) + "–" + clock(to) }

// number writes a score: two or three digits after the point below 10, whole numbers otherwise.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a == math.Trunc(a) && a >= 1:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
}

// numbers writes a score and its threshold with as many digits as it takes to tell them apart, four at most.
func numbers(score, threshold float64) (s, t string) {
	s, t = number(score), number(threshold)
	for digits := 3; s == t && score != threshold && digits <= 4; digits++ {
		s, t = strconv.FormatFloat(score, 'f', digits, 64), strconv.FormatFloat(threshold, 'f', digits, 64)
	}
	return s, t
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1e6:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	case n >= 1e3:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 0, 64) + " KB"
	default:
		return strconv.FormatInt(n, 10) + " B"
	}
}

// took writes a duration in milliseconds.
func took(ms float64) string {
	switch {
	case ms >= 10_000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
}

// percent writes part/whole, kept within 0 and 100, for an SVG attribute.
func percent(part, whole float64) string {
	if whole <= 0 || math.IsNaN(part) {
		return "0%"
	}
	return strconv.FormatFloat(min(100, max(0, 100*part/whole)), 'f', 2, 64) + "%"
}

// mediaLine sums up the media in one line without its name.
func mediaLine(m pipeline.MediaInfo) pipeline.Text {
	var en, zh []string
	add := func(e, z string) { en, zh = append(en, e), append(zh, z) }
	if m.Kind == "photo" {
		add("photo", "照片")
	} else {
		add("video "+strconv.FormatFloat(float64(m.DurationMS)/1000, 'f', 1, 64)+" s", "视频 "+strconv.FormatFloat(float64(m.DurationMS)/1000, 'f', 1, 64)+" 秒")
	}
	dims := fmt.Sprintf("%d × %d", m.Width, m.Height)
	add(dims, dims)
	if m.Kind != "photo" && m.FPS > 0 {
		f := strconv.FormatFloat(math.Round(m.FPS*10)/10, 'f', -1, 64)
		add(f+" fps", f+" 帧/秒")
	}
	format := clean(m.Container)
	if m.Codec != "" && m.Codec != m.Container {
		format += "/" + clean(m.Codec)
	}
	if format != "" {
		add(format, format)
	}
	add(size(m.Bytes), size(m.Bytes))
	return pipeline.Text{EN: strings.Join(en, " · "), ZH: strings.Join(zh, " · ")}
}
