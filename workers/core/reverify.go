package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/place"
	"onsite/pipeline/policy"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
)

// CannotReverify says why a verdict cannot be made again, for people. State is a stable word.
type CannotReverify struct {
	State string // media_gone, erased, photos_gone, consent_withdrawn, models_missing, site_gone, policy_gone, recipe_unknown, recipe_gone, inputs_changed, refused, reference_unusable
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
	CPU     time.Duration    // of the run, the decoder child included
	// Gone is how many earlier recordings, and other people with the same device, fewer there are to compare with than the first time: they
	// were erased, or their time is over.
	Gone int
}

// What a verdict may be made again with, besides the digest of a recipe.
const (
	Pinned  = "pinned"  // the recipe that it names
	Current = "current" // the models that run here and the policy's newest revision
)

// Recipe is what a verdict is made again with.
type Recipe struct {
	Asked string           // Pinned, Current, or a digest
	Like  pipeline.Verdict // one that was made with it; empty for Current
	sub   results.Submission
}

// FindRecipe looks up the recipe by which a job's verdict is to be made again: of a digest, the newest verdict of the tenant that names it. It is a
// *CannotReverify where none does.
func FindRecipe(ctx context.Context, s Store, tenant, job, asked string) (Recipe, error) {
	r := Recipe{Asked: asked}
	if asked == Current {
		return r, nil
	}
	row, err := s.Verdict(ctx, tenant, job, 1)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(row.Body, &r.Like); err != nil {
		return r, fmt.Errorf("read the verdict of job %s: %w", job, err)
	}
	if asked == Pinned || asked == r.Like.Recipe {
		r.Asked = Pinned
		return r, nil
	}
	all, err := s.Verdicts(ctx, tenant, results.VerdictFilter{Recipe: asked, AllRevisions: true}, results.Page{Limit: 1})
	if err != nil {
		return r, err
	}
	if len(all) == 0 {
		return r, cannot("recipe_unknown", "no verdict was made with the recipe %s; a verdict's recipe is in its JSON", "没有使用配方 %s 的结论；结论的配方见其 JSON", asked)
	}
	r.Like = pipeline.Verdict{}
	if err := json.Unmarshal(all[0].Body, &r.Like); err != nil {
		return r, fmt.Errorf("read the verdict of job %s: %w", all[0].Job, err)
	}
	r.sub, err = s.Submission(ctx, all[0].Job)
	return r, err
}

// Reverify makes the first revision of a job's verdict again, from its stored media and the inputs that it names: claim, enrolled photos,
// site, history, marks and consents as they were then; the job itself and anything later is invisible. It runs on one thread, and writes nothing.
// A recipe whose models or policy are not here is *CannotReverify, as is everything else that is missing.
func (c *Core) Reverify(ctx context.Context, tenant, job string, r Recipe) (Reverified, error) {
	return c.repeat(ctx, tenant, job, r, false)
}

// trial is the recipe of models that are on trial: what runs here, and the policy that the verdict was made by.
const trial = "trial"

// Try makes a verdict again as Reverify does, under models that are on trial and the policy of then. It keeps the templates of enrolled photos that it
// has to make, since the next job of the person needs them too, and writes nothing else.
func (c *Core) Try(ctx context.Context, tenant, job string) (Reverified, error) {
	return c.repeat(ctx, tenant, job, Recipe{Asked: trial}, true)
}

func (c *Core) repeat(ctx context.Context, tenant, job string, recipe Recipe, keep bool) (Reverified, error) {
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
	digest := ""
	switch recipe.Asked {
	case Pinned:
		recipe.Like = before
	case trial:
	case Current:
		if err := c.newestRules(ctx, &sub); err != nil {
			return Reverified{}, err
		}
	default:
		digest, sub.Policy, sub.PolicyRev = recipe.Asked, recipe.sub.Policy, recipe.sub.PolicyRev
	}
	a := &attempt{Core: c, Lease: results.Lease{Sub: sub}, media: sub.Media, under: recipe.Like.Runtime.ModelSet, pinned: &past{Inputs: before.Inputs, keep: keep}}
	if err := a.reproducible(ctx, before, recipe.Like); err != nil {
		return Reverified{}, err
	}
	r, err := a.again(ctx)
	if err != nil {
		return Reverified{}, broke(ctx, err)
	}
	if err := sameInputs(before, r.Verdict); err != nil {
		return Reverified{}, err
	}
	if digest != "" && r.Verdict.Recipe != digest {
		return Reverified{}, cannot("recipe_gone", "with the models and the policy of the recipe %s the recipe is %s here: it is one of another kind of media, or of another version of the program or of its libraries",
			"使用配方 %s 的模型与策略，此处得到的配方为 %s：该配方属于另一种媒体，或程序及其库的版本不同", digest, r.Verdict.Recipe)
	}
	out := Reverified{Verdict: r.Verdict, Comparison: verify.Compare(before, r.Verdict)}
	for _, cost := range r.Costs {
		out.CPU += cost.CPU
	}
	out.Gone = fewer(before, r.Verdict)
	return out, nil
}

