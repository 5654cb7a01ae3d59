package registry

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/pipeline/compare"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
	"onsite/workers/core"
)

// Comparer runs stored jobs again under what is active and under candidates, for the comparisons of the store: one elected process, on one
// thread, one job at a time, within a budget of processor time. What is done is in the store, so that another goes on where one was killed. No
// verdict changes.
type Comparer struct {
	Host  *Host
	Store Store
	Bell  results.Bell // nil: it polls
	Name  string
	Log   *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics

	budgets map[string]*budget // by comparison
	last    string             // comparison that had its turn
	failed  map[[2]string]int  // by comparison and job: how often it could not be run just now
	count   int                // of jobs, so that either side comes first in turn
}

const (
	roleComparer = "comparison"
	ruleCompare  = "compare"
	// compareTries is how often a job is tried that fails for no reason that is the job's.
	compareTries = 3
)

// Run works until ctx ends.
func (c *Comparer) Run(ctx context.Context) error {
	var rung <-chan struct{}
	if c.Bell != nil {
		rung = c.Bell.Listen(ctx, results.BellModels)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		worked, err := c.Once(ctx)
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("a comparison of models does not go on; trying again", "error", err.Error())
		}
		if worked && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			_, _ = c.Store.Elect(last, roleComparer, c.Name, 0) // its term ends by itself, too
			cancel()
			return nil
		case <-tick.C:
		case <-rung:
		}
	}
}

// Once runs the next job of a comparison, or ends it, if this process is the elected one. Comparisons take turns, each within its own budget; one
// that does not go on just now keeps no other waiting.
func (c *Comparer) Once(ctx context.Context) (worked bool, err error) {
	all, err := c.Store.RunningComparisons(ctx)
	if err != nil || len(all) == 0 {
		return false, err
	}
	if mine, err := c.Store.Elect(ctx, roleComparer, c.Name, keeperTerm); err != nil || !mine {
		return false, err
	}
	ctx, release := hold(ctx, c.Store, roleComparer, c.Name)
	defer release()
	maps.DeleteFunc(c.budgets, func(id string, _ *budget) bool { return !slices.Contains(all, id) })
	next := slices.IndexFunc(all, func(id string) bool { return id > c.last })
	all = slices.Concat(all[max(next, 0):], all[:max(next, 0)])
	rest := lookEvery // so that one that begins meanwhile is seen
	var failed error
	for _, id := range all {
		if r := c.budgetOf(id).rests(); r > 0 {
			rest = min(rest, r)
			continue
		}
		c.last = id
		err := c.serve(ctx, id)
		if err == nil || ctx.Err() != nil {
			return err == nil, errors.Join(failed, err)
		}
		failed = errors.Join(failed, fmt.Errorf("comparison %s: %w", id, err))
		c.budgetOf(id).rest(lookEvery)
	}
	if failed == nil {
		pause(ctx, rest) // still elected: nobody else goes on instead
	}
	return failed == nil, failed
}

// serve runs the next job of a comparison, or ends it.
func (c *Comparer) serve(ctx context.Context, id string) error {
	m, err := c.Store.Comparison(ctx, id)
	if err != nil || m.State != results.ComparisonRunning {
		return err
	}
	err = c.step(ctx, m)
	var unusable *UnusableError
	if errors.As(err, &unusable) {
		m.State, m.Why = results.ComparisonFailed, results.Because("stage", "a model cannot run: %v", "有模型无法运行：%v", err)
		err = c.Store.ChangeComparison(ctx, m, results.ComparisonRunning, c.entry(m, "model.comparison.failed", ""))
	}
	if errors.Is(err, results.ErrStale) { // it was paused or cancelled
		return nil
	}
	return err
}

func (c *Comparer) budgetOf(id string) *budget {
	if c.budgets == nil {
		c.budgets = map[string]*budget{}
	}
	if c.budgets[id] == nil {
		c.budgets[id] = &budget{}
	}
	return c.budgets[id]
}

func (c *Comparer) entry(m results.ModelComparison, action, digest string) results.AuditEntry {
	return results.AuditEntry{ID: ulid.Make().String(), At: c.Store.Now(), Actor: c.Name, Action: action, Target: m.ID, Digest: digest, Tenant: m.Scope}
}

