package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/compare"
)

// The part of "onsite models compare" that runs stored jobs of a service again.

// jobsFlags say which jobs of a service are compared.
type jobsFlags struct {
	Site       string    `help:"Only jobs of this place of work." placeholder:"ID" group:"Stored jobs"`
	Subject    string    `help:"Only jobs of this employee." placeholder:"ID" group:"Stored jobs"`
	Policy     string    `help:"Only jobs under this policy." placeholder:"NAME" group:"Stored jobs"`
	From       time.Time `help:"Submitted at or after (RFC 3339)." placeholder:"TIME" group:"Stored jobs"`
	To         time.Time `help:"Submitted before (RFC 3339)." placeholder:"TIME" group:"Stored jobs"`
	Limit      int       `help:"The newest jobs, at most so many (5000)." default:"500" placeholder:"N" group:"Stored jobs"`
	Labels     string    `help:"CSV file of what is known of jobs: columns job or subject, label (genuine, impostor), and any others as groups." placeholder:"FILE" group:"Stored jobs"`
	AllTenants bool      `help:"Jobs of all tenants; for the operator." group:"Stored jobs"`
	Budget     float64   `help:"Processor cores that the service may use for it." default:"0.5" placeholder:"CORES" group:"Stored jobs"`
}

// overJobs begins a comparison over stored jobs, waits for it and fetches its report.
func (c *modelsCompareCmd) overJobs(ctx context.Context, e *env) error {
	ask := client.ComparisonAsk{
		Site: c.Site, Subject: c.Subject, Policy: c.Policy, Limit: c.Limit, AllTenants: c.AllTenants, Budget: c.Budget,
		Limits: map[string]any{"disagreement": c.MaxDisagreement, "loosened": c.MaxLoosened, "fnmr_more": c.MaxMisses, "slower": c.MaxSlower, "cases": c.MinCases},
	}
	if !c.From.IsZero() {
		ask.From = &c.From
	}
	if !c.To.IsZero() {
		ask.To = &c.To
	}
	if c.Labels != "" {
		known, err := compare.ReadLabels(c.Labels)
		if err != nil {
			return pathError("--labels", c.Labels, err, "name a CSV file with a column job or subject", "请指定带 job 或 subject 列的 CSV 文件")
		}
		ask.Labels, ask.Groups = known.Jobs, known.Groups
	}
	service, models, err := c.openModels(ctx, e, c.With)
	if err != nil {
		return err
	}
	defer service.Close()
	for _, m := range models {
		ask.Models = append(ask.Models, m.ID)
	}
	began, err := service.BeginComparison(ctx, ask)
	if err != nil {
		return remotely(err)
	}
	fmt.Fprintln(e.err, "onsite:", e.say(pipeline.Text{
		EN: fmt.Sprintf("comparison %s over %s goes on in the service whether or not you wait: onsite models comparisons %[1]s", began.ID, began.Data.EN),
		ZH: fmt.Sprintf("比较 %s（%s）会在服务中继续，无需等待：onsite models comparisons %[1]s", began.ID, began.Data.ZH),
	}))
	return followComparison(ctx, e, service, began.ID, c.Out, c.JSON)
}

// followComparison waits for a comparison's end, and writes its report.
func followComparison(ctx context.Context, e *env, service *client.Client, id, out string, asJSON bool) error {
	bar := newProgress(e)
	defer bar.close()
	var c client.Comparison
	for {
		var err error
		if c, err = service.Comparison(ctx, id, pollFor); err != nil {
			return remotely(err)
		}
		if c.State != "running" {
			break
		}
		bar.show(int(c.Jobs), int(c.Done+c.Gone), e.say(pipeline.Text{EN: "jobs run under both", ZH: "已在两组模型下运行的任务"}))
	}
	bar.close()
	if c.State == "done" && out != "" {
		if err := fetchReport(ctx, service, id, out); err != nil {
			return err
		}
	}
	if asJSON {
		if err := e.printJSON(c); err != nil {
			return err
		}
	} else {
		e.comparison(c)
	}
	switch {
	case c.State == "paused":
		return nil
	case c.State != "done":
		text := pipeline.Text{EN: "the comparison has " + c.State, ZH: "比较未完成（" + c.State + "）"}
		if c.Why != nil {
			text.EN, text.ZH = text.EN+": "+c.Why.Text.EN, text.ZH+"："+c.Why.Text.ZH
		}
		return &remoteError{code: exitOther, rule: "comparison_" + c.State, text: text}
	case !c.Passed:
		return errNotPassed(c.ID)
	}
	return nil
}

