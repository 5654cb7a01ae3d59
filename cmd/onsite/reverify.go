package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/verify"
)

// reverifyCmd makes verdicts again, one after the other. With --log it can be stopped at any time and goes on where it was.
type reverifyCmd struct {
	Jobs   []string `arg:"" optional:"" help:"The jobs. Without any: all that the filters leave."`
	Recipe string   `help:"pinned: by the recipe that the verdict names, or not at all; current: by the models that run on the server and the newest revision of the policy, to see what these would change; sha256:...: by the models and the policy of another verdict's recipe." default:"pinned" placeholder:"RECIPE"`
	verdictFilter
	Limit int    `help:"How many at most, newest first. Says so when there are more." default:"1000" placeholder:"N"`
	Log   string `help:"File to which each result is added as a line of JSON; jobs that are in it already are not made again." placeholder:"FILE"`

	remoteFlags
}

var recipeName = regexp.MustCompile(`^(pinned|current|sha256:[0-9a-f]{64})$`)

func (c *reverifyCmd) Run(ctx context.Context, e *env) error {
	switch {
	case !recipeName.MatchString(c.Recipe):
		return usagef(pipeline.Text{
			EN: fmt.Sprintf("--recipe %s: want pinned, current, or the digest of a recipe (sha256: and 64 digits, as in a verdict's JSON)", c.Recipe),
			ZH: fmt.Sprintf("--recipe %s：应为 pinned、current 或配方的摘要（sha256: 加 64 位十六进制数，见结论 JSON）", c.Recipe),
		})
	case len(c.Jobs) > 0 && c.any():
		return usagef(pipeline.Text{EN: "name jobs, or filters, not both", ZH: "请只给出任务，或只给出筛选条件"})
	case len(c.Jobs) == 0 && !c.any() && c.Log == "":
		return usagef(pipeline.Text{EN: "name the jobs, or a filter (--from, --site, ...); for all of them give --log FILE", ZH: "请给出任务或筛选条件（--from、--site 等）；要全部核验请给出 --log FILE"})
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	jobs := c.Jobs
	if len(jobs) == 0 {
		var more bool
		if jobs, more, err = c.list(ctx, service); err != nil {
			return remotely(err)
		}
		if more {
			fmt.Fprintln(e.err, "onsite:", e.say(pipeline.Text{
				EN: fmt.Sprintf("there are more than %d verdicts: only the newest %[1]d are made again; set --limit higher for the others", c.Limit),
				ZH: fmt.Sprintf("结论超过 %d 份：仅重新核验最新的 %[1]d 份；如需其余结论，请调高 --limit", c.Limit),
			}))
		}
	}
	done, log, err := c.resume()
	if err != nil {
		return err
	}
	if log != nil {
		defer log.Close()
	}
	sum := reverified{Agreements: map[string]int{}}
	bar := newProgress(e)
	defer bar.close()
	for i, job := range jobs {
		r, seen := done[job]
		if !seen {
			if r, err = service.Reverify(ctx, job, c.Recipe); err != nil {
				bar.close()
				return c.stopped(err, job, i, len(jobs))
			}
			if err := c.keepLine(log, r); err != nil {
				return fmt.Errorf("write to %s: %w", c.Log, err)
			}
		}
		bar.show(len(jobs), i+1, e.say(pipeline.Text{EN: "verdicts made again", ZH: "已重新核验"}))
		sum.add(r)
		if !c.JSON && (len(jobs) <= 20 || r.Agreement != "equal" || r.InForce != nil) {
			bar.close()
			e.reverification(r)
		}
	}
	bar.close()
	if c.JSON {
		return e.printJSON(sum)
	}
	return sum.print(e)
}

// stopped says where a run ended, and how it goes on: what is wrong with one verdict is a result, an error is of the service or the call.
func (c *reverifyCmd) stopped(err error, job string, done, all int) error {
	err = remotely(err)
	var remote *remoteError
	switch {
	case errors.Is(err, context.Canceled):
		remote = &remoteError{code: exitOther, rule: "interrupted", text: pipeline.Text{EN: errInterrupted.Error(), ZH: "已中断"}, err: err}
	case !errors.As(err, &remote):
		return err
	}
	at := *remote
	en, zh := fmt.Sprintf("job %s, after %d of %d verdicts: ", job, done, all), fmt.Sprintf("任务 %s（已完成 %d/%d）：", job, done, all)
	at.text = pipeline.Text{EN: en + at.text.EN, ZH: zh + at.text.ZH}
	if c.Log != "" && done > 0 {
		at.text.EN += "\n" + c.Log + " keeps what is done: run the same command again to go on"
		at.text.ZH += "\n" + c.Log + " 已保存完成的结果：再次运行同一命令即可继续"
	}
	return &at
}

// reverified sums up a run.
type reverified struct {
	Verdicts   int                     `json:"verdicts"`
	Agreements map[string]int          `json:"agreements"`
	Flips      map[string]int          `json:"flips,omitempty"` // "pass -> review"
	Results    []client.Reverification `json:"results"`
}

func (s *reverified) add(r client.Reverification) {
	s.Verdicts++
	s.Agreements[r.Agreement]++
	if r.Before != r.Now {
		if s.Flips == nil {
			s.Flips = map[string]int{}
		}
		s.Flips[string(r.Before)+" -> "+string(r.Now)]++
	}
	s.Results = append(s.Results, r)
}

// agreementText names the agreements.
var agreementText = map[string]pipeline.Text{
	"equal":            {EN: "equal", ZH: "相同"},
	"within_tolerance": {EN: "equal within tolerance", ZH: "在容差内相同"},
	"near_threshold":   {EN: "differs near a threshold", ZH: "在阈值附近不同"},
	"different":        {EN: "different", ZH: "不同"},
	"impossible":       {EN: "cannot be made again", ZH: "无法重新核验"},
}

func (s *reverified) print(e *env) error {
	if s.Verdicts == 0 {
		_, err := fmt.Fprintln(e.out, e.say(pipeline.Text{EN: "no verdict is left by the filters", ZH: "没有符合筛选条件的结论"}))
		return err
	}
	var parts []string
	for _, name := range []string{"equal", "within_tolerance", "near_threshold", "different", "impossible"} {
		if n := s.Agreements[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, e.say(agreementText[name])))
		}
	}
	for _, flip := range slices.Sorted(maps.Keys(s.Flips)) {
		parts = append(parts, fmt.Sprintf("%d %s", s.Flips[flip], flip))
	}
	_, err := fmt.Fprintf(e.out, e.say(pipeline.Text{EN: "verdicts: %d (%s)\n", ZH: "结论：%d 个（%s）\n"}), s.Verdicts, strings.Join(parts, e.say(pipeline.Text{EN: ", ", ZH: "、"})))
	return err
}