func (c *Comparer) step(ctx context.Context, m results.ModelComparison) error {
	var ask results.ComparisonAsk
	if err := json.Unmarshal(m.Ask, &ask); err != nil {
		return fmt.Errorf("read what comparison %s is about: %w", m.ID, err)
	}
	tried, err := candidates(ctx, c.Store, m.Models[0], m.Models[1:]...)
	if err != nil {
		return err
	}
	j, err := c.Store.NextCompared(ctx, m.ID)
	if errors.Is(err, results.ErrNotFound) {
		return c.end(ctx, m, ask, tried)
	}
	if err != nil {
		return err
	}
	made, cpu, err := c.run(ctx, m, tried, j)
	c.budgetOf(m.ID).spend(cpu, min(ask.Budget, 1))
	try := [2]string{m.ID, j.Job}
	var cannot *core.CannotReverify
	var unusable *UnusableError
	switch {
	case err == nil:
		delete(c.failed, try)
		j.State = results.ComparedDone
		if j.Body, err = json.Marshal(made); err != nil {
			return err
		}
	case errors.As(err, &cannot), errors.Is(err, results.ErrNotFound):
		j.State, j.Body = results.ComparedGone, nil
	case errors.As(err, &unusable), ctx.Err() != nil:
		return err
	default:
		if c.failed == nil {
			c.failed = map[[2]string]int{}
		}
		if c.failed[try]++; c.failed[try] < compareTries || errors.Is(err, results.ErrAway) || errors.Is(err, object.ErrAway) {
			m.Why = results.Because(ruleCompare, "a job cannot be run just now, and is tried again: %v", "有任务暂时无法运行，正在重试：%v", err)
			return errors.Join(fmt.Errorf("job %s: %w", j.Job, err), c.Store.ChangeComparison(ctx, m, results.ComparisonRunning, results.AuditEntry{}))
		}
		c.Log.Warn("a job was left out of a comparison of models", "comparison", m.ID, "job", j.Job, "error", err.Error())
		delete(c.failed, try)
		j.State, j.Body = results.ComparedFailed, nil
	}
	c.Metrics.comparedJob(j.State)
	return c.Store.PutCompared(ctx, j)
}

