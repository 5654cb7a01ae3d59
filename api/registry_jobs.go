package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/pipeline/compare"
	"onsite/results"
)

type beginComparisonInput struct {
	Body struct {
		Models     []string          `json:"models" minItems:"1" maxItems:"9" doc:"ids of the models that are tried together, of one scope"`
		Site       string            `json:"site,omitempty" maxLength:"64" doc:"only jobs of this site"`
		Subject    string            `json:"subject,omitempty" maxLength:"64" doc:"only jobs of this subject"`
		Policy     string            `json:"policy,omitempty" maxLength:"64" doc:"only jobs under this policy"`
		From       time.Time         `json:"from,omitempty" doc:"submitted at or after"`
		To         time.Time         `json:"to,omitempty" doc:"submitted before"`
		Limit      int               `json:"limit,omitempty" minimum:"1" maximum:"5000" default:"500" doc:"the newest jobs, at most so many"`
		AllTenants bool              `json:"all_tenants,omitempty" doc:"jobs of all tenants that run what the models replace, for the operator; else your own"`
		Budget     float64           `json:"budget,omitempty" minimum:"0.01" maximum:"1" default:"0.5" doc:"processor cores that it may use"`
		Limits     *ComparisonLimits `json:"limits,omitempty" doc:"what the report must stay within to pass; set them before you look"`
		Labels     map[string]string `json:"labels,omitempty" doc:"what is known of jobs: genuine or impostor; without any there are no error rates and curves"`
		// Groups have the columns that a person declared, by job or subject.
		Groups map[string]map[string]string `json:"groups,omitempty" doc:"groups beside site, policy and light: job or subject -> column -> value"`
	}
}

// ComparisonLimits are what a report must stay within to pass.
type ComparisonLimits struct {
	Disagreement float64 `json:"disagreement,omitempty" minimum:"0" maximum:"1" default:"0.05" doc:"decisions that may differ, as a share of all"`
	Loosened     float64 `json:"loosened,omitempty" minimum:"0" maximum:"1" default:"0.01" doc:"jobs, but those labelled genuine, that may newly pass, as a share of those that did not"`
	Misses       float64 `json:"fnmr_more,omitempty" minimum:"0" maximum:"1" default:"0.02" doc:"how much more often genuine jobs may be called abnormal, as a share"`
	Slower       float64 `json:"slower,omitempty" exclusiveMinimum:"0" maximum:"1000" default:"2" doc:"how many times as much processor time a job may take (median)"`
	Cases        int     `json:"cases,omitempty" minimum:"1" maximum:"5000" default:"100" doc:"how many jobs there must be"`
}

// Comparison is a comparison over stored jobs.
type Comparison struct {
	ID        string                  `json:"id"`
	Scope     string                  `json:"scope" enum:"installation,tenant"`
	Models    []string                `json:"models" nullable:"false"`
	Data      string                  `json:"data" doc:"which jobs"`
	DataText  pipeline.Text           `json:"data_text"`
	Epoch     int64                   `json:"epoch" doc:"what was active when it began is what the models are compared with"`
	State     results.ComparisonState `json:"state" enum:"running,paused,done,failed,cancelled"`
	Jobs      int64                   `json:"jobs"`
	Done      int64                   `json:"done" doc:"that ran under both"`
	Gone      int64                   `json:"gone" doc:"that are left out: the person was erased or withdrew consent, the media is not kept any more, or running them again failed; the report tells them apart"`
	Passed    bool                    `json:"passed"`
	SHA256    string                  `json:"sha256,omitempty" doc:"of report.json in the package, for whoever signs it"`
	Summary   json.RawMessage         `json:"summary,omitempty" doc:"of a finished one; the whole report is in the package"`
	Why       *results.Why            `json:"why,omitempty" doc:"why it failed, or does not go on"`
	By        string                  `json:"by" doc:"id of the API key"`
	CreatedAt time.Time               `json:"created_at"`
	ChangedAt time.Time               `json:"changed_at"`
}

func showComparison(c results.ModelComparison) Comparison {
	var ask results.ComparisonAsk
	_ = json.Unmarshal(c.Ask, &ask) // what this server wrote itself
	out := Comparison{ID: c.ID, Scope: scopeInstallation, Models: c.Models, Data: ask.Words.EN, DataText: ask.Words, Epoch: c.Epoch, State: c.State, Jobs: c.Total, Done: c.Done, Gone: c.Gone, Passed: c.Passed, SHA256: c.Digest,
		Summary: c.Summary, Why: c.Why, By: c.Actor, CreatedAt: c.Created.UTC(), ChangedAt: c.Changed.UTC()}
	if c.Scope != "" {
		out.Scope = scopeTenant
	}
	return out
}

