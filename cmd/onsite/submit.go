package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/report"
)

type submitCmd struct {
	Media     string    `arg:"" help:"The clip or photo to submit."`
	Subject   string    `help:"Whose upload it is: id of the employee." required:"" placeholder:"ID"`
	Site      string    `help:"Id of the place of work." placeholder:"ID"`
	TakenAt   time.Time `help:"When it was taken (RFC 3339), by the device's clock." placeholder:"TIME"`
	Policy    string    `help:"Name of the policy. Default: video15 for clips, photo for photos." placeholder:"NAME"`
	Priority  string    `help:"clock_in goes first, bulk waits for everything else." enum:"clock_in,bulk" default:"clock_in"`
	Challenge string    `help:"Id of the challenge that the recording answers, from \"onsite challenge new\"." placeholder:"ID"`
	Wait      bool      `help:"Wait for the verdict and print it."`

	groundFlags
	remoteFlags
}

// Run submits. The same file with the same claim is the same submission, however often the command is repeated: its Idempotency-Key is
// made of them.
func (c *submitCmd) Run(ctx context.Context, e *env) error {
	if err := readable("MEDIA", c.Media); err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	key, err := c.key()
	if err != nil {
		return err
	}
	bar := newProgress(e)
	defer bar.close()
	claim := client.Claim{Subject: c.Subject, Site: c.Site, Policy: c.Policy, Priority: c.Priority, TakenAt: c.TakenAt, Beacons: c.Beacon, WiFi: c.WiFi, Challenge: c.Challenge}
	if claim.Location, claim.Device, err = c.claimed(); err != nil {
		return err
	}
	sending := e.say(pipeline.Text{EN: "sending (KB)", ZH: "正在发送（KB）"})
	accepted, err := service.Submit(ctx, claim, client.File{Name: filepath.Base(c.Media), Path: c.Media}, key, func(sent, total int64) {
		bar.show(int(total>>10), int(sent>>10), sending)
	})
	bar.close()
	if err != nil {
		return remotely(err)
	}
	if !c.Wait {
		return c.tell(e, accepted)
	}
	bar.show(-1, 0, e.say(pipeline.Text{EN: "waiting for the verdict", ZH: "等待结论"}))
	job, err := service.Await(ctx, accepted.Job)
	bar.close()
	if err != nil {
		return remotely(err)
	}
	return showEnd(ctx, e, service, job, filepath.Base(c.Media), c.JSON)
}

// key names the submission by what is submitted.
func (c *submitCmd) key() (string, error) {
	f, err := pipeline.OpenRegular(c.Media)
	if err != nil {
		return "", pathError("MEDIA", c.Media, err, "check the path and its permissions", "请检查路径及其权限")
	}
	defer f.Close()
	media := sha256.New()
	if _, err := io.Copy(media, f); err != nil {
		return "", fmt.Errorf("read %s: %w", c.Media, err)
	}
	at := ""
	if !c.TakenAt.IsZero() {
		at = c.TakenAt.UTC().Format(time.RFC3339Nano)
	}
	parts := []string{"onsite submit/1", hex.EncodeToString(media.Sum(nil)), c.Subject, c.Site, c.Policy, c.Priority, at}
	if c.Challenge != "" { // so that the keys of submissions without one stay what they were
		parts = append(parts, c.Challenge)
	}
	all := sha256.New()
	if ground := c.groundFlags; ground.At != "" || ground.Device != "" || ground.Mock || len(ground.Beacon)+len(ground.WiFi) > 0 {
		parts = append(parts, fmt.Sprintf("%q %q %q %q %t", ground.At, ground.Beacon, ground.WiFi, ground.Device, ground.Mock))
	}
	for _, part := range parts {
		fmt.Fprintf(all, "%d:%s", len(part), part)
	}
	return "submit-" + hex.EncodeToString(all.Sum(nil)[:16]), nil
}

func (c *submitCmd) tell(e *env, a client.Accepted) error {
	if c.JSON {
		return e.printJSON(map[string]any{"job": a.Job, "state": a.State, "repeated": a.Repeated})
	}
	fmt.Fprintln(e.out, a.Job)
	if a.Repeated {
		fmt.Fprintln(e.err, "onsite:", e.say(pipeline.Text{EN: "this was submitted before; the job is that of then", ZH: "此前已提交过；任务为当时的任务"}))
	}
	return nil
}

// showEnd prints how a job ended: the verdict, or why there is none.
func showEnd(ctx context.Context, e *env, service *client.Client, job client.Job, name string, asJSON bool) error {
	if job.State != "done" {
		return noVerdict(job)
	}
	v, raw, err := service.Verdict(ctx, job.Job)
	if err != nil {
		return remotely(err)
	}
	if asJSON {
		return e.printJSON(raw)
	}
	return report.Table(e.out, v, name, e.lang, tableWidth(e.out), isTerminal(e.out) && os.Getenv("NO_COLOR") == "")
}

// noVerdict says why a job has no verdict: refused media is exit state 3, as of "onsite verify".
func noVerdict(job client.Job) error {
	state := coded(jobStates, job.State)
	why, rule := state, job.State
	if job.Error != nil {
		why, rule = job.Error.Text, job.Error.Rule
	}
	err := &remoteError{code: exitOther, rule: rule}
	switch {
	case job.State == "refused":
		err.code = exitRefused
		err.text = pipeline.Text{EN: fmt.Sprintf("job %s was refused: %s", job.Job, why.EN), ZH: fmt.Sprintf("任务 %s 被拒绝：%s", job.Job, why.ZH)}
	case job.State == "dead":
		err.text = pipeline.Text{EN: fmt.Sprintf("job %s was given up: %s; \"onsite jobs %s --requeue\" lets it run again", job.Job, why.EN, job.Job),
			ZH: fmt.Sprintf("任务 %s 已放弃：%s；可用 “onsite jobs %s --requeue” 重新运行", job.Job, why.ZH, job.Job)}
	case job.Held:
		err.text = pipeline.Text{EN: fmt.Sprintf("job %s waits for a person or an installation: %s", job.Job, why.EN), ZH: fmt.Sprintf("任务 %s 等待人工处理或安装：%s", job.Job, why.ZH)}
	default:
		err.rule = "not_finished"
		err.text = pipeline.Text{EN: fmt.Sprintf("job %s has no verdict yet: it is %s", job.Job, job.State), ZH: fmt.Sprintf("任务 %s 尚无结论：%s", job.Job, state.ZH)}
	}
	return err
}

// waiting tells that a request is sent again.
func (e *env) waiting(why error, after time.Duration) {
	var text pipeline.Text
	if r, ok := remotely(why).(*remoteError); ok { //nolint:errorlint // made just here, never wrapped
		text = r.text
	}
	first, _, _ := strings.Cut(e.say(text), "\n")
	again := pipeline.Text{EN: fmt.Sprintf("trying again in %s", after.Round(time.Second/10)), ZH: fmt.Sprintf("%s 后重试", after.Round(time.Second/10))}
	fmt.Fprintf(e.err, "onsite: %s; %s\n", report.Clean(first), e.say(again))
}
