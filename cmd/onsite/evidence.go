package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"onsite/pipeline"
	"onsite/results/evidence"
)

type evidenceCmd struct {
	Export evidenceExportCmd `cmd:"" help:"Write the signed evidence package of a verdict; the export is logged with its recipient."`
	Verify evidenceVerifyCmd `cmd:"" help:"Check an evidence package: no server, no network."`
	Stamp  evidenceStampCmd  `cmd:"" help:"Put the answer of a timestamping authority over manifest.json into an evidence package."`
	Replay evidenceReplayCmd `cmd:"" help:"Make the verdict of an evidence package again here, from the media and photos that you have, and compare."`
}

type evidenceExportCmd struct {
	Job       string `arg:"" help:"The job."`
	Output    string `short:"o" help:"File to write; an existing one is not overwritten." required:"" placeholder:"FILE.zip"`
	Recipient string `help:"For whom the package is made: stands in it and in the audit log." required:"" placeholder:"NAME"`
	Revision  int    `help:"Which revision. Default: the newest."`
	PDF       bool   `name:"pdf" help:"Also with the report as PDF; needs Chromium on the server."`

	remoteFlags
}

func (c *evidenceExportCmd) Run(ctx context.Context, e *env) error {
	if c.Revision < 0 {
		return usagef(pipeline.Text{EN: "--revision counts from 1", ZH: "--revision 从 1 开始"})
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	// The file first: an export is logged, so it must not fail for want of a place to put it.
	f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return pathError("--output", c.Output, err, "name a new file in a folder that you may write to", "请在可写的文件夹中指定一个新文件")
	}
	var b bytes.Buffer
	err = remotely(service.Evidence(ctx, c.Job, c.Revision, c.Recipient, c.PDF, &b))
	if err == nil {
		_, err = f.Write(b.Bytes())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.Output))
	}
	r, err := evidence.Check(b.Bytes(), "")
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(map[string]any{"file": c.Output, "manifest": r.Manifest})
	}
	_, err = fmt.Fprintf(e.out, "%s\n", e.say(pipeline.Text{
		EN: fmt.Sprintf("%s: %d files under a manifest signed by %s", c.Output, len(r.Manifest.Files), r.Manifest.LogKey),
		ZH: fmt.Sprintf("%s：清单列有 %d 个文件，由 %s 签署", c.Output, len(r.Manifest.Files), r.Manifest.LogKey),
	}))
	return err
}

type evidenceVerifyCmd struct {
	File string  `arg:"" help:"The package." placeholder:"FILE.zip"`
	Key  *string `help:"Public key of the company's audit log (\"onsite audit key\"), from elsewhere than the package." placeholder:"PUB"`
	JSON bool    `help:"Print JSON."`
}

// maxEvidence bounds a package that is read.
const maxEvidence = 512 << 20

func (c *evidenceVerifyCmd) Run(e *env) error {
	key, err := pinned(c.Key)
	if err != nil {
		return err
	}
	raw, err := pipeline.ReadFile(c.File, maxEvidence)
	if err != nil {
		return pathError("FILE", c.File, err, "check the path and its permissions", "请检查路径及其权限")
	}
	r, err := evidence.Check(raw, key)
	if err != nil {
		return noEvidence(c.File, err)
	}
	if c.JSON {
		err = e.printJSON(map[string]any{"intact": r.Intact(), "signer_verified": r.Intact() && r.Signer != "", "result": r})
	} else {
		e.evidenceResult(r)
	}
	if err == nil && !r.Intact() {
		err = &errNotIntact{len(r.Findings)}
	}
	return err
}

func (e *env) evidenceResult(r *evidence.Result) {
	m := r.Manifest
	say := func(en, zh string) { fmt.Fprintln(e.out, e.say(pipeline.Text{EN: en, ZH: zh})) }
	switch {
	case !r.Intact():
		say("NOT INTACT", "不完好")
	case r.Signer == "":
		say("intact, signer not verified (give --key)", "完好，但未核实签署者（请给出 --key）")
	default:
		say("intact, signed by "+r.Signer, "完好，由 "+r.Signer+" 签署")
	}
	if m.Job != "" {
		say(fmt.Sprintf("  verdict of job %s, revision %d, of %s: %s", m.Job, m.Revision, m.Tenant, r.Decision), fmt.Sprintf("  租户 %s 任务 %s 第 %d 版结论：%s", m.Tenant, m.Job, m.Revision, r.Decision))
		say(fmt.Sprintf("  exported %s for %q by %s", m.ExportedAt.Format("2006-01-02 15:04:05Z"), m.Recipient, m.ExportedBy), fmt.Sprintf("  由 %s 于 %s 为 %q 导出", m.ExportedBy, m.ExportedAt.Format("2006-01-02 15:04:05Z"), m.Recipient))
	}
	if r.Stamped != nil {
		e.stamped(*r.Stamped)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(e.out, "  ! %s: %s\n", f.File, e.say(f.Text))
	}
}

