package scene

import (
	"fmt"
	"strings"

	"onsite/pipeline"
)

// Trouble is the kind of a problem in a site file or one of its references.
type Trouble string

// The problems.
const (
	NotYAML       Trouble = "not_yaml"           // the file cannot be read as one plain YAML mapping
	UnknownKey    Trouble = "unknown_key"        // a key that the form does not have, or has only once
	BadValue      Trouble = "bad_value"          // a value of the wrong type or range
	MissingValue  Trouble = "missing_value"      // a field that is needed
	UnknownKind   Trouble = "unknown_kind"       // a kind of reference that is none of pipeline.ReferenceKind
	UnreadName    Trouble = "unreadable_name"    // a name in a script that the text recogniser does not know
	MissingPhoto  Trouble = "missing_photo"      // the photo's file is not there or is no file
	UnreadPhoto   Trouble = "unreadable_photo"   // the photo cannot be decoded
	BadCrop       Trouble = "bad_crop"           // empty, too small, or outside the picture
	BadDates      Trouble = "bad_dates"          // the last day lies before the first
	LittleTexture Trouble = "too_little_texture" // too few stable keypoints to be found again
	TooSmall      Trouble = "too_small"          // too few pixels
	Blurred       Trouble = "blurred"            // no fine detail at all
	Glare         Trouble = "glare"              // a large part is washed out
	Repeating     Trouble = "repeats_itself"     // the same pattern again and again: its place in a frame cannot be told
	Alike         Trouble = "alike"              // it cannot be told from another reference or name
)

// Problem is one thing that is wrong with a site, with what to do about it.
type Problem struct {
	Trouble Trouble
	Field   string // path in the site file: references[2].crop
	Value   string // as written, shortened
	Text    pipeline.Text
}

// SiteError lists everything that is wrong with a site file or its references. Nothing of such a site is used.
type SiteError struct {
	Site     string // the file or the site's id
	Problems []Problem
}

// Error is one line that names every field with its value and the fix.
func (e *SiteError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.line(p.Text.EN)
	}
	return fmt.Sprintf("site %s: %s", e.Site, strings.Join(parts, "; "))
}

// Text is the same in both languages, a line for each problem.
func (e *SiteError) Text() pipeline.Text {
	en, zh := make([]string, len(e.Problems)), make([]string, len(e.Problems))
	for i, p := range e.Problems {
		en[i], zh[i] = fmt.Sprintf("site %s: %s", e.Site, p.line(p.Text.EN)), fmt.Sprintf("地点 %s：%s", e.Site, p.line(p.Text.ZH))
	}
	return pipeline.Text{EN: strings.Join(en, "\n"), ZH: strings.Join(zh, "\n")}
}

func (p Problem) line(text string) string {
	switch {
	case p.Field == "":
		return text
	case p.Value == "":
		return p.Field + ": " + text
	}
	return fmt.Sprintf("%s %q: %s", p.Field, p.Value, text)
}

// clip shortens an outside value for a message.
func clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