func (e *env) reverification(r client.Reverification) {
	fmt.Fprintf(e.out, "%s: %s", r.Job, e.say(agreementText[r.Agreement]))
	switch {
	case r.Text != nil:
		fmt.Fprintf(e.out, ": %s", e.say(*r.Text))
	case r.Before != r.Now:
		fmt.Fprintf(e.out, " (%s -> %s)", e.say(decided(r.Before)), e.say(decided(r.Now)))
	default:
		fmt.Fprintf(e.out, " (%s)", e.say(decided(r.Now)))
	}
	fmt.Fprintln(e.out)
	if now := r.InForce; now != nil {
		fmt.Fprintf(e.out, "    %s\n", e.say(pipeline.Text{
			EN: fmt.Sprintf("this is revision 1, what the program found; in force is revision %d (%s), which marks or late comparisons changed and which is not made again", now.Revision, now.Decision),
			ZH: fmt.Sprintf("此处为第 1 版，即程序当时得出的结论；现行的是第 %d 版（%s），由标记或补充比对更改，不会重新得出", now.Revision, decided(now.Decision).ZH),
		}))
	}
	for _, line := range r.Recipe {
		fmt.Fprintf(e.out, "    %s\n", line)
	}
	for _, d := range r.Checks {
		if d.Agreement == "equal" {
			if d.Now.Near {
				fmt.Fprintf(e.out, "    %s: %s\n", d.Check, e.side(d.Now))
			}
			continue
		}
		fmt.Fprintf(e.out, "    %s: %s; %s -> %s\n", d.Check, e.say(agreementText[string(d.Agreement)]), e.side(d.Before), e.side(d.Now))
	}
	if r.Gone > 0 {
		fmt.Fprintf(e.out, "    %s\n", e.say(pipeline.Text{
			EN: fmt.Sprintf("%d earlier recordings, or others with the device, are not there any more", r.Gone), ZH: fmt.Sprintf("有 %d 份更早的录像（或同设备的其他人员）已不存在", r.Gone),
		}))
	}
}

