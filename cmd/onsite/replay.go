package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/place"
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
	Key     *string  `help:"Public key of the company's audit log (\"onsite audit key\")." placeholder:"PUB"`
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
		e.evidenceResult(in.pack)
		e.reverification(r.Reverification)
		for _, line := range append(r.Unverified, r.Missing...) {
			fmt.Fprintf(e.out, "    %s\n", e.say(line))
		}
	}
	if err != nil {
		return err
	}
	return sameVerdict(r)
}

// opened is a package that is intact, with what it has of a verdict's inputs.
type opened struct {
	evidence.Inputs
	pack *evidence.Result
}

// replayed is what came of a replay, and how much it shows.
type replayed struct {
	client.Reverification
	Signer         string          `json:"signer"` // the key that signed, as the package names it
	SignerVerified bool            `json:"signer_verified"`
	Unverified     []pipeline.Text `json:"unverified"` // inputs that nothing binds to the verdict
	Missing        []pipeline.Text `json:"missing"`    // what the verdict was made from and no package holds
}

// inputs opens the package and holds the media against it.
func (c *evidenceReplayCmd) inputs(e *env) (in opened, err error) {
	key, err := pinned(c.Key)
	if err != nil {
		return in, err
	}
	raw, err := pipeline.ReadFile(c.File, maxEvidence)
	if err != nil {
		return in, pathError("FILE", c.File, err, "check the path and its permissions", "请检查路径及其权限")
	}
	r, err := evidence.Check(raw, key)
	if err != nil {
		return in, noEvidence(c.File, err)
	}
	if !r.Intact() {
		e.evidenceResult(r)
		return in, &errNotIntact{len(r.Findings)}
	}
	in.pack = r
	switch in.Inputs, err = r.Inputs(); {
	case errors.Is(err, evidence.ErrNoClaim):
		return in, usagef(pipeline.Text{
			EN: c.File + " has no claim.json: its verdict cannot be made again; export the package again with a server that puts it in",
			ZH: c.File + " 中没有 claim.json：无法重新得出其结论；请用会写入该文件的服务器重新导出",
		})
	case err != nil:
		return in, usagef(pipeline.Text{
			EN: c.File + ": " + err.Error() + "; replay it with the version that exported it, " + r.Manifest.Onsite,
			ZH: c.File + "：" + err.Error() + "；请用导出它的版本 " + r.Manifest.Onsite + " 重放",
		})
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
func (c *evidenceReplayCmd) replay(ctx context.Context, e *env, core *core, in opened) (r replayed, err error) {
	job, err := in.job()
	if err != nil {
		return r, err
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
	if compared, known := in.compared(); known && compared == 0 && c.Against == "" {
		job.History = nothingEarlier{}
	}
	now, err := core.Run(ctx, job)
	if err != nil {
		return r, err
	}
	r = replayed{Reverification: compared(in.Verdict, now.Verdict), Signer: in.pack.Manifest.LogKey, SignerVerified: in.pack.Signer != ""}
	r.Unverified, r.Missing = c.unverified(), in.missing(job.Policy)
	if compared, known := in.compared(); known && compared > 0 && c.Against == "" {
		r.Missing = append(r.Missing, pipeline.Text{
			EN: fmt.Sprintf("the upload was compared with %d earlier ones, which no package has: name a folder with them (--against)", compared),
			ZH: fmt.Sprintf("当时与 %d 份先前的素材作过比对，证据包不含这些素材：请用 --against 指定存放它们的文件夹", compared),
		})
	}
	return r, nil
}

// compared is how much earlier footage the verdict was made with, if its reuse check was made.
func (o opened) compared() (n int, known bool) {
	c := o.Verdict.Checks[pipeline.CheckReuse]
	f, known := c.Detail["compared"].(float64)
	return int(f), known && c.Outcome != pipeline.NotChecked
}

// nothingEarlier is the history of a first upload.
type nothingEarlier struct{}

func (nothingEarlier) Earlier(context.Context) ([]pipeline.Earlier, error) { return nil, nil }
func (nothingEarlier) Picture(context.Context, string, int64) ([]byte, error) {
	return nil, errors.New("there is no earlier footage")
}
func (nothingEarlier) Missing() int { return 0 }
func (nothingEarlier) AsOf() int64  { return 0 }

// job is what the package says of the submission: faces and sound are looked at and heard unless the verdict says that they were not.
func (o opened) job() (verify.Job, error) {
	v := o.Verdict
	job := verify.Job{Claim: o.Claim, Received: o.Received, Consent: verify.ToldOfFaces(v) != verify.Refused, Hear: verify.ToldOfSound(v) != verify.Refused, InTurn: true}
	if o.Policy != nil {
		job.Policy = *o.Policy
		return job, nil
	}
	p, err := verify.DefaultPolicy(v.Media.Kind)
	if err != nil {
		return job, err
	}
	if p.Digest() != v.Policy {
		return job, usagef(pipeline.Text{
			EN: fmt.Sprintf("policy_gone: the package has no policy.yaml, and the verdict was made by %.19s, not by the built-in policy %s of this program: replay it with the version that made it, %s", v.Policy, p.Name, v.Onsite),
			ZH: fmt.Sprintf("policy_gone：证据包中没有 policy.yaml，而结论所用的策略（%.19s）不是本程序的内置策略 %s：请用生成结论的版本 %s 重放", v.Policy, p.Name, v.Onsite),
		})
	}
	job.Policy = p
	return job, nil
}

// unverified names the given inputs that the verdict does not name by their content: it is the caller's word that they are the same.
func (c *evidenceReplayCmd) unverified() []pipeline.Text {
	out := []pipeline.Text{}
	for _, one := range []struct {
		flag  string
		given bool
	}{{"--face", len(c.Face) > 0}, {"--site", c.Site != ""}, {"--against", c.Against != ""}} {
		if one.given {
			out = append(out, pipeline.Text{
				EN: one.flag + ": not verified, the verdict names a revision and not the files",
				ZH: one.flag + "：未核实，结论只记录版本，不记录文件内容",
			})
		}
	}
	return out
}

// fromTrail are the rules of the place check that compare with earlier claims.
var fromTrail = []string{place.RuleTravel, place.RulePlaces, place.RuleHour, place.RuleDevice}

// missing names what the verdict was made from and the package does not have: what rests on it can come to something else.
func (o opened) missing(p policy.Policy) []pipeline.Text {
	out := []pipeline.Text{}
	add := func(en, zh string) { out = append(out, pipeline.Text{EN: en, ZH: zh}) }
	v := o.Verdict
	rules, _ := v.Checks[pipeline.CheckPlace].Detail["rules"].(map[string]any)
	var made []string
	for _, name := range fromTrail {
		if rule, ok := rules[name].(map[string]any); ok && rule["outcome"] != string(pipeline.NotChecked) {
			made = append(made, name)
		}
	}
	if len(made) > 0 {
		all := strings.Join(made, ", ")
		add("no package has earlier claims: not replayed are the rules "+all+" of the check place", "证据包不含先前的申报：未重放地点检查（place）的规则 "+all)
	}
	if v.Checks[pipeline.CheckLiveness].Detail["challenge"] != nil {
		add("no package has the challenge that was answered: its tasks are not replayed", "证据包不含当时的挑战：未重放其任务")
	}
	if v.Inputs.MarksAsOf > 0 {
		add("no package has the marks of investigators that the verdict goes by: footage that they cleared is compared like any other", "证据包不含该结论所依据的调查员标记：已被标记排除的录像此处照常比对")
	}
	if o.Received.IsZero() {
		add("the package does not say when the upload was received: the claim's time counts as the device's, and the rule clock is not replayed",
			"证据包未记录收到时间：申报的时间视为设备时间，且未重放时钟规则（clock）")
	}
	if v.Media.Kind == string(media.Video) && p.Reuse.Audio && verify.ToldOfSound(v) == verify.Untold {
		add("the verdict does not tell whether its sound was listened to for the fingerprint: it was here", "结论未说明当时指纹是否使用了声音：此处已使用")
	}
	return out
}

func compared(before, now pipeline.Verdict) client.Reverification {
	d := verify.Compare(before, now)
	return client.Reverification{Job: before.Job, Asked: "current", Agreement: string(d.Agreement), Before: d.Before, Now: d.Now, Checks: d.Checks, Recipe: d.Recipe}
}

// sameVerdict is an error that names the decision and each check that came to something else; scores alone may differ.
func sameVerdict(r replayed) error {
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
	for _, m := range r.Missing { // it may be for this
		en, zh = append(en, m.EN), append(zh, m.ZH)
	}
	return &errOtherVerdict{pipeline.Text{EN: "another verdict: " + strings.Join(en, "; "), ZH: "结论不同：" + strings.Join(zh, "；")}}
}