type comparisonOutput struct{ Body Comparison }

func (s *Server) comparisonRoutes(tag string) {
	register(s, describe(post, "/v1/registry/comparisons", opComparisonBegin, tag, "Compare models with the active ones over stored jobs", answers(http.StatusAccepted),
		explained("The jobs of a filter are run again under what is active and under the models, from the stored media and the pinned inputs, one at a time, beside the work of the service; no verdict changes. "+
			"It ends in a report (HTML in two languages, JSON, plots): decisions that differ, flips, reasons, scores, error curves where there are labels, groups by site, policy, light and what you hand in, time. One that passed allows the promotion of just these models.")), s.beginComparison)
	register(s, describe(get, "/v1/registry/comparisons", opComparisons, tag, "List comparisons over stored jobs", explained("Newest first.")), s.listComparisons)
	register(s, describe(get, "/v1/registry/comparisons/{id}", opComparison, tag, "Read how far a comparison is",
		explained("With wait the answer comes when it runs no longer, or the time is over.")), s.getComparison)
	pack := describe(get, "/v1/registry/comparisons/{id}/package", opComparisonPack, tag, "The report of a comparison",
		explained("One zip file: report.json, report.en.html, report.zh.html, det.svg (where there are labels), scores.svg. Who releases the models signs report.json."))
	pack.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/zip": {Schema: binary("the package")}}}}
	register(s, pack, s.comparisonPackage)
	register(s, describe(post, "/v1/registry/comparisons/{id}/pause", opComparisonPause, tag, "Pause a comparison", explained("The job that runs ends first.")), s.pauseComparison)
	register(s, describe(post, "/v1/registry/comparisons/{id}/resume", opComparisonResume, tag, "Go on with a paused comparison"), s.resumeComparison)
	register(s, describe(del, "/v1/registry/comparisons/{id}", opComparisonEnd, tag, "Cancel a comparison", explained("What it has found so far is deleted.")), s.cancelComparison)
}

func (s *Server) beginComparison(ctx context.Context, in *beginComparisonInput) (*comparisonOutput, error) {
	b := in.Body
	all, err := s.together(ctx, b.Models[0], Together{With: b.Models[1:]}, "Only one that was checked and is not active can be compared.", "只有已通过检查且尚未启用的模型才能比较。",
		results.ModelChecked, results.ModelShadow, results.ModelCanary, results.ModelStandby)
	if errors.Is(err, results.ErrNotFound) {
		return nil, unknown("body.models", say("there is no such model", "没有该模型"), pipeline.Text{})
	}
	if err != nil {
		return nil, err
	}
	for job, label := range b.Labels {
		if l := compare.Label(label); l != compare.Genuine && l != compare.Impostor {
			return nil, invalid("body.labels", "enum", label, say("job %s: %q is not genuine or impostor", "任务 %s：%q 不是 genuine 或 impostor", job, label), pipeline.Text{})
		}
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.unobstructed(ctx, active.Doc, all...); err != nil {
		return nil, err
	}
	if b.AllTenants && all[0].Tenant != "" {
		return nil, invalid("body.all_tenants", "scope", nil, say("these models are for one tenant", "这些模型仅适用于一个租户"), say("leave it out", "请去掉该字段"))
	}
	tenants, err := s.whose(ctx, b.AllTenants)
	if err != nil {
		return nil, err
	}
	trial := results.Epoch{}.Shadowed(all[0], 1, 1, all[1:]...).Doc.Shadows[0]
	tenants = slices.DeleteFunc(tenants, func(t string) bool { return !active.Doc.Concerns(trial, t) })
	var jobs []results.ComparedJob
	for _, t := range tenants {
		some, err := s.jobsToCompare(ctx, t, in)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, some...)
	}
	slices.SortFunc(jobs, func(a, b results.ComparedJob) int { return strings.Compare(b.Job, a.Job) }) // ids are in the order of time
	jobs = jobs[:min(len(jobs), b.Limit)]
	if len(jobs) == 0 {
		return nil, invalid("body", "no_jobs", nil, say("no finished job is left by these filters", "没有符合条件的已完成任务"), say("widen them; a tenant with models of its own for these tasks is left out", "请放宽条件；对这些任务使用自有模型的租户不参与"))
	}
	ask := results.ComparisonAsk{Words: said(in, len(jobs), len(tenants)), Budget: b.Budget}
	for i := range jobs {
		if jobs[i].Body, err = known(in, jobs[i]); err != nil {
			return nil, err
		}
	}
	limits := compare.DefaultLimits()
	if l := b.Limits; l != nil {
		limits.Disagreement, limits.Loosened, limits.FNMRMore, limits.Slower, limits.Cases = l.Disagreement, l.Loosened, l.Misses, l.Slower, l.Cases
	}
	if ask.Limits, err = json.Marshal(limits); err != nil {
		return nil, err
	}
	c := results.ModelComparison{ID: ulid.Make().String(), Scope: all[0].Tenant, Models: b.Models, Epoch: active.Number, State: results.ComparisonRunning, Total: int64(len(jobs)), Actor: PrincipalOf(ctx).Key, Created: s.stamp()}
	c.Changed = c.Created
	if c.Ask, err = json.Marshal(ask); err != nil {
		return nil, err
	}
	switch err := s.Store.BeginComparison(ctx, c, jobs, s.comparisonEntry(ctx, c, "model.comparison", results.Sum(c.Ask))); {
	case errors.Is(err, results.ErrConflict):
		return nil, problem(codeState).with("A comparison of this model is under way; wait for its end or cancel it (GET /v1/registry/comparisons shows it).", "该模型的另一次比较正在进行；请等待其结束或取消（可用 GET /v1/registry/comparisons 查看）。").because(err)
	case err != nil:
		return nil, err
	}
	s.Bell.Ring(ctx, results.BellModels)
	return &comparisonOutput{showComparison(c)}, nil
}

