package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/rivo/uniseg"

	"onsite/pipeline"
	"onsite/pipeline/policy"
)

// Widths of the table in columns of the terminal.
const (
	minWidth     = 60 // a row of checks with its score takes about 50
	maxWidth     = 120
	defaultWidth = 80
)

// Table writes a verdict as text for a terminal: decision, reasons, checks with scores against thresholds, times. lang is English or
// Chinese, width the terminal's columns (0: 80; kept within 60 and 120), colour adds ANSI colours. Chinese characters count as two columns; nothing from outside
// can move the cursor. Name is the media's file name, for the first line; it may be empty.
func Table(w io.Writer, v pipeline.Verdict, name, lang string, width int, colour bool) error {
	if width <= 0 {
		width = defaultWidth
	}
	t := &table{out: bufio.NewWriter(w), zh: lang == Chinese, width: min(max(width, minWidth), maxWidth), colour: colour}
	t.head(v, name)
	t.reasons(v)
	t.checks(v)
	t.foot(v)
	if err := t.out.Flush(); err != nil {
		return fmt.Errorf("write the table of job %s: %w", v.Job, err)
	}
	return nil
}

type table struct {
	out    *bufio.Writer
	zh     bool
	width  int
	colour bool
}

// Colours of ANSI terminals: readable on dark and on light ones.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
	bold   = "1"
)

func (t *table) say(x pipeline.Text) string {
	if t.zh {
		return clean(x.ZH)
	}
	return clean(x.EN)
}

