package report

import (
	"bufio"
	"fmt"
	"html/template"
	"io"

	_ "embed" // the page

	"onsite/pipeline"
)

//go:embed trial.html
var trialHTML string

// The page of a trial shares the parts of the report's page.
var trialTemplate = template.Must(template.Must(pageTemplate.Clone()).New("trial").Parse(trialHTML))

// Trial is what the page about a photo that was tried on a site shows. The page is for who sets the site up: nobody in the photo is blurred.
type Trial struct {
	Lang       string // shown first: English (also when empty) or Chinese
	Site       string
	Photo      string // its file name
	Outcome    pipeline.Outcome
	Picture    Picture
	Marks      []Mark // over the picture, in its pixels; Mark.Keyframe is not looked at
	References []Reference
	Grids      []Grid // those without rows are left out
}

// Grid is a table: each row has as many cells as there are heads.
type Grid struct {
	Title pipeline.Text
	Heads []pipeline.Text
	Rows  [][]pipeline.Text
}

// trial is what the template shows.
type trial struct {
	page
	Outcome outcome
	Grids   []Grid
}

// WriteTrial renders the page. Errors are those of the writer.
func WriteTrial(w io.Writer, in Trial) error {
	b := newBuilder(Input{Lang: in.Lang, References: in.References})
	title := pipeline.Text{EN: "Onsite: " + in.Photo + " tried on " + in.Site, ZH: "Onsite：在 " + in.Site + " 试用 " + in.Photo}
	p := trial{
		page: page{
			Lang: English, HTMLLang: "en", Brand: word("trial"), Title: b.says(title), Name: clean(in.Photo), CSP: contentPolicy(),
			Style: template.CSS(styleCSS), Script: template.JS(switchJS), //nolint:gosec // our own files, no outside text
		},
		Outcome: outcomeOf(in.Outcome),
	}
	if in.Lang == Chinese {
		p.Lang, p.HTMLLang = Chinese, "zh-Hans"
	}
	if len(in.Picture.JPEG) > 0 {
		p.Shared = append(p.Shared, shared{"photo", in.Picture.W, in.Picture.H, data(in.Picture.JPEG)})
		s := shot{ID: "photo", View: fmt.Sprintf("0 0 %d %d", in.Picture.W, in.Picture.H), Alt: b.says(same(in.Photo)), Caption: cleanText(same(in.Photo))}
		s.Shapes = draw(in.Marks, in.Picture.W, in.Picture.H, largeLabel)
		p.Keyframes = []shot{s}
	}
	for i, r := range in.References {
		if len(r.JPEG) > 0 {
			id := fmt.Sprintf("r%d", i)
			p.Shared = append(p.Shared, shared{id, r.W, r.H, data(r.JPEG)})
			text := cleanText(pipeline.Text{EN: fmt.Sprintf("#%d %s", i+1, r.Name), ZH: fmt.Sprintf("#%d %s", i+1, r.Name)})
			p.Enrolled = append(p.Enrolled, shot{ID: id, View: fmt.Sprintf("0 0 %d %d", r.W, r.H), Alt: b.says(text), Caption: text})
		}
	}
	for _, g := range in.Grids {
		if len(g.Rows) > 0 {
			p.Grids = append(p.Grids, g)
		}
	}
	out := bufio.NewWriter(w)
	if err := trialTemplate.Execute(out, p); err != nil {
		return fmt.Errorf("write the page of a trial: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the page of a trial: %w", err)
	}
	return nil
}