// comparison prints a comparison.
func (e *env) comparison(c client.Comparison) {
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("%s: %s; %s, %d of %d jobs ran under both, %d are left out; passed: %v", c.ID, c.State, c.Data.EN, c.Done, c.Jobs, c.Gone, c.Passed),
		ZH: fmt.Sprintf("%s：%s；%s，%d/%d 个任务已在两组模型下运行，%d 个未计入；通过：%v", c.ID, c.State, c.Data.ZH, c.Done, c.Jobs, c.Gone, c.Passed),
	}))
	var said struct {
		Failed []pipeline.Text `json:"failed"`
	}
	if json.Unmarshal(c.Summary, &said) == nil { // of a finished one
		for _, why := range said.Failed {
			fmt.Fprintln(e.out, "  ! "+e.say(why))
		}
	}
	if c.SHA256 != "" {
		fmt.Fprintln(e.out, e.say(pipeline.Text{EN: "sha256 of report.json: ", ZH: "report.json 的 sha256："})+c.SHA256)
	}
}

// maxPackage bounds a report that is fetched, and each of its files.
const maxPackage = 64 << 20

// fetchReport writes the files of a comparison's package into a folder.
func fetchReport(ctx context.Context, service *client.Client, id, dir string) error {
	var b bytes.Buffer
	if err := service.ComparisonPackage(ctx, id, &b); err != nil {
		return remotely(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		return fmt.Errorf("read the comparison's package: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return pathError("--out", dir, err, "name a folder that you may write", "请指定可写的文件夹")
	}
	folder, err := os.OpenRoot(dir) // names in the package lead nowhere else
	if err != nil {
		return pathError("--out", dir, err, "name a folder that you may write", "请指定可写的文件夹")
	}
	defer folder.Close()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("read the comparison's package: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(r, maxPackage))
		_ = r.Close()
		if err != nil {
			return fmt.Errorf("read the comparison's package: %w", err)
		}
		if err := folder.WriteFile(f.Name, data, 0o644); err != nil {
			return pathError("--out", dir, err, "name a folder that you may write", "请指定可写的文件夹")
		}
	}
	return nil
}

// modelsComparisonsCmd shows comparisons over stored jobs and changes them.
type modelsComparisonsCmd struct {
	ID     string `arg:"" optional:"" help:"A comparison: waits for its end. Without one: the newest are listed."`
	Pause  bool   `help:"Pause it." xor:"act"`
	Resume bool   `help:"Go on with it, and wait." xor:"act"`
	Cancel bool   `help:"End it without a report." xor:"act"`
	Tenant bool   `help:"List those of the tenant's own models; else those of the installation's."`
	Out    string `help:"Write report.json, report.en.html, report.zh.html and the plots into this folder." placeholder:"DIR"`
	remoteFlags
}

// listedComparisons is how many a list shows.
const listedComparisons = 20

func (c *modelsComparisonsCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	if c.ID == "" {
		scope := "installation"
		if c.Tenant {
			scope = "tenant"
		}
		all, err := service.Comparisons(ctx, scope, "", listedComparisons)
		if err != nil {
			return remotely(err)
		}
		if c.JSON {
			return e.printJSON(all)
		}
		for _, one := range all.Items {
			e.comparison(one)
		}
		return nil
	}
	act := ""
	switch {
	case c.Pause:
		act = "pause"
	case c.Resume:
		act = "resume"
	case c.Cancel:
		act = "cancel"
	}
	if act != "" {
		changed, err := service.ChangeComparison(ctx, c.ID, act)
		if err != nil {
			return remotely(err)
		}
		if act != "resume" {
			if c.JSON {
				return e.printJSON(changed)
			}
			e.comparison(changed)
			return nil
		}
	}
	return followComparison(ctx, e, service, c.ID, c.Out, c.JSON)
}

// modelsVectorsCmd lists the vectors of enrolled photos by what made them, and deletes those that nothing needs.
type modelsVectorsCmd struct {
	Drop       string `help:"Delete the vectors of this name." placeholder:"NAME"`
	Force      bool   `help:"Also those that a rollback would find again: each person's next job makes theirs anew."`
	AllTenants bool   `help:"Of all tenants; for the operator."`
	remoteFlags
}

func (c *modelsVectorsCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	if c.Drop != "" {
		n, err := service.DropVectors(ctx, c.Drop, c.AllTenants, c.Force)
		if err != nil {
			return remotely(err)
		}
		if c.JSON {
			return e.printJSON(map[string]int64{"deleted": n})
		}
		fmt.Fprintln(e.out, e.say(pipeline.Text{EN: fmt.Sprintf("%d vectors are deleted", n), ZH: fmt.Sprintf("已删除 %d 个特征向量", n)}))
		return nil
	}
	all, err := service.Vectors(ctx, c.AllTenants)
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(map[string]any{"items": all})
	}
	rows := [][]string{e.heads("model", "模型", "photos", "照片", "needed by", "用途", "name", "名称")}
	for _, v := range all {
		uses := "-"
		if len(v.Uses) > 0 {
			uses = fmt.Sprint(v.Uses)
		}
		rows = append(rows, []string{v.Model, strconv.FormatInt(v.Photos, 10), uses, v.Name})
	}
	return columns(e.out, rows)
}