func (s *Server) comparisonEntry(ctx context.Context, c results.ModelComparison, action, digest string) results.AuditEntry {
	return s.modelEntry(ctx, action, results.RegisteredModel{ID: c.ID, Tenant: c.Scope, Digest: digest})
}

// jobsToCompare lists a tenant's newest finished jobs that a comparison is about.
func (s *Server) jobsToCompare(ctx context.Context, tenant string, in *beginComparisonInput) (out []results.ComparedJob, err error) {
	f := results.VerdictFilter{Site: in.Body.Site, Subject: in.Body.Subject, From: in.Body.From, To: in.Body.To}
	for p := (results.Page{Limit: 500}); len(out) < in.Body.Limit; {
		rows, err := s.Store.Verdicts(ctx, tenant, f, p)
		if err != nil {
			return nil, err
		}
		for _, v := range rows {
			if (in.Body.Policy == "" || v.Policy == in.Body.Policy) && len(out) < in.Body.Limit {
				out = append(out, results.ComparedJob{Job: v.Job, Tenant: tenant, Subject: v.Subject})
			}
		}
		if len(rows) < p.Limit {
			break
		}
		p.After = verdictPlace(rows[len(rows)-1])
	}
	return out, nil
}

// known gives what was handed in of a job, as results.ComparedKnown; nil: nothing. What is said of the job itself counts for more than what is
// said of its subject.
func known(in *beginComparisonInput, j results.ComparedJob) (json.RawMessage, error) {
	k := results.ComparedKnown{Label: in.Body.Labels[j.Job], Groups: map[string]string{}}
	maps.Copy(k.Groups, in.Body.Groups[j.Subject])
	maps.Copy(k.Groups, in.Body.Groups[j.Job])
	if k.Label == "" && len(k.Groups) == 0 {
		return nil, nil
	}
	return json.Marshal(k)
}

// said names the jobs of a comparison in words that stand in its report.
func said(in *beginComparisonInput, jobs, tenants int) pipeline.Text {
	words := say("stored jobs: %d", "存储的任务：%d 个", jobs)
	add := func(t pipeline.Text) { words.EN, words.ZH = words.EN+", "+t.EN, words.ZH+"，"+t.ZH }
	if in.Body.AllTenants {
		add(say("tenants: %d", "租户：%d 个", tenants))
	}
	for _, w := range []struct{ en, zh, value string }{
		{"site", "地点", in.Body.Site}, {"subject", "人员", in.Body.Subject}, {"policy", "策略", in.Body.Policy}, {"from", "起始", stampText(in.Body.From)}, {"to", "截止", stampText(in.Body.To)},
	} {
		if w.value != "" {
			add(pipeline.Text{EN: w.en + " " + w.value, ZH: w.zh + " " + w.value})
		}
	}
	return words
}

