package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
)

// CannotReverify says why a verdict cannot be made again, for people. State is a stable word.
type CannotReverify struct {
	State string // media_gone, erased, photos_gone, consent_withdrawn, models_missing, site_gone
	Text  pipeline.Text
}

func (e *CannotReverify) Error() string { return e.Text.EN }

func cannot(state, en, zh string, args ...any) *CannotReverify {
	return &CannotReverify{state, pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}}
}

// Reverified is what came of making a verdict again.
type Reverified struct {
	verify.Comparison
	Verdict pipeline.Verdict // as it was made now; in no store
	// Gone is how many earlier recordings fewer there are to compare with than the first time: they were erased, or their time is over.
	Gone int
}

// Reverify makes the first revision of a job's verdict again, from its stored media and the inputs that it names: claim, enrolled photos,
// site, history and marks as they were then; the job itself and anything later is invisible. It runs on one thread, and writes nothing.
// With current the recipe may be another; else one whose models are not here is *CannotReverify, as is everything that is missing.
func (c *Core) Reverify(ctx context.Context, tenant, job string, current bool) (Reverified, error) {
	row, err := c.Store.Verdict(ctx, tenant, job, 1)
	if err != nil {
		return Reverified{}, err
	}
	var before pipeline.Verdict
	if err := json.Unmarshal(row.Body, &before); err != nil {
		return Reverified{}, fmt.Errorf("read the verdict of job %s: %w", job, err)
	}
	sub, err := c.Store.Submission(ctx, job)
	if err != nil {
		return Reverified{}, err
	}
	a := &attempt{Core: c, Lease: results.Lease{Sub: sub}, media: sub.Media, pinned: &before.Inputs}
	if err := a.reproducible(ctx, before, current); err != nil {
		return Reverified{}, err
	}
	r, err := a.again(ctx)
	switch {
	case errors.Is(err, object.ErrNotFound):
		return Reverified{}, cannot("media_gone", "a file that the verdict was made from is not there any more: %v", "生成结论所用的文件已不存在：%v", err)
	case errors.Is(err, results.ErrErased):
		return Reverified{}, cannot("erased", "the person was erased", "该人员已删除")
	case err != nil:
		return Reverified{}, err
	}
	out := Reverified{Verdict: r.Verdict, Comparison: verify.Compare(before, r.Verdict)}
	out.Gone = max(0, compared(before)-compared(r.Verdict))
	return out, nil
}

// again is the run itself.
func (a *attempt) again(ctx context.Context) (verify.Result, error) {
	job, err := a.prepare(ctx)
	if err != nil {
		return verify.Result{}, err
	}
	release, err := a.person(ctx, &job)
	if err != nil {
		return verify.Result{}, err
	}
	defer release()
	job.InTurn, job.Keyframes = true, false
	r, err := a.Verifier.Run(ctx, job)
	if err != nil {
		return r, err
	}
	return r, a.history.ended()
}

// reproducible says what stands in the way of making a verdict again.
func (a *attempt) reproducible(ctx context.Context, before pipeline.Verdict, current bool) error {
	if a.measure || a.Verifier.Models == nil {
		return cannot("models_missing", "this installation has no models", "本安装没有模型")
	}
	if !current {
		var missing []string
		for _, m := range before.Models {
			if here := a.Verifier.Models.Ref(models.Task(m.Task)); here.SHA256 != m.SHA256 {
				missing = append(missing, fmt.Sprintf("%s %s %s (%.12s)", m.Task, m.Name, m.Version, m.SHA256))
			}
		}
		if len(missing) > 0 {
			return cannot("models_missing", "the verdict was made with models that do not run here: %s; install them, or compare with what runs here (recipe current)",
				"该结论所用的模型未在此运行：%s；请安装，或与当前配方比较（recipe current）", strings.Join(missing, ", "))
		}
	}
	if a.Sub.Media.Key == "" {
		return cannot("media_gone", "the submitted file is not kept any more: its time is over, or the person was erased", "提交的文件已不再保存：已超过保存期限，或该人员已删除")
	}
	faced := slices.ContainsFunc([]pipeline.CheckName{pipeline.CheckFace, pipeline.CheckLiveness}, func(n pipeline.CheckName) bool {
		c := before.Checks[n]
		return c.Outcome != pipeline.NotChecked && c.Outcome != ""
	})
	if !faced {
		return nil
	}
	consent, err := a.Store.Consented(ctx, a.Sub.Tenant, a.Sub.Subject, results.PurposeFace)
	if err != nil {
		return fmt.Errorf("look for the subject's consent: %w", err)
	}
	if !consent {
		return cannot("consent_withdrawn", "the consent to face processing was withdrawn: no face is looked at again", "人脸处理的同意已撤回：不再处理人脸")
	}
	photos, err := a.Store.Photos(ctx, a.Sub.Tenant, a.Sub.Subject, before.Inputs.EnrolmentRev)
	if err != nil {
		return fmt.Errorf("list the enrolled photos: %w", err)
	}
	for _, p := range photos {
		if before.Inputs.EnrolmentRev > 0 && p.Key == "" {
			return cannot("photos_gone", "an enrolled photo of that time (%s) was deleted", "当时登记的照片（%s）已删除", p.ID)
		}
	}
	return nil
}

// compared is how many earlier recordings a verdict's reuse check looked at.
func compared(v pipeline.Verdict) int {
	switch n := maps.Clone(v.Checks[pipeline.CheckReuse].Detail)["compared"].(type) {
	case float64:
		return int(n)
	case int:
		return n
	}
	return 0
}