type evidenceStampCmd struct {
	File   string `arg:"" help:"The package." placeholder:"FILE.zip"`
	Token  string `arg:"" help:"The authority's answer (RFC 3161) to a request that was made of the package's manifest.json." placeholder:"TOKEN.tsr"`
	Output string `short:"o" help:"File to write; an existing one is not overwritten." required:"" placeholder:"FILE.zip"`
	JSON   bool   `help:"Print JSON."`
}

func (c *evidenceStampCmd) Run(e *env) error {
	raw, err := pipeline.ReadFile(c.File, maxEvidence)
	if err != nil {
		return pathError("FILE", c.File, err, "check the path and its permissions", "请检查路径及其权限")
	}
	refused := func(why *evidence.StampError) error {
		return usagef(pipeline.Text{EN: c.Token + ": the timestamp token cannot be put in: " + why.Text.EN, ZH: c.Token + "：无法加入该时间戳令牌：" + why.Text.ZH})
	}
	token, err := pipeline.ReadFile(c.Token, evidence.MaxStamp)
	switch {
	case errors.Is(err, pipeline.ErrTooLong):
		return refused(evidence.ErrStampLarge)
	case err != nil:
		return pathError("TOKEN", c.Token, err, "check the path and its permissions", "请检查路径及其权限")
	}
	out, s, err := evidence.AddStamp(raw, token)
	var wrong *evidence.StampError
	var damaged *evidence.DamagedError
	switch {
	case errors.As(err, &wrong):
		return refused(wrong)
	case errors.As(err, &damaged):
		e.evidenceResult(damaged.Result)
		return &errNotIntact{len(damaged.Result.Findings)}
	case errors.Is(err, evidence.ErrStamped):
		return usagef(pipeline.Text{EN: c.File + ": " + err.Error(), ZH: c.File + "：证据包中已有时间戳"})
	case err != nil:
		return noEvidence(c.File, err)
	}
	f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return pathError("--output", c.Output, err, "name a new file in a folder that you may write to", "请在可写的文件夹中指定一个新文件")
	}
	_, err = f.Write(out)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.Output))
	}
	if c.JSON {
		return e.printJSON(map[string]any{"file": c.Output, "stamped": s})
	}
	e.stamped(s)
	return nil
}

// stamped prints what a timestamp token says.
func (e *env) stamped(s evidence.Stamp) {
	at := s.At.Format("2006-01-02 15:04:05Z")
	const how = "openssl ts -verify -data manifest.json -in timestamp.tsr -CAfile CA.pem"
	say := pipeline.Text{
		EN: fmt.Sprintf("  stamped %s by %s; the authority itself is not verified: %s", at, s.By, how),
		ZH: fmt.Sprintf("  %s 由 %s 加盖时间戳；未核实该机构本身：%s", at, s.By, how),
	}
	if s.Unchecked != nil {
		say = pipeline.Text{
			EN: fmt.Sprintf("  a timestamp that says %s is there; its signature was NOT checked, so anybody may have written it: %s; check it with %s", at, s.Unchecked.EN, how),
			ZH: fmt.Sprintf("  含有记载 %s 的时间戳；其签名未经核验，任何人都可能写入：%s；请核验：%s", at, s.Unchecked.ZH, how),
		}
	}
	fmt.Fprintln(e.out, e.say(say))
}

// noEvidence names a file that is no evidence package.
func noEvidence(file string, err error) error {
	var none *evidence.PackageError
	if !errors.As(err, &none) {
		return err
	}
	return usagef(pipeline.Text{
		EN: file + ": " + none.Text.EN + "; name a file that `onsite evidence export` wrote",
		ZH: file + "：" + none.Text.ZH + "；请指定由 onsite evidence export 导出的文件",
	})
}
