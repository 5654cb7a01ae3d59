package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"onsite/api/client"
	"onsite/pipeline"
)

type modelsShadowCmd struct {
	Name   []string `arg:"" help:"Name of a model of the service, NAME@VERSION, or its id. Several are tried together."`
	Share  float64  `help:"Part of the jobs that are run again with it." default:"0.1" placeholder:"0..1"`
	Budget float64  `help:"Processor cores that each process may spend on it." default:"0.25" placeholder:"CORES"`
	Past   int      `help:"Run so many of the newest finished jobs, too." placeholder:"N"`
	remoteFlags
}

func (c *modelsShadowCmd) Run(ctx context.Context, e *env) error {
	return change(ctx, e, c.remoteFlags, c.Name, "shadow", map[string]any{"share": c.Share, "budget": c.Budget, "past": c.Past}, func(m client.ModelChange) pipeline.Text {
		return pipeline.Text{
			EN: fmt.Sprintf("%s runs beside the active model on %.3g %% of the jobs; no verdict changes (epoch %d). Next: onsite models compare-live %s", m.Model.Name, 100*c.Share, m.Epoch.Number, m.Model.Name),
			ZH: fmt.Sprintf("%s 正在 %.3g %% 的任务上旁路试运行，不影响结论（批次 %d）。下一步：onsite models compare-live %s", m.Model.Name, 100*c.Share, m.Epoch.Number, m.Model.Name),
		}
	})
}

type modelsCanaryCmd struct {
	Name       []string `arg:"" help:"Name of a model of the service, NAME@VERSION, or its id. Several are tried together."`
	Share      float64  `help:"Part of the jobs whose verdicts it makes." placeholder:"0..1"`
	ForTenants []string `help:"All jobs of these tenants." placeholder:"TENANT" sep:","`
	remoteFlags
}

func (c *modelsCanaryCmd) Run(ctx context.Context, e *env) error {
	return change(ctx, e, c.remoteFlags, c.Name, "canary", map[string]any{"share": c.Share, "tenants": append([]string{}, c.ForTenants...)}, func(m client.ModelChange) pipeline.Text {
		return pipeline.Text{
			EN: fmt.Sprintf("%s makes some of the verdicts, which say so in runtime.model_set (epoch %d); onsite models rollback %s ends it", m.Model.Name, m.Epoch.Number, m.Model.Name),
			ZH: fmt.Sprintf("%s 已生成部分结论，结论的 runtime.model_set 有注明（批次 %d）；onsite models rollback %s 可结束", m.Model.Name, m.Epoch.Number, m.Model.Name),
		}
	})
}

type modelsRollbackCmd struct {
	Name string `arg:"" help:"Name of a model of the service, NAME@VERSION, or its id."`
	remoteFlags
}

func (c *modelsRollbackCmd) Run(ctx context.Context, e *env) error {
	return change(ctx, e, c.remoteFlags, []string{c.Name}, "rollback", nil, func(m client.ModelChange) pipeline.Text {
		return pipeline.Text{
			EN: fmt.Sprintf("%s is taken back; it is %s now (epoch %d)", m.Model.Name, m.Model.State, m.Epoch.Number),
			ZH: fmt.Sprintf("%s 已回退；当前状态 %s（批次 %d）", m.Model.Name, m.Model.State, m.Epoch.Number),
		}
	})
}

type modelsRetireCmd struct {
	Name string `arg:"" help:"Name of a model of the service, NAME@VERSION, or its id."`
	remoteFlags
}

func (c *modelsRetireCmd) Run(ctx context.Context, e *env) error {
	service, m, err := c.openModel(ctx, e, c.Name)
	if err != nil {
		return err
	}
	defer service.Close()
	if m, err = service.RetireModel(ctx, m.ID); err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(m)
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("%s %s is retired; its vectors are deleted, its files are kept for re-verifications", m.Name, m.Version),
		ZH: fmt.Sprintf("%s %s 已停用；其特征向量已删除，文件保留以供重新核验", m.Name, m.Version),
	}))
	return nil
}

