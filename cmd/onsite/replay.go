package main

import (
	"context"
	"fmt"
	"strings"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
	"onsite/results/evidence"
)

// evidenceReplayCmd makes a package's verdict again, with the models that run here. A package has the claim and the policy; media and photos of
// people and places are never in one, so whoever replays it must have them.
type evidenceReplayCmd struct {
	File    string   `arg:"" help:"The package." placeholder:"FILE.zip"`
	Media   string   `help:"The clip or photo that was submitted: it must have the sha256 that the verdict names." required:"" placeholder:"FILE"`
	Face    []string `help:"An enrolled photo of the person. May be given up to five times." placeholder:"REF.jpg" sep:"none"`
	Site    string   `help:"Site file, as for onsite verify." placeholder:"site.yaml"`
	Against string   `help:"Folder of the earlier clips and photos that it was compared with." placeholder:"DIR"`
	Key     string   `help:"Public key of the company's audit log (\"onsite audit key\")." placeholder:"PUB"`
	JSON    bool     `help:"Print JSON."`
}

// errOtherVerdict ends a replay that came to something else.
type errOtherVerdict struct{ text pipeline.Text }

func (e *errOtherVerdict) Error() string { return e.text.EN }

func (c *evidenceReplayCmd) Run(ctx context.Context, e *env) error {
	in, err := c.inputs(e)
	if err != nil {
		return err
	}
	core, err := newCore(limitFlags{}.options())
	if err != nil {
		return err
	}
	defer core.close()
	r, err := c.replay(ctx, e, core, in)
	if err != nil {
		return err
	}
	if c.JSON {
		err = e.printJSON(r)
	} else {
		e.reverification(r)
	}
	if err != nil {
		return err
	}
	return sameVerdict(r)
}

// inputs opens the package and holds the media against it.
func (c *evidenceReplayCmd) inputs(e *env) (in evidence.Inputs, err error) {
	raw, err := pipeline.ReadFile(c.File, maxEvidence)
	if err != nil {
		return in, pathError("FILE", c.File, err, "check the path and its permissions", "请检查路径及其权限")
	}
	r, err := evidence.Check(raw, strings.TrimSpace(c.Key))
	if err != nil {
		return in, usagef(pipeline.Text{EN: c.File + ": " + err.Error(), ZH: c.File + "：不是证据包：" + err.Error()})
	}
	if !r.Intact() {
		e.evidenceResult(r)
		return in, &errNotIntact{len(r.Findings)}
	}
	if in, err = r.Inputs(); err != nil {
		return in, err
	}
	if err := readable("--media", c.Media); err != nil {
		return in, err
	}
	sum, _, err := digest(c.Media)
	if err == nil && sum != in.Verdict.Media.SHA256 {
		err = usagef(pipeline.Text{
			EN: fmt.Sprintf("--media %s has sha256 %s, and the verdict was made from %s: name that file", c.Media, sum, in.Verdict.Media.SHA256),
			ZH: fmt.Sprintf("--media %s 的 sha256 为 %s，而结论由 %s 得出：请指定该文件", c.Media, sum, in.Verdict.Media.SHA256),
		})
	}
	return in, err
}

// replay makes the verdict again: on one thread, and with faces and sound only where the verdict says that they were looked at and heard.
func (c *evidenceReplayCmd) replay(ctx context.Context, e *env, core *core, in evidence.Inputs) (r client.Reverification, err error) {
	job := verify.Job{Claim: in.Claim, Consent: !said(in.Verdict, policy.WhyNoConsent), Hear: !said(in.Verdict, policy.WhyNoSound), InTurn: true}
	switch {
	case in.Policy != nil:
		job.Policy = *in.Policy
	default:
		if job.Policy, err = verify.DefaultPolicy(in.Verdict.Media.Kind); err != nil {
			return r, err
		}
	}
	like := &verifyCmd{Media: c.Media, Face: c.Face, Site: c.Site, Against: c.Against}
	if err := like.check(); err != nil {
		return r, err
	}
	if job.Site, err = like.site(); err != nil {
		return r, err
	}
	bar := newProgress(e)
	defer bar.close()
	job, done, err := like.prepare(ctx, e, core, bar, job)
	if err != nil {
		return r, err
	}
	defer done()
	now, err := core.Run(ctx, job)
	if err != nil {
		return r, err
	}
	return compared(in.Verdict, now.Verdict), nil
}

func compared(before, now pipeline.Verdict) client.Reverification {
	d := verify.Compare(before, now)
	return client.Reverification{Job: before.Job, Asked: "current", Agreement: string(d.Agreement), Before: d.Before, Now: d.Now, Checks: d.Checks, Recipe: d.Recipe}
}

// said says whether a check of a verdict was not made for this reason.
func said(v pipeline.Verdict, why string) bool {
	for _, c := range v.Checks {
		if c.Why == why {
			return true
		}
	}
	return false
}

// sameVerdict is an error that names the decision and each check that came to something else; scores alone may differ.
func sameVerdict(r client.Reverification) error {
	var en, zh []string
	if r.Before != r.Now {
		en, zh = append(en, fmt.Sprintf("decision %s -> %s", r.Before, r.Now)), append(zh, fmt.Sprintf("结论 %s -> %s", r.Before, r.Now))
	}
	for _, d := range r.Checks {
		if d.Before.Outcome != d.Now.Outcome || fmt.Sprint(d.Before.Codes) != fmt.Sprint(d.Now.Codes) {
			text := fmt.Sprintf("%s %s %v -> %s %v", d.Check, d.Before.Outcome, d.Before.Codes, d.Now.Outcome, d.Now.Codes)
			en, zh = append(en, text), append(zh, text)
		}
	}
	if len(en) == 0 {
		return nil
	}
	return &errOtherVerdict{pipeline.Text{EN: "another verdict: " + strings.Join(en, "; "), ZH: "结论不同：" + strings.Join(zh, "；")}}
}
