package policy

import (
	"fmt"

	"onsite/pipeline"
)

// Fault says why a policy cannot be used. Its cause is Problems where the file can be read.
type Fault struct {
	Source string        // the file, or the name
	Why    pipeline.Text // and what to do
	err    error
}

// Error is the fault in English.
func (f *Fault) Error() string { return f.Text().EN }

// Unwrap is its cause, where there is one.
func (f *Fault) Unwrap() error { return f.err }

// Text is the fault in both languages, a line for each problem.
func (f *Fault) Text() pipeline.Text {
	return pipeline.Text{EN: "policy " + f.Source + ": " + f.Why.EN, ZH: "策略 " + f.Source + "：" + f.Why.ZH}
}

// Problem is one thing that is wrong with a policy.
type Problem struct {
	Field   string        // where, as a dotted path
	Value   string        // what is there
	Allowed pipeline.Text // what may be there
	Fix     pipeline.Text // what to do
}

// Error is one line.
func (p Problem) Error() string { return p.Text().EN }

// Text is one line.
func (p Problem) Text() pipeline.Text {
	return said(fmt.Sprintf("%s: %q is not accepted; allowed: %s; %s", p.Field, clip(p.Value), p.Allowed.EN, p.Fix.EN),
		fmt.Sprintf("%s：不接受 %q；允许：%s；%s", p.Field, clip(p.Value), p.Allowed.ZH, p.Fix.ZH))
}

// Problems is everything that is wrong with a policy, in the order of the file's fields.
type Problems []Problem

// Error is one line per problem.
func (ps Problems) Error() string { return ps.Text().EN }

// Text is one line per problem.
func (ps Problems) Text() pipeline.Text {
	t := saidf("%d thing(s) to correct:", "有 %d 处需要更正：", len(ps))
	for _, p := range ps {
		line := p.Text()
		t.EN, t.ZH = t.EN+"\n  "+line.EN, t.ZH+"\n  "+line.ZH
	}
	return t
}

func said(en, zh string) pipeline.Text { return pipeline.Text{EN: en, ZH: zh} }

func same(s string) pipeline.Text { return pipeline.Text{EN: s, ZH: s} }

// saidf fills both languages with the same values.
func saidf(en, zh string, args ...any) pipeline.Text {
	return pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}