type modelsCompareLiveCmd struct {
	Name       string  `arg:"" help:"Name of a model of the service, NAME@VERSION, or its id."`
	MinJobs    int     `help:"With fewer jobs the comparison does not pass." default:"50" placeholder:"N"`
	MaxChanged float64 `help:"The largest part of decisions that may differ." default:"0.02" placeholder:"0..1"`
	Report     string  `help:"Hand in this report instead, which \"onsite models compare\" wrote as JSON." placeholder:"FILE"`
	remoteFlags
}

// maxReport bounds a report that is handed in.
const maxReport = 4 << 20

func (c *modelsCompareLiveCmd) Run(ctx context.Context, e *env) error {
	service, m, err := c.openModel(ctx, e, c.Name)
	if err != nil {
		return err
	}
	defer service.Close()
	if c.Report != "" {
		raw, err := pipeline.ReadFile(c.Report, maxReport)
		if err != nil {
			return pathError("--report", c.Report, err, "name a report in JSON", "请指定 JSON 报告")
		}
		if m, err = service.PutModelReport(ctx, m.ID, raw); err != nil {
			return remotely(err)
		}
		if c.JSON {
			err = e.printJSON(m)
		} else {
			fmt.Fprintln(e.out, e.say(pipeline.Text{EN: fmt.Sprintf("the report is kept; passed: %v", m.Passed), ZH: fmt.Sprintf("报告已保存；通过：%v", m.Passed)}))
		}
		if err == nil && !m.Passed {
			err = errNotPassed(m.Name)
		}
		return err
	}
	raw, err := service.CompareModel(ctx, m.ID, c.MinJobs, c.MaxChanged)
	if err != nil {
		return remotely(err)
	}
	var r struct {
		Jobs, Changed int
		CI95          [2]float64 `json:"ci95"`
		Flips         map[string]int
		Came, Went    map[string]int
		Scores        map[string]struct {
			Jobs int
			Mean float64
		}
		Passed bool
		Why    []pipeline.Text
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read the service's comparison: %w", err)
	}
	if c.JSON {
		if err := e.printJSON(raw); err != nil || r.Passed {
			return err
		}
		return errNotPassed(m.Name)
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("%d jobs, %d with another decision (%.2f to %.2f %% at 95 %%); reasons that came: %s, went: %s; flips: %s", r.Jobs, r.Changed, 100*r.CI95[0], 100*r.CI95[1],
			counted(r.Came, "none"), counted(r.Went, "none"), counted(r.Flips, "none")),
		ZH: fmt.Sprintf("%d 个任务，%d 个结论不同（95 %% 区间 %.2f 至 %.2f %%）；新增原因：%s，消失原因：%s；变化：%s", r.Jobs, r.Changed, 100*r.CI95[0], 100*r.CI95[1],
			counted(r.Came, "无"), counted(r.Went, "无"), counted(r.Flips, "无")),
	}))
	for _, check := range slices.Sorted(maps.Keys(r.Scores)) {
		s := r.Scores[check]
		fmt.Fprintln(e.out, e.say(pipeline.Text{EN: fmt.Sprintf("score of %s: %+.4f on average (%d jobs)", check, s.Mean, s.Jobs), ZH: fmt.Sprintf("%s 分数平均变化 %+.4f（%d 个任务）", check, s.Mean, s.Jobs)}))
	}
	if r.Passed {
		fmt.Fprintln(e.out, e.say(pipeline.Text{EN: "passed; next: onsite models promote " + m.Name, ZH: "通过；下一步：onsite models promote " + m.Name}))
		return nil
	}
	for _, w := range r.Why {
		fmt.Fprintln(e.out, e.say(pipeline.Text{EN: "not passed: " + w.EN, ZH: "未通过：" + w.ZH}))
	}
	return errNotPassed(m.Name)
}

// counted writes counts by name in the order of the names, or what there is to say of none.
func counted(by map[string]int, none string) string {
	if len(by) == 0 {
		return none
	}
	all := make([]string, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		all = append(all, fmt.Sprintf("%s %d", name, by[name]))
	}
	return strings.Join(all, ", ")
}

