package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"onsite/pipeline"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed style.css
	styleCSS string
	//go:embed switch.js
	switchJS string
)

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"word":  word,
	"clean": clean,
	"plain": func(t pipeline.Text) bool { return t.EN == t.ZH },
	"empty": func(t pipeline.Text) bool { return t == (pipeline.Text{}) },
	"head":  func(s shot) bool { return s.Anchor != "" },
}).Parse(pageHTML))

// Write renders the page. Errors are those of the writer, or of a verdict that has no JSON form.
func Write(w io.Writer, in Input) error {
	p, err := newBuilder(in).build()
	if err != nil {
		return err
	}
	p.Style = template.CSS(styleCSS) //nolint:gosec // our own file, no outside text
	p.Script = template.JS(switchJS) //nolint:gosec // our own file, no outside text
	p.CSP = contentPolicy()
	out := bufio.NewWriter(w)
	if err := pageTemplate.Execute(out, p); err != nil {
		return fmt.Errorf("write the report of job %s: %w", in.Verdict.Job, err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the report of job %s: %w", in.Verdict.Job, err)
	}
	return nil
}

// contentPolicy allows the page its own style and script, by their hashes, and pictures inside it; nothing else, from nowhere.
func contentPolicy() string {
	return strings.Join([]string{
		"default-src 'none'", "img-src data:", "style-src " + pin(styleCSS), "script-src " + pin(switchJS), "base-uri 'none'", "form-action 'none'",
	}, "; ")
}

func pin(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