func stampText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// comparison gives a comparison that the caller may see: of its own models, or as the operator, since the report names jobs.
func (s *Server) comparison(ctx context.Context, id string) (results.ModelComparison, error) {
	c, err := s.Store.Comparison(ctx, id)
	if err != nil {
		return c, err
	}
	if c.Scope == "" {
		return c, s.mustOperate(ctx)
	}
	if c.Scope != PrincipalOf(ctx).Tenant {
		return c, results.ErrNotFound
	}
	return c, nil
}

func (s *Server) listComparisons(ctx context.Context, in *struct {
	PageInput
	Scope string `query:"scope" enum:"installation,tenant" default:"tenant" doc:"whose models; those of the installation for its operator"`
}) (*struct{ Body List[Comparison] }, error) {
	scope := PrincipalOf(ctx).Tenant
	if in.Scope == scopeInstallation {
		if scope = ""; s.mustOperate(ctx) != nil {
			return nil, s.mustOperate(ctx)
		}
	}
	p, err := s.page(ctx, opComparisons, in.Scope, in.PageInput)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.ListComparisons(ctx, scope, p)
	if err != nil {
		return nil, err
	}
	return &struct{ Body List[Comparison] }{list(s, ctx, opComparisons, in.Scope, p, rows, func(c results.ModelComparison) string { return c.ID }, showComparison)}, nil
}

func (s *Server) getComparison(ctx context.Context, in *struct {
	request
	ULIDPath
	Wait string `query:"wait" maxLength:"16" doc:"30s: wait until it runs no longer, at most so long (the server's limit is 60 s)" example:"30s"`
}) (*comparisonOutput, error) {
	wait, err := s.waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	c, err := s.comparison(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	err = s.await(ctx, in.request, results.BellModels, wait, func() (bool, error) {
		c, err = s.Store.Comparison(ctx, in.ID)
		return c.State != results.ComparisonRunning, err
	})
	return &comparisonOutput{showComparison(c)}, err
}

func (s *Server) comparisonPackage(ctx context.Context, in *ULIDPath) (*huma.StreamResponse, error) {
	c, err := s.comparison(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if c.State != results.ComparisonDone {
		return nil, problem(codeState).with("The comparison is %[1]s: there is no report.", "比较状态为 %[1]s：没有报告。", c.State)
	}
	pack, err := s.Store.ComparisonPackage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="comparison-%s.zip"`, c.ID))
		_, _ = w.Write(pack) // the client is gone, then
	}}, nil
}

func (s *Server) pauseComparison(ctx context.Context, in *ULIDPath) (*comparisonOutput, error) {
	return s.changeComparison(ctx, in.ID, results.ComparisonPaused, "model.comparison.paused", results.ComparisonRunning)
}

func (s *Server) resumeComparison(ctx context.Context, in *ULIDPath) (*comparisonOutput, error) {
	return s.changeComparison(ctx, in.ID, results.ComparisonRunning, "model.comparison.resumed", results.ComparisonPaused)
}

func (s *Server) cancelComparison(ctx context.Context, in *ULIDPath) (*comparisonOutput, error) {
	return s.changeComparison(ctx, in.ID, results.ComparisonCancelled, "model.comparison.cancelled", results.ComparisonRunning, results.ComparisonPaused)
}

func (s *Server) changeComparison(ctx context.Context, id string, to results.ComparisonState, action string, from ...results.ComparisonState) (*comparisonOutput, error) {
	for {
		c, err := s.comparison(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := s.mayCompare(ctx, c); err != nil {
			return nil, err
		}
		was := c.State
		if !slices.Contains(from, was) {
			return nil, problem(codeState).with("The comparison is %[1]s.", "比较状态为 %[1]s。", was)
		}
		c.State, c.Why = to, nil
		err = s.Store.ChangeComparison(ctx, c, was, s.comparisonEntry(ctx, c, action, ""))
		if errors.Is(err, results.ErrStale) { // it went on meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		s.Bell.Ring(ctx, results.BellModels)
		return &comparisonOutput{showComparison(c)}, nil
	}
}

// mayCompare says whether the caller may change the models of a comparison.
func (s *Server) mayCompare(ctx context.Context, c results.ModelComparison) error {
	_, err := s.model(ctx, c.Models[0], true)
	return err
}
