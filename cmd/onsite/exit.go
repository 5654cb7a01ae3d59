package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"onsite/cmd/onsite/config"
	"onsite/cmd/onsite/service"
	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/face"
	"onsite/pipeline/media"
	rules "onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
)

// Exit states, as docs and callers know them.
const (
	exitOK      = 0 // a verdict was made, whatever it says
	exitOther   = 1
	exitUsage   = 2 // arguments, references, a path that cannot be read
	exitRefused = 3 // the submitted media is refused, or photos, references, a model
	exitChanged = 4 // what was verified is not what was signed
)

// usageError is a mistake in what the user gave, with the words in both languages.
type usageError struct {
	text pipeline.Text
	err  error
}

func (e *usageError) Error() string { return e.text.EN }
func (e *usageError) Unwrap() error { return e.err }

// fail prints one clear line and gives the exit state.
func (e *env) fail(err error, asJSON bool) int {
	code := exitOther
	rule := "error"
	var reference *verify.ReferenceError
	var refusal *media.Refusal
	var policy *verify.PolicyError
	var usage *usageError
	var data *pipeline.DataError
	var settings *config.Error
	var fault *service.Fault
	var remote *remoteError
	var changed *errNotIntact
	var other *errOtherVerdict
	var faults *faultError
	switch {
	case errors.As(err, &faults):
		rule = "model_refused"
	case errors.As(err, &usage):
		code, rule = exitUsage, "usage"
	case errors.As(err, &changed):
		code, rule = exitChanged, "not_intact"
	case errors.As(err, &other):
		code, rule = exitChanged, "other_verdict"
	case errors.As(err, &remote):
		code, rule = remote.code, remote.rule
	case errors.As(err, &data):
		code, rule = exitUsage, "usage"
	case errors.As(err, &settings):
		code, rule = exitUsage, "configuration"
	case errors.As(err, &fault):
		rule = "service"
	case errors.As(err, &reference):
		code, rule = exitUsage, "reference"
	case errors.As(err, &refusal):
		code, rule = exitRefused, refusal.Rule
	case errors.As(err, &policy):
		code, rule = exitRefused, policy.Rule
	case errors.As(err, new(*models.MissingError)):
		rule = "models_missing"
	case errors.Is(err, context.Canceled):
		err, rule = errInterrupted, "interrupted"
	}
	text := words(err)
	if errors.Is(err, errInterrupted) {
		text.ZH = "已中断"
	}
	if asJSON {
		line, jerr := json.Marshal(map[string]any{"error": map[string]any{"rule": rule, "exit": code, "text": text}})
		if jerr == nil {
			fmt.Fprintln(e.err, string(line))
			return code
		}
	}
	if strings.Contains(text.EN, "\n") { // a line for each thing that is wrong
		for line := range strings.Lines(e.say(text)) {
			fmt.Fprintln(e.err, "onsite:", report.Clean(strings.TrimRight(line, "\n")))
		}
		return code
	}
	fmt.Fprintln(e.err, "onsite:", report.Clean(e.say(text)))
	return code
}

// words gives an error's sentence in both languages; an error that speaks one is given as it is.
func words(err error) pipeline.Text {
	var usage *usageError
	var photo *face.PhotoError
	var site *scene.SiteError
	var refusal *media.Refusal
	var policy *verify.PolicyError
	var rules *rules.Fault
	var reference *verify.ReferenceError
	var provider *models.ProviderError
	var missing *models.MissingError
	var size *models.SizeError
	var data *pipeline.DataError
	text := pipeline.Text{EN: err.Error(), ZH: err.Error()}
	var settings *config.Error
	var fault *service.Fault
	var remote *remoteError
	var changed *errNotIntact
	var other *errOtherVerdict
	var faults *faultError
	switch {
	case errors.As(err, &faults):
		return faults.text()
	case errors.As(err, &usage):
		return usage.text
	case errors.As(err, &changed):
		return changed.Text()
	case errors.As(err, &other):
		return other.text
	case errors.As(err, &remote):
		return remote.text
	case errors.As(err, &data):
		wrong := wrongWith(data)
		return pipeline.Text{EN: data.Path + ": " + wrong.EN + "; " + data.Want.EN, ZH: data.Path + "：" + wrong.ZH + "；" + data.Want.ZH}
	case errors.As(err, &settings):
		return settings.Text()
	case errors.As(err, &fault):
		return fault.Text
	case errors.As(err, &provider):
		return pipeline.Text{EN: err.Error(), ZH: provider.Chinese()}
	case errors.As(err, &missing):
		return missingModels(err, missing)
	case errors.As(err, &size):
		return pipeline.Text{EN: err.Error(), ZH: size.Chinese()}
	case errors.As(err, &photo): // names the photo itself
		return photo.Text
	case errors.As(err, &policy):
		return policy.Text
	case errors.As(err, &rules):
		return rules.Text()
	case errors.As(err, &site): // names the site's field itself
		return site.Text()
	case errors.As(err, &refusal):
		text = refusal.Text
		if refusal.Name != "" {
			text = pipeline.Text{EN: refusal.Name + ": " + text.EN, ZH: refusal.Name + "：" + text.ZH}
		}
		if errors.As(err, &reference) {
			text.EN, text.ZH = "reference photo "+text.EN, "参考照片 "+text.ZH
		}
	}
	return text
}

// missingModels says once what to do, however many files are missing.
func missingModels(err error, first *models.MissingError) pipeline.Text {
	n := missingIn(err)
	name, why := filepath.Base(first.Path), trouble(first.Err)
	fix := pipeline.Text{EN: first.Fix(), ZH: "请运行 " + cmp.Or(first.Run, "make setup 或 onsite models install")}
	if n < 2 {
		return pipeline.Text{
			EN: fmt.Sprintf("%s: %s; %s", first.Path, why.EN, fix.EN),
			ZH: fmt.Sprintf("%s：%s；%s", first.Path, why.ZH, fix.ZH),
		}
	}
	dir := filepath.Dir(first.Path)
	return pipeline.Text{
		EN: fmt.Sprintf("%d files of models cannot be used, such as %s in %s: %s; %s", n, name, dir, why.EN, fix.EN),
		ZH: fmt.Sprintf("%d 个模型文件无法使用，例如 %s 中的 %s：%s；%s", n, dir, name, why.ZH, fix.ZH),
	}
}

// missingIn counts the files that an error and those which it joins name.
func missingIn(err error) (n int) {
	switch e := err.(type) { //nolint:errorlint // each part is looked at, not any
	case *models.MissingError:
		return 1
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			n += missingIn(part)
		}
	case interface{ Unwrap() error }:
		return missingIn(e.Unwrap())
	}
	return n
}

func (e *env) say(t pipeline.Text) string {
	if e.lang == "zh" {
		return t.ZH
	}
	return t.EN
}
