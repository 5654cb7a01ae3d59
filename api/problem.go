package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/language"

	"onsite/models"
	"onsite/pipeline"
	"onsite/results"
	"onsite/results/object"
)

// Problem is an RFC 9457 problem. Programs go by Code, which is stable; people read Title and Detail in their language.
type Problem struct {
	Type      string       `json:"type" format:"uri" doc:"urn:onsite:problem: and the code" example:"urn:onsite:problem:not_found"`
	Title     string       `json:"title" doc:"what kind of problem it is, in the language asked for (en, zh)"`
	Status    int          `json:"status" example:"404"`
	Detail    string       `json:"detail,omitempty" doc:"what went wrong this time, and what to do"`
	Code      string       `json:"code" doc:"stable name of the kind of problem" example:"not_found"`
	RequestID string       `json:"request_id,omitempty" doc:"to find this request in the service's log"`
	Errors    []FieldError `json:"errors,omitempty" doc:"the fields at fault"`

	title, detail pipeline.Text
	headers       http.Header
	cause         error
}

// FieldError names one field at fault.
type FieldError struct {
	Field  string `json:"field" doc:"where it is: body.site, query.limit, header.If-Match, form.media" example:"body.site"`
	Code   string `json:"code" doc:"stable name of the fault" example:"unknown"`
	Detail string `json:"detail" doc:"what is wrong with it"`
	Limit  any    `json:"limit,omitempty" doc:"the bound that it broke, or the values that are allowed"`
	Fix    string `json:"fix,omitempty" doc:"what to do"`

	text, fix pipeline.Text
}

func (p *Problem) Error() string {
	text := p.Code
	if p.detail.EN != "" {
		text += ": " + p.detail.EN
	}
	for _, f := range p.Errors {
		text += "; " + f.Field + ": " + f.text.EN
	}
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

// Unwrap gives the cause, which is logged and never shown.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus makes it an error of huma.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders gives headers that go with it, such as Retry-After.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType makes it application/problem+json.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// problem makes one of the catalogue.
func problem(c code) *Problem {
	e, ok := catalogue[c]
	if !ok {
		e, c = catalogue[codeInternal], codeInternal
	}
	return &Problem{Type: "urn:onsite:problem:" + string(c), Status: e.status, Code: string(c), title: e.title, detail: e.detail}
}

// with says more than the catalogue does. The arguments fill both languages in the same order.
func (p *Problem) with(en, zh string, args ...any) *Problem {
	p.detail = say(en, zh, args...)
	return p
}

// field adds a field at fault; fix may be empty.
func (p *Problem) field(name, code string, limit any, text, fix pipeline.Text) *Problem {
	p.Errors = append(p.Errors, FieldError{Field: name, Code: code, Limit: limit, text: text, fix: fix})
	return p
}

// because keeps the cause for the log.
func (p *Problem) because(err error) *Problem {
	p.cause = err
	return p
}

// retry sets Retry-After, in whole seconds and at least one.
func (p *Problem) retry(after time.Duration) *Problem {
	return p.header("Retry-After", strconv.Itoa(max(1, int((after+time.Second-1)/time.Second))))
}

func (p *Problem) header(name, value string) *Problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
	return p
}

// in gives the problem in a language, as it is sent.
func (p *Problem) in(lang, requestID string) *Problem {
	out := *p
	out.Title, out.Detail, out.RequestID = pick(p.title, lang), pick(p.detail, lang), requestID
	out.Errors = make([]FieldError, len(p.Errors))
	for i, f := range p.Errors {
		f.Detail, f.Fix = pick(f.text, lang), pick(f.fix, lang)
		out.Errors[i] = f
	}
	return &out
}

func say(en, zh string, args ...any) pipeline.Text {
	if len(args) == 0 {
		return pipeline.Text{EN: en, ZH: zh}
	}
	return pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

func pick(t pipeline.Text, lang string) string {
	if lang == "zh" && t.ZH != "" {
		return t.ZH
	}
	return t.EN
}

// fault turns an error of the store, the vault or the machine into a problem; a Problem stays what it is. What is not known is
// internal: its words go to the log, not to the client.
func fault(err error) *Problem {
	var p *Problem
	var early *models.NotReadyError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &early):
		return problem(codeLoading).because(err).retry(loadRetry)
	case errors.Is(err, ErrMeasuring):
		return problem(codeModels).with("This installation is for measurements (worker.core) and has no models: nobody is enrolled or verified here. Nothing was stored.",
			"该安装仅用于测量（worker.core），没有模型，不能登记或验证人员；未保存任何内容。").because(err)
	case errors.Is(err, results.ErrNotFound), errors.Is(err, object.ErrNotFound):
		return problem(codeNotFound).because(err)
	case errors.Is(err, results.ErrExists):
		return problem(codeExists).because(err)
	case errors.Is(err, results.ErrStale):
		return problem(codeState).because(err)
	case errors.Is(err, results.ErrConflict):
		return problem(codeChanged).because(err)
	case errors.Is(err, results.ErrErased):
		return problem(codeErased).because(err)
	case errors.Is(err, results.ErrKeyReuse):
		return problem(codeKeyReuse).because(err)
	case errors.Is(err, results.ErrKeyBusy):
		return problem(codeKeyBusy).because(err).retry(time.Second)
	case errors.Is(err, results.ErrFull):
		return problem(codeFull).because(err).retry(fullRetry)
	case errors.Is(err, results.ErrAway), errors.Is(err, object.ErrAway):
		return problem(codeAway).because(err).retry(awayRetry)
	case errors.Is(err, object.ErrNoSpace):
		return problem(codeNoSpace).because(err).retry(fullRetry)
	case errors.Is(err, object.ErrDenied), errors.Is(err, object.ErrNoBucket):
		return problem(codeAway).because(err).retry(fullRetry)
	case errors.Is(err, context.Canceled):
		return problem(codeGone).because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return problem(codeAway).because(err).retry(awayRetry)
	}
	return problem(codeInternal).because(err)
}

// How long a client should wait before it tries again: a full queue drains by hundreds of jobs a second, a store that is away takes
// about as long as a failover, and models are loaded in some seconds.
const (
	fullRetry = 5 * time.Second
	awayRetry = 3 * time.Second
	loadRetry = 5 * time.Second
)

var languages = language.NewMatcher([]language.Tag{language.English, language.Chinese, language.TraditionalChinese})

// langOf gives en or zh for an Accept-Language header.
func langOf(header string) string {
	if header == "" || len(header) > 256 {
		return "en"
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil || len(tags) == 0 {
		return "en"
	}
	if _, i, confidence := languages.Match(tags...); confidence > language.No && i > 0 {
		return "zh"
	}
	return "en"
}

// localise is the last step before an answer is written: problems get their language and the id of their request.
func localise(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*Problem)
	if !ok {
		return v, nil
	}
	note(ctx.Context(), p)
	return p.in(langOf(ctx.Header("Accept-Language")), RequestID(ctx.Context())), nil
}