func (t *table) paint(s string, codes ...string) string {
	if !t.colour || s == "" {
		return s
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + s + "\x1b[0m"
}

func (t *table) line(s string) { _, _ = t.out.WriteString(strings.TrimRight(s, " ") + "\n") }

func (t *table) head(v pipeline.Verdict, name string) {
	word, tint := t.say(policy.DecisionTitle(v.Decision)), map[pipeline.Decision]string{
		pipeline.DecisionPass: green, pipeline.DecisionAbnormal: red, pipeline.DecisionReview: yellow,
	}[v.Decision]
	if tint == "" {
		tint = bold
	}
	sign := map[pipeline.Decision]string{pipeline.DecisionPass: "✓", pipeline.DecisionAbnormal: "✗", pipeline.DecisionReview: "?"}[v.Decision]
	if sign == "" {
		sign = "-"
	}
	if !t.zh {
		word = strings.ToUpper(word)
	}
	t.line(t.paint(sign+" "+word, bold, tint))
	t.wrap("  ", t.say(policy.DecisionMeaning(v.Decision)), "")
	if name = clean(name); name != "" {
		t.wrap("  ", name+" · "+t.say(mediaLine(v.Media)), dim)
	} else {
		t.wrap("  ", t.say(mediaLine(v.Media)), dim)
	}
}

// noBreak keeps the parts of a line's item together while wrapping; it is written as a plain space.
const noBreak = "\u00a0"

func (t *table) title(key string) {
	t.line("")
	t.line(t.paint(t.say(word(key)), bold))
}

func (t *table) reasons(v pipeline.Verdict) {
	if len(v.Reasons) == 0 {
		return
	}
	t.title("reasons")
	for _, r := range v.Reasons {
		t.wrap("  • ", t.say(r.Text), "")
		where := t.evidence(r, v.Media)
		t.wrap("    ", clean(string(r.Code))+where, dim)
	}
}

// evidence says in short where to look.
func (t *table) evidence(r pipeline.Reason, m pipeline.MediaInfo) string {
	var parts []string
	var frames []string
	for _, e := range r.Evidence {
		if line, ok := evidenceLine(e); ok {
			parts = append(parts, t.say(line))
		} else if e.Keyframe != nil && m.Kind != "photo" {
			for _, k := range m.Keyframes {
				if at := clock(k.PTSMS); k.Index == *e.Keyframe && !slices.Contains(frames, at) {
					frames = append(frames, at)
				}
			}
		}
	}
	const most = 3
	if n := len(parts); n > most {
		parts = append(parts[:most], "...")
	}
	if len(frames) > 0 {
		dots := ""
		if len(frames) > most {
			frames, dots = frames[:most], " ..."
		}
		parts = append(parts, strings.Join(frames, " ")+dots)
	}
	if len(parts) == 0 {
		return ""
	}
	return " · " + strings.Join(parts, " · ")
}

var signs = map[pipeline.Outcome]string{pipeline.Pass: "✓", pipeline.Fail: "✗", pipeline.Uncertain: "?", pipeline.NotChecked: "-", pipeline.Error: "!"}

func (t *table) checks(v pipeline.Verdict) {
	t.title("checks")
	var titles, outcomes, scores []string
	var names []pipeline.CheckName
	var unasked []string
	for _, name := range pipeline.CheckNames {
		c, ok := v.Checks[name]
		if !ok {
			continue
		}
		if c.Outcome == pipeline.NotChecked && c.Why == policy.WhyNotWanted {
			unasked = append(unasked, t.say(policy.CheckTitle(name)))
			continue
		}
		names = append(names, name)
		titles = append(titles, t.say(policy.CheckTitle(name)))
		outcomes = append(outcomes, t.say(policy.OutcomeTitle(c.Outcome)))
		scores = append(scores, t.score(name, c))
	}
	wTitle, wOutcome, wScore := widest(titles), widest(outcomes), widest(scores)
	for i, name := range names {
		c := v.Checks[name]
		sign, tint := signs[c.Outcome], tintOf(c.Outcome)
		if sign == "" {
			sign = "!"
		}
		left := "  " + t.paint(sign, bold, tint) + " " + pad(titles[i], wTitle) + "  " + t.paint(pad(outcomes[i], wOutcome), tint)
		used := 2 + 2 + wTitle + 2 + wOutcome + 2
		if scores[i] != "" {
			left += "  " + pad(scores[i], wScore)
			used += 2 + wScore
		}
		note := t.note(name, c)
		if room := t.width - used; note != "" && uniseg.StringWidth(note) <= room {
			t.line(left + "  " + t.paint(note, dim))
		} else {
			t.line(left)
			if note != "" {
				t.wrap("    ", note, dim)
			}
		}
		for _, n := range notes(name, c) {
			t.wrap("    ", t.say(n), dim)
		}
	}
	if len(unasked) > 0 {
		t.wrap("  ", t.say(word("unasked"))+strings.Join(unasked, " · "), dim)
	}
}

func tintOf(o pipeline.Outcome) string {
	switch o {
	case pipeline.Pass:
		return green
	case pipeline.Fail:
		return red
	case pipeline.NotChecked:
		return dim
	default:
		return yellow
	}
}

// score is "0.71 ≥ 0.42" or "0.12 < 0.60": what was measured against what it takes to pass; ≱ and ≮ do not exist in every font, so a
// failed check shows the same rule and its outcome beside it says that it was not met.
func (t *table) score(name pipeline.CheckName, c pipeline.Check) string {
	b := scoreBar(name, c)
	if b == nil {
		return ""
	}
	limit := "≥ " + b.Threshold
	if b.Low {
		limit = "< " + b.Threshold
	}
	if t.zh {
		return b.Score + "（须 " + limit + "）"
	}
	return b.Score + " (needs " + limit + ")"
}

func (t *table) note(name pipeline.CheckName, c pipeline.Check) string {
	b := scoreBar(name, c)
	switch {
	case c.Outcome == pipeline.NotChecked && c.Why != "":
		return t.say(policy.Why(c.Why))
	case c.Outcome == pipeline.Error:
		return clean(c.Why)
	case c.Near:
		return t.say(word("near"))
	case b != nil && b.Elsewhere:
		return t.say(word("elsewhere"))
	case c.Frames > 1 && t.zh:
		return strconv.Itoa(c.Frames) + " 帧"
	case c.Frames > 1:
		return strconv.Itoa(c.Frames) + " frames"
	default:
		return ""
	}
}

func (t *table) foot(v pipeline.Verdict) {
	t.title("timings")
	var parts []string
	for _, x := range timings(v.TimingsMS) {
		parts = append(parts, strings.ReplaceAll(t.say(x.Name)+" "+x.Took, " ", noBreak))
	}
	t.wrap("  ", strings.Join(parts, noBreak+"· "), "")
	t.line("")
	for _, x := range []struct{ key, value string }{{"job", v.Job}, {"policy", v.Policy}, {"recipe", v.Recipe}} {
		if x.value != "" {
			t.line(t.paint("  "+pad(t.say(word(x.key)), 8)+clean(x.value), dim))
		}
	}
}

// wrap writes text behind a prefix, broken at the width by the Unicode rules (between words, between Chinese characters but never before
// a full stop); further lines are indented as far as the prefix is wide.
func (t *table) wrap(prefix, text, tint string) {
	room := t.width - uniseg.StringWidth(prefix)
	indent := strings.Repeat(" ", uniseg.StringWidth(prefix))
	line, used, state := "", 0, -1
	put := func() {
		s := strings.ReplaceAll(strings.TrimRight(line, " "), noBreak, " ")
		if tint != "" {
			s = t.paint(s, tint)
		}
		t.line(prefix + s)
		prefix, line, used = indent, "", 0
	}
	for text != "" {
		var segment string
		segment, text, _, state = uniseg.FirstLineSegmentInString(text, state)
		w := uniseg.StringWidth(strings.TrimRight(segment, " "))
		if used > 0 && used+w > room {
			put()
		}
		for uniseg.StringWidth(segment) > room { // one long word: a digest, a file name
			head, rest := cut(segment, room)
			if rest == "" || head == "" {
				break
			}
			line = head
			put()
			segment = rest
		}
		line += segment
		used += uniseg.StringWidth(segment)
	}
	if line != "" || prefix != indent {
		put()
	}
}

// cut takes as many characters as fit into room columns.
func cut(s string, room int) (head, rest string) {
	used, state := 0, -1
	for at := s; at != ""; {
		var w int
		var cluster string
		cluster, at, w, state = uniseg.FirstGraphemeClusterInString(at, state)
		if used+w > room {
			return s[:len(s)-len(at)-len(cluster)], s[len(s)-len(at)-len(cluster):]
		}
		used += w
	}
	return s, ""
}

func widest(all []string) int {
	n := 0
	for _, s := range all {
		n = max(n, uniseg.StringWidth(s))
	}
	return n
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-uniseg.StringWidth(s)))
}