// side is what one of two verdicts says of a check, in short.
func (e *env) side(s verify.Side) string {
	text := fmt.Sprintf("%s %s %v", s.Outcome, score(s.Score), s.Codes)
	if s.Near {
		text += e.say(pipeline.Text{EN: " (near its threshold)", ZH: "（接近阈值）"})
	}
	return text
}

func score(s *float64) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", *s)
}

// list gives the newest jobs, at most Limit; more: there are others.
func (c *reverifyCmd) list(ctx context.Context, service *client.Client) (jobs []string, more bool, err error) {
	rows, err := gather(c.Limit+1, func(cursor string, limit int) (client.Page[client.VerdictRow], error) {
		return service.Verdicts(ctx, c.client(), cursor, limit)
	})
	more = len(rows) > c.Limit
	for _, r := range rows[:min(len(rows), c.Limit)] {
		jobs = append(jobs, r.Job)
	}
	return jobs, more, err
}

// maxLog bounds the file of --log that is read again.
const maxLog = 256 << 20

// resume reads what an earlier run wrote, and opens the file for more. A line that was cut off when the run was killed is made again.
func (c *reverifyCmd) resume() (done map[string]client.Reverification, log *os.File, err error) {
	done = map[string]client.Reverification{}
	if c.Log == "" {
		return done, nil, nil
	}
	raw, err := pipeline.ReadFile(c.Log, maxLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, pathError("--log", c.Log, err, "name a file that you may write", "请指定可写的文件")
	}
	whole := raw[:bytes.LastIndexByte(raw, '\n')+1]
	for line := range bytes.Lines(whole) {
		var l client.Reverification
		if err := json.Unmarshal(line, &l); err != nil || l.Job == "" || l.Asked == "" {
			return nil, nil, usagef(pipeline.Text{EN: fmt.Sprintf("--log %s: it is not what an earlier run wrote", c.Log), ZH: fmt.Sprintf("--log %s：不是先前运行写入的内容", c.Log)})
		}
		if l.Asked != c.Recipe {
			return nil, nil, usagef(pipeline.Text{
				EN: fmt.Sprintf("--log %s: it was written with --recipe %s, and this run has %s; name another file, or that recipe", c.Log, l.Asked, c.Recipe),
				ZH: fmt.Sprintf("--log %s：该文件以 --recipe %s 写入，而本次为 %s；请指定其他文件或使用相同的配方", c.Log, l.Asked, c.Recipe),
			})
		}
		done[l.Job] = l
	}
	if log, err = os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		if err = log.Truncate(int64(len(whole))); err == nil {
			_, err = log.Seek(0, 2)
		}
	}
	if err != nil {
		return nil, nil, pathError("--log", c.Log, err, "name a file that you may write", "请指定可写的文件")
	}
	return done, log, nil
}

func (c *reverifyCmd) keepLine(log *os.File, r client.Reverification) error {
	if log == nil {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = log.Write(append(line, '\n'))
	return err
}
