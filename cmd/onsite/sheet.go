package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"golang.org/x/text/width"

	"onsite/pipeline"
)

// sheet is a table that a command prints: lines of cells between tabs, the words in the reader's language.
type sheet struct {
	*tabwriter.Writer
	e *env
}

func newSheet(e *env) sheet { return sheet{tabwriter.NewWriter(narrow{e.out}, 0, 0, 2, ' ', 0), e} }

// line writes a line from a format, cells between tabs. The formats of both languages take the same values.
func (s sheet) line(en, zh string, args ...any) { s.data(s.say(en, zh), args...) }

// data writes a line that is the same in every language.
func (s sheet) data(format string, args ...any) {
	fmt.Fprintln(s.Writer, wide(fmt.Sprintf(format, args...)))
}

func (s sheet) say(en, zh string) string { return s.e.say(pipeline.Text{EN: en, ZH: zh}) }

// filler stands behind every letter that a terminal draws two columns wide and that tabwriter takes for one. No text has it: it is no character.
const filler = "\uffff"

// wide makes a text as long as it is wide.
func wide(text string) string {
	var out strings.Builder
	for _, r := range text {
		out.WriteRune(r)
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			out.WriteString(filler)
		}
	}
	return out.String()
}

// span is how wide a terminal draws a text.
func span(text string) int { return utf8.RuneCountInString(wide(text)) }

// narrow takes the fillers out again; tabwriter writes a cell at once.
type narrow struct{ io.Writer }

func (n narrow) Write(p []byte) (int, error) {
	if _, err := n.Writer.Write(bytes.ReplaceAll(p, []byte(filler), nil)); err != nil {
		return 0, err
	}
	return len(p), nil
}