// errNotPassed ends a comparison that did not pass: a script must not go on to the promotion.
func errNotPassed(name string) error {
	return &remoteError{code: exitRefused, rule: "comparison_not_passed", text: pipeline.Text{
		EN: fmt.Sprintf("the comparison of %s did not pass", name), ZH: fmt.Sprintf("模型 %s 的比较未通过", name),
	}}
}

type modelsPromoteCmd struct {
	Name     []string `arg:"" help:"Name of a model of the service, NAME@VERSION, or its id. Several become active in one step."`
	Override string   `help:"Why it is promoted without a comparison that passed; it is logged." placeholder:"REASON"`
	DryRun   bool     `help:"Only say what would be, and what cannot be embedded again."`
	remoteFlags
}

func (c *modelsPromoteCmd) Run(ctx context.Context, e *env) error {
	service, all, err := c.openModels(ctx, e, c.Name)
	if err != nil {
		return err
	}
	defer service.Close()
	m := all[0]
	plan, err := service.PromoteModel(ctx, m.ID, partners(all), c.Override, c.DryRun)
	if err != nil {
		return remotely(err)
	}
	if !c.JSON {
		fmt.Fprintln(e.out, e.say(pipeline.Text{
			EN: fmt.Sprintf("%d enrolled photos: %d have a vector under %s, %d cannot have one", plan.Photos, plan.Embedded, m.Name, plan.Gaps),
			ZH: fmt.Sprintf("%d 张登记照片：%d 张已有 %s 的特征向量，%d 张无法生成", plan.Photos, plan.Embedded, m.Name, plan.Gaps),
		}))
		for _, n := range plan.Notes {
			fmt.Fprintln(e.out, "- "+e.say(n))
		}
	}
	if plan.Promotion == nil {
		if c.JSON {
			return e.printJSON(plan.Raw)
		}
		return nil
	}
	p, err := awaitPromotion(ctx, e, service, plan.Promotion.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(p)
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("%s is active (epoch %d); %d photos have their vector, %d cannot have one. Back: onsite models rollback %s", m.Name, p.Epoch, p.Done-p.Gaps, p.Gaps, m.Name),
		ZH: fmt.Sprintf("%s 已启用（批次 %d）；%d 张照片已生成特征向量，%d 张无法生成。回退：onsite models rollback %s", m.Name, p.Epoch, p.Done-p.Gaps, p.Gaps, m.Name),
	}))
	return nil
}

// awaitPromotion follows a promotion to its end. It goes on in the service whether or not anybody follows.
func awaitPromotion(ctx context.Context, e *env, service *client.Client, id string) (client.Promotion, error) {
	bar := newProgress(e)
	defer bar.close()
	told := ""
	for {
		p, err := service.Promotion(ctx, id, pollFor)
		if err != nil {
			return p, remotely(err)
		}
		switch p.State {
		case "done":
			return p, nil
		case "failed", "cancelled":
			text := pipeline.Text{EN: "the promotion has " + p.State + ", and nothing has changed", ZH: "启用未完成（" + p.State + "），未作任何更改"}
			if p.Why != nil {
				text.EN, text.ZH = text.EN+": "+p.Why.Text.EN, text.ZH+"："+p.Why.Text.ZH
			}
			return p, &remoteError{code: exitOther, rule: "promotion_" + p.State, text: text}
		}
		what := pipeline.Text{EN: "photos embedded (" + p.State + ")", ZH: "已处理照片（" + p.State + "）"}
		if p.Why != nil { // why it does not go on
			what = pipeline.Text{EN: p.Why.Text.EN, ZH: p.Why.Text.ZH}
			if p.Why.Rule != told {
				told = p.Why.Rule
				fmt.Fprintln(e.err, "onsite:", e.say(what))
			}
		}
		bar.show(int(p.Photos), int(p.Done), e.say(what))
	}
}