// run makes a job's verdict again under both sets, each of them first in turn, so that what the first leaves warm is no advantage of one.
func (c *Comparer) run(ctx context.Context, m results.ModelComparison, tried []results.RegisteredModel, j results.ComparedJob) (compare.Case, time.Duration, error) {
	var sides [2]core.Reverified
	var unfit [2]*core.CannotReverify
	var cpu time.Duration
	c.count++
	for i := range 2 {
		side := (i + c.count) % 2
		var with []results.RegisteredModel
		if side == 1 {
			with = tried
		}
		taken, err := c.Host.TakeMain(ctx, m.Epoch, j.Tenant, with...)
		if err != nil {
			return compare.Case{}, cpu, err
		}
		sides[side], err = taken.Core.Try(ctx, j.Tenant, j.Job)
		taken.Done()
		cpu += sides[side].CPU
		if errors.As(err, &unfit[side]) && unfit[side].State == "reference_unusable" {
			continue
		}
		if err != nil {
			return compare.Case{}, cpu, err
		}
	}
	if unfit[0] != nil {
		return compare.Case{}, cpu, unfit[0]
	}
	before := sides[0].Verdict
	groups := map[string]string{}
	for by, value := range map[string]string{"site": siteOf(before, m.Scope), "light": light(before)} {
		if value != "" {
			groups[by] = value
		}
	}
	row, err := c.Store.Verdict(ctx, j.Tenant, j.Job, 1)
	if err != nil {
		return compare.Case{}, cpu, err
	}
	if row.Policy != "" {
		groups["policy"] = row.Policy
	}
	var known results.ComparedKnown
	if len(j.Body) > 0 {
		if err := json.Unmarshal(j.Body, &known); err != nil {
			return compare.Case{}, cpu, fmt.Errorf("read what is known of job %s: %w", j.Job, err)
		}
	}
	maps.Copy(groups, known.Groups)
	out := compare.OfVerdicts(j.Job, compare.Label(known.Label), groups, before, sides[1].Verdict)
	if unfit[1] != nil { // what the candidates make of the enrolled photos is a finding about them
		out.After = compare.Unenrolled()
	}
	out.Before.MS, out.After.MS = ms(sides[0].CPU), ms(sides[1].CPU)
	return out, cpu, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// siteOf names a site; among those of several tenants with its tenant.
func siteOf(v pipeline.Verdict, scope string) string {
	if v.Site != "" && scope == "" {
		return v.Tenant + "/" + v.Site
	}
	return v.Site
}

// light groups a verdict by the brightness of the face that was compared: the median of its frames.
func light(v pipeline.Verdict) string {
	raw, err := json.Marshal(v.Checks[pipeline.CheckFace].Detail["compared"])
	var frames []struct{ Brightness float64 }
	if err != nil || json.Unmarshal(raw, &frames) != nil || len(frames) == 0 {
		return ""
	}
	sort.Slice(frames, func(i, j int) bool { return frames[i].Brightness < frames[j].Brightness })
	return compare.Light(frames[len(frames)/2].Brightness)
}

// end makes the report.
func (c *Comparer) end(ctx context.Context, m results.ModelComparison, ask results.ComparisonAsk, tried []results.RegisteredModel) error {
	now, err := c.Store.Comparison(ctx, m.ID)
	if err != nil {
		return err
	}
	o := compare.Options{Data: ask.Words, Limits: compare.DefaultLimits(), Onsite: verify.Version, Now: c.Store.Now()}
	if err := json.Unmarshal(ask.Limits, &o.Limits); err != nil {
		return fmt.Errorf("read the limits of comparison %s: %w", m.ID, err)
	}
	if o.Before, err = c.models(ctx, m); err != nil {
		return err
	}
	if o.After, err = c.models(ctx, m, tried...); err != nil {
		return err
	}
	o.Notes = append(o.Notes, pipeline.Text{
		EN: "stored jobs were run again under both sets, from the same media and inputs, on one thread; the time of a case is processor time",
		ZH: "存储的任务在两组模型下以相同的媒体与输入、单线程重新运行；每个案例的用时为处理器时间",
	})
	failed, err := c.Store.CountCompared(ctx, m.ID, results.ComparedFailed)
	if err != nil {
		return err
	}
	if failed > 0 {
		o.Notes = append(o.Notes, pipeline.Text{
			EN: fmt.Sprintf("%d of %d jobs are left out because running them again failed %d times; the log of the worker says why", failed, now.Total, compareTries),
			ZH: fmt.Sprintf("%[2]d 个任务中有 %[1]d 个因重新运行失败 %[3]d 次而未计入；原因见工作进程日志", failed, now.Total, compareTries),
		})
	}
	if gone := now.Total - now.Done - failed; gone > 0 {
		o.Notes = append(o.Notes, pipeline.Text{
			EN: fmt.Sprintf("%d of %d jobs could not be run again: the person was erased or withdrew consent, or the media is not kept any more", gone, now.Total),
			ZH: fmt.Sprintf("%[2]d 个任务中有 %[1]d 个无法重新运行：人员已删除或撤回同意，或媒体已不再保存", gone, now.Total),
		})
	}
	r, err := compare.Build(o, func(yield func(compare.Case, error) bool) {
		for after := ""; ; {
			rows, err := c.Store.ComparedJobs(ctx, m.ID, after, 500)
			if err != nil {
				yield(compare.Case{}, err)
				return
			}
			for _, row := range rows {
				var one compare.Case
				err := json.Unmarshal(row.Body, &one)
				if !yield(one, err) || err != nil {
					return
				}
			}
			if len(rows) < 500 {
				return
			}
			after = rows[len(rows)-1].Job
		}
	})
	if err != nil {
		return err
	}
	if m.Digest, err = r.Digest(); err != nil {
		return err
	}
	pack, err := packed(r)
	if err != nil {
		return err
	}
	doc, err := c.Host.epoch(ctx, m.Epoch)
	if err != nil {
		return err
	}
	m.Passed = r.Passed
	if m.Summary, err = json.Marshal(summary(m, r, tried, doc.Doc, now.Total-now.Done)); err != nil {
		return err
	}
	if err := c.Store.EndComparison(ctx, m, pack, c.entry(m, "model.compared", m.Digest)); err != nil {
		return err
	}
	c.Log.Info("a comparison of models is done", "comparison", m.ID, "jobs", r.Cases, "passed", r.Passed)
	if c.Bell != nil {
		c.Bell.Ring(ctx, results.BellModels)
	}
	return nil
}

// models names the set that a comparison ran.
func (c *Comparer) models(ctx context.Context, m results.ModelComparison, with ...results.RegisteredModel) (compare.Models, error) {
	taken, err := c.Host.TakeMain(ctx, m.Epoch, m.Scope, with...)
	if err != nil {
		return compare.Models{}, err
	}
	defer taken.Done()
	return compare.ModelsOf(taken.Core.Verifier.Models), nil
}

// ComparisonSummary is what models keep of a comparison over stored jobs; the report itself is in the comparison's package.
type ComparisonSummary struct {
	Comparison   string            `json:"comparison"`
	SHA256       string            `json:"sha256"` // of report.json
	Models       []string          `json:"models"`
	Replaced     map[string]string `json:"replaced"` // by task: id of the model that was active; "": what the program brings along
	Data         string            `json:"data"`
	DataText     pipeline.Text     `json:"data_text"`
	Cases        int               `json:"cases"`
	Gone         int64             `json:"gone"` // left out, with those that failed
	Disagreement compare.Rate      `json:"disagreement"`
	Flips        []compare.Flip    `json:"flips"`
	Passed       bool              `json:"passed"`
	Failed       []pipeline.Text   `json:"failed"`
}

func summary(m results.ModelComparison, r *compare.Report, tried []results.RegisteredModel, doc results.EpochDoc, gone int64) ComparisonSummary {
	s := ComparisonSummary{Comparison: m.ID, SHA256: m.Digest, Models: m.Models, Replaced: map[string]string{}, Data: r.Data, DataText: r.DataText, Cases: r.Cases, Gone: gone, Disagreement: r.Disagreement, Flips: r.Flips, Passed: r.Passed, Failed: r.Failed}
	for _, t := range tried {
		s.Replaced[t.Task] = doc.Runs(m.Scope, t.Task)
	}
	return s
}

// packed puts the report's files into a zip file.
func packed(r *compare.Report) ([]byte, error) {
	files, err := r.Files()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: r.CreatedAt})
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("pack the comparison: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack the comparison: %w", err)
	}
	return b.Bytes(), nil
}