// newestRules exchanges the revision of a job's policy for the newest one.
func (c *Core) newestRules(ctx context.Context, sub *results.Submission) error {
	if sub.PolicyRev == 0 {
		return nil // the program's own
	}
	row, err := c.Store.Policy(ctx, sub.Tenant, sub.Policy, 0)
	switch {
	case errors.Is(err, results.ErrNotFound) && slices.Contains(policy.Names, sub.Policy):
		sub.PolicyRev = 0 // the tenant's own of that name was deleted
		return nil
	case errors.Is(err, results.ErrNotFound):
		return cannot("policy_gone", "the policy %s was deleted, so that there is no current one; compare with the recipe that the verdict names (recipe pinned)",
			"策略 %s 已删除，没有当前版本；请使用结论所记录的配方（recipe pinned）", sub.Policy)
	case err != nil:
		return fmt.Errorf("read policy %s: %w", sub.Policy, err)
	}
	sub.PolicyRev = row.Rev
	return nil
}

// broke gives a run's error: *CannotReverify where running it again would change nothing.
func broke(ctx context.Context, err error) error {
	var refusal *media.Refusal
	var rule *verify.PolicyError
	var reference *verify.ReferenceError
	switch {
	case errors.Is(err, object.ErrNotFound):
		return cannot("media_gone", "a file that the verdict was made from is not there any more: %v", "生成结论所用的文件已不存在：%v", err)
	case errors.Is(err, results.ErrErased):
		return cannot("erased", "the person was erased", "该人员已删除")
	case errors.As(err, &rule):
		return &CannotReverify{"refused", rule.Text}
	case errors.As(err, &reference) && !unopened(ctx, err):
		return cannot("reference_unusable", "an enrolled photo, or one of the site, cannot be used by what runs here", "当前配方无法使用登记照片或地点照片")
	case errors.As(err, &refusal) && !unopened(ctx, err):
		return &CannotReverify{"refused", refusal.Text}
	}
	return err
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

// reproducible says what stands in the way of making a verdict again by the recipe of like, and finds the consents of then. Without a like, models
// and policy are what they are.
func (a *attempt) reproducible(ctx context.Context, before, like pipeline.Verdict) error {
	if a.measure || a.Verifier.Models == nil {
		return cannot("models_missing", "this installation has no models", "本安装没有模型")
	}
	if a.Sub.Media.Key == "" {
		return cannot("media_gone", "the submitted file is not kept any more: its time is over, or the person was erased", "提交的文件已不再保存：已超过保存期限，或该人员已删除")
	}
	claim, err := a.Sub.CoreClaim()
	if err != nil {
		return err
	}
	now := before
	if now.Inputs.Claim, err = verify.ClaimDigest(claim); err != nil {
		return err
	}
	now.Media.SHA256 = cmp.Or(a.Sub.Media.SHA256, before.Media.SHA256)
	if err := sameInputs(before, now); err != nil {
		return err
	}
	rules, err := a.rulesThen(ctx, before.Media.Kind, like.Policy)
	if err != nil {
		return err
	}
	var missing []string
	for _, m := range like.Models {
		if here := a.Verifier.Models.Ref(models.Task(m.Task)); here.SHA256 != m.SHA256 {
			missing = append(missing, fmt.Sprintf("%s %s %s (%.12s)", m.Task, m.Name, m.Version, m.SHA256))
		}
	}
	if len(missing) > 0 {
		return cannot("models_missing", "the verdict was made with models that do not run here: %s; install them, or compare with what runs here (recipe current)",
			"该结论所用的模型未在此运行：%s；请安装，或与当前配方比较（recipe current）", strings.Join(missing, ", "))
	}
	wanted := func(n pipeline.CheckName) bool { return rules.Checks[n].Need != policy.Never }
	matters := wanted(pipeline.CheckFace) || wanted(pipeline.CheckLiveness)
	if a.pinned.look, err = a.consentThen(ctx, a.Sub, results.PurposeFace, verify.ToldOfFaces(before), before.CreatedAt, matters); err != nil {
		return err
	}
	said := verify.ToldOfSound(before)
	matters = said == verify.Granted || before.Media.Kind == string(media.Video) && rules.Reuse.Audio
	if a.pinned.hear, err = a.consentThen(ctx, a.Sub, results.PurposeSound, said, before.CreatedAt, matters && rules.Listens()); err != nil {
		return err
	}
	if !a.pinned.look || !wanted(pipeline.CheckFace) || before.Inputs.EnrolmentRev == 0 {
		return nil
	}
	photos, err := a.Store.Photos(ctx, a.Sub.Tenant, a.Sub.Subject, before.Inputs.EnrolmentRev)
	if err != nil {
		return fmt.Errorf("list the enrolled photos: %w", err)
	}
	for _, p := range photos {
		if p.Key == "" {
			return cannot("photos_gone", "an enrolled photo of that time (%s) was deleted", "当时登记的照片（%s）已删除", p.ID)
		}
	}
	return nil
}

// rulesThen gives the policy of the job. One with another digest than is wanted, as a built-in one of another version of the program, is an
// obstacle; an empty digest: any will do.
func (a *attempt) rulesThen(ctx context.Context, kind, digest string) (policy.Policy, error) {
	p, err := a.rules(ctx, a.Sub)
	if err == nil && p.Name == "" {
		p, err = verify.DefaultPolicy(kind)
	}
	gone := func(en, zh string, args ...any) error { return cannot("policy_gone", en, zh, args...) }
	switch {
	case err != nil && (ctx.Err() != nil || errors.Is(err, results.ErrAway)):
		return p, err
	case err != nil:
		return p, gone("the policy that the verdict was made by cannot be read any more: %v", "生成结论所用的策略已无法读取：%v", err)
	case digest != "" && p.Digest() != digest:
		return p, gone("the policy %[1]s is another now than the one that the verdict was made by (%.19[2]s): run the version of the program that made it, or compare with what runs here (recipe current)",
			"策略 %[1]s 与生成结论时的策略（%.19[2]s）不同：请使用当时的程序版本，或与当前配方比较（recipe current）", p.Name, digest)
	}
	return p, nil
}

// sameInputs says which input is another than the verdict's: nothing that is said about such a pair would be about the recipe.
func sameInputs(before, now pipeline.Verdict) error {
	var en, zh []string
	for _, in := range []struct {
		en, zh string
		same   bool
	}{
		{"the claim", "声明", before.Inputs.Claim == now.Inputs.Claim},
		{"the media", "媒体文件", before.Media.SHA256 == now.Media.SHA256},
		{"the enrolled photos", "登记照片", before.Inputs.EnrolmentRev == now.Inputs.EnrolmentRev},
		{"the site", "地点", before.Inputs.SiteRev == now.Inputs.SiteRev},
	} {
		if !in.same {
			en, zh = append(en, in.en), append(zh, in.zh)
		}
	}
	if len(en) == 0 {
		return nil
	}
	return &CannotReverify{"inputs_changed", pipeline.Text{
		EN: strings.Join(en, ", ") + ": not what the verdict says that it was made from", ZH: strings.Join(zh, "、") + "：与结论所记录的输入不一致",
	}}
}

// fewer is how much less there is to compare with than the first time, by the checks that both made: a policy that does not ask misses nothing.
func fewer(before, now pipeline.Verdict) (n int) {
	if asked(now, pipeline.CheckReuse) {
		n += max(0, compared(before)-compared(now))
	}
	if asked(now, pipeline.CheckPlace) {
		n += max(0, sharers(before)-sharers(now))
	}
	return n
}

func asked(v pipeline.Verdict, name pipeline.CheckName) bool {
	return v.Checks[name].Outcome != pipeline.NotChecked
}

// compared is how many earlier recordings a verdict's reuse check looked at.
func compared(v pipeline.Verdict) int {
	return count(v.Checks[pipeline.CheckReuse].Detail["compared"])
}

// sharers is how many others a verdict's place check found to have used the same device.
func sharers(v pipeline.Verdict) int {
	rules, _ := v.Checks[pipeline.CheckPlace].Detail["rules"].(map[string]any)
	device, _ := rules[place.RuleDevice].(map[string]any)
	return count(device["others"])
}

// count reads a number of a detail, from JSON or as the check made it.
func count(v any) int {
	switch n := v.(type) {
	case float64:
		return int(n)
	case int:
		return n
	}
	return 0
}
