package api

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

type promoteInput struct {
	ULIDPath
	Body struct {
		Together
		Override string `json:"override,omitempty" maxLength:"500" doc:"why it is promoted without a comparison that passed; stands in the promotion and, by its sha256, in the audit log"`
		DryRun   bool   `json:"dry_run,omitempty" doc:"only say what would be"`
	}
}

// PromotionAnswer is a promotion with what it does not do.
type PromotionAnswer struct {
	Promotion *Promotion `json:"promotion,omitempty" doc:"missing in a dry run"`
	Allowed   bool       `json:"allowed" doc:"there is a comparison that passed, or a reason in writing"`
	Photos    int64      `json:"photos" doc:"enrolled photos of people who consent"`
	Embedded  int64      `json:"embedded" doc:"of those, that have a vector under the model"`
	Gaps      int64      `json:"gaps" doc:"of those, that the model cannot use as far as is known: GET .../gaps lists them"`
	// Fingerprints counts those whose vectors are lost for comparison.
	Fingerprints int64           `json:"fingerprints" doc:"earlier recordings whose fingerprints hold vectors of the scene embedder that is replaced, which cannot be made again"`
	Notes        []pipeline.Text `json:"notes" nullable:"false" doc:"what cannot be, or need not be, embedded again"`
}

func (s *Server) promoteModel(ctx context.Context, input *promoteInput) (*struct{ Body PromotionAnswer }, error) {
	all, err := s.together(ctx, input.ID, input.Body.Together, "Only one that was checked and is not active yet can be promoted.", "只有已通过检查且尚未启用的模型才能启用。",
		results.ModelChecked, results.ModelShadow, results.ModelCanary, results.ModelStandby)
	if err != nil {
		return nil, err
	}
	m := all[0]
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.unobstructed(ctx, active.Doc, all...); err != nil {
		return nil, err
	}
	runs, err := s.running(ctx, all, active.Doc)
	if err != nil {
		return nil, err
	}
	passed := slices.ContainsFunc(all, func(one results.RegisteredModel) bool { return compared(one, all, runs) })
	out := PromotionAnswer{Allowed: passed || input.Body.Override != "", Notes: notes(all)}
	if err := s.countPhotos(ctx, all, active.Doc, &out); err != nil {
		return nil, err
	}
	if err := s.countPrints(ctx, all, &out); err != nil {
		return nil, err
	}
	if input.Body.DryRun {
		return &struct{ Body PromotionAnswer }{out}, nil
	}
	if !out.Allowed {
		return nil, problem(codeState).with("No comparison of this model with the active one has passed. Compare them by shadow runs (onsite models compare-live %s) or stored jobs (onsite models compare --jobs --with %s), hand a report in (onsite models compare-live %s --report FILE), or say in override why it is promoted all the same (onsite models promote %s --override REASON).",
			"该模型与当前模型的比较尚未通过。请用旁路试运行（onsite models compare-live %s）或已有任务（onsite models compare --jobs --with %s）进行比较，提交报告（onsite models compare-live %s --report FILE），或在 override 中书面说明仍要启用的理由（onsite models promote %s --override 理由）。", m.Name, m.Name, m.Name, m.Name)
	}
	p := results.Promotion{ID: ulid.Make().String(), Model: m.ID, With: input.Body.With, Scope: m.Tenant, Task: m.Task, State: results.PromotionEmbedding, Total: out.Photos, Done: out.Embedded + out.Gaps, Gaps: out.Gaps,
		Actor: PrincipalOf(ctx).Key, Created: s.stamp()}
	a := s.modelEntry(ctx, "model.promotion", m)
	a.Target = strings.Join(append([]string{m.ID}, input.Body.With...), ",")
	if !passed {
		p.Override = input.Body.Override
		a.Action, a.Digest = "model.promotion.override", results.Sum([]byte(p.Override))
	}
	switch err := s.Store.BeginPromotion(ctx, p, a); {
	case errors.Is(err, results.ErrConflict):
		return nil, problem(codeState).with("A promotion for this task is under way; wait for its end or cancel it (GET /v1/registry shows it).", "该类模型的另一次启用正在进行；请等待其结束或取消（可用 GET /v1/registry 查看）。").because(err)
	case err != nil:
		return nil, err
	}
	s.Bell.Ring(ctx, results.BellModels)
	shown := showPromotion(p, true)
	out.Promotion = &shown
	return &struct{ Body PromotionAnswer }{out}, nil
}

// running is what models would replace, by task.
type running map[string]struct {
	id  string   // "": what the program brings along
	sum []string // sha256 of the files, sorted
}

func (s *Server) running(ctx context.Context, all []results.RegisteredModel, doc results.EpochDoc) (running, error) {
	own, err := s.Registry.BuiltIn()
	if err != nil {
		return nil, err
	}
	out := running{}
	for _, m := range all {
		one := out[m.Task]
		if one.id = doc.Runs(m.Tenant, m.Task); one.id == "" {
			one.sum = sums(own, m.Task)
		} else {
			row, err := s.Store.Model(ctx, one.id)
			if err != nil {
				return nil, err
			}
			one.sum = []string{row.SHA256}
		}
		out[m.Task] = one
	}
	return out, nil
}

// sums are the files of a task's models, sorted.
func sums(refs []pipeline.ModelRef, task string) []string {
	var out []string
	for _, ref := range refs {
		if ref.Task == task {
			out = append(out, ref.SHA256)
		}
	}
	slices.Sort(out)
	return out
}

// compared says whether a model's newest report passed, is about just these models, and was made with what each of them would replace now.
func compared(m results.RegisteredModel, all []results.RegisteredModel, now running) bool {
	var report struct {
		Schema     string                               `json:"schema"`
		Comparison string                               `json:"comparison"` // over stored jobs
		Models     []string                             `json:"models"`     // what ran
		Replaced   map[string]string                    `json:"replaced"`   // by task: id; "": what the program brings along
		Against    *string                              `json:"against"`    // of shadow runs
		With       []string                             `json:"with"`       // of shadow runs
		Before     struct{ Models []pipeline.ModelRef } // of labelled data
		After      struct{ Models []pipeline.ModelRef }
	}
	if !m.Passed || json.Unmarshal(m.Report, &report) != nil {
		return false
	}
	same := func(ids []string) bool {
		return len(ids) == len(all) && !slices.ContainsFunc(all, func(one results.RegisteredModel) bool { return !slices.Contains(ids, one.ID) })
	}
	replaced := func() bool {
		return !slices.ContainsFunc(all, func(one results.RegisteredModel) bool {
			id, said := report.Replaced[one.Task]
			return !said || id != now[one.Task].id
		})
	}
	switch {
	case report.Comparison != "":
		return same(report.Models) && replaced()
	case report.Against != nil:
		return same(append([]string{m.ID}, report.With...)) && replaced()
	case report.Schema != "": // it names files: what it tried must be these, and nothing else
		var tried []string
		for _, ref := range report.After.Models {
			if !slices.Contains(report.Before.Models, ref) {
				tried = append(tried, ref.SHA256)
			}
		}
		return len(tried) == len(all) && !slices.ContainsFunc(all, func(one results.RegisteredModel) bool {
			return !slices.Contains(tried, one.SHA256) || !slices.Equal(sums(report.Before.Models, one.Task), now[one.Task].sum)
		})
	}
	return len(all) == 1 // a report in a form of its own counts for the model that it was handed in for
}

// notes say what the promotion of models means for vectors that are stored, and those that are not.
func notes(all []results.RegisteredModel) []pipeline.Text {
	var out []pipeline.Text
	for _, m := range all {
		for _, n := range notesOf(m.Task) {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func notesOf(task string) []pipeline.Text {
	switch task {
	case results.ModelTask:
		return []pipeline.Text{
			say("Enrolled photos get a vector under the new model first. Photos that were removed have none and get none; people who withdrew their consent have none and get none.",
				"登记照片会先用新模型生成特征向量。已删除的照片、已撤回同意的人员没有特征向量，也不会生成。"),
			say("Sites and the fingerprints of footage hold no vectors of this task.", "地点与影像指纹均不保存该类特征向量。"),
			say("Verdicts that were made stay as they are.", "已生成的结论保持不变。"),
		}
	case "face_detect", "face_landmark":
		return []pipeline.Text{say("Vectors of enrolled photos are named by the models that find and align the face, too: they are made anew from the photos first.",
			"登记照片的特征向量也按定位与对齐人脸的模型区分：会先由照片重新生成。")}
	case taskScene, "object_detect":
		return []pipeline.Text{
			say("Vectors of sites' reference photos are not stored: they are made again from the photos when a site is next used.", "地点参考照片的特征向量不作存储：下次使用该地点时会由照片重新生成。"),
			say("What a site's rooms and surroundings look like is stored with the site, under its model, and says nothing under another: write such sites again (PUT /v1/sites/{id}) after the promotion.",
				"地点的房间与周边特征随地点保存，并标明所用模型，在其他模型下不起作用：启用后请重新写入这些地点（PUT /v1/sites/{id}）。"),
		}
	}
	return []pipeline.Text{say("No vectors of this task are stored.", "该类模型没有存储的特征向量。")}
}

// countPhotos counts the enrolled photos whose vectors get another name.
func (s *Server) countPhotos(ctx context.Context, all []results.RegisteredModel, doc results.EpochDoc, out *PromotionAnswer) error {
	tenants, err := s.concerned(ctx, all[0])
	if err != nil {
		return err
	}
	for _, t := range tenants {
		var of []results.RegisteredModel
		vectors := false
		for _, m := range all {
			if m.Tenant != "" || doc.Active(t, m.Task) == "" { // else it runs a model of its own
				of = append(of, m)
				vectors = vectors || results.NamesVectors(m.Task)
			}
		}
		if !vectors {
			continue
		}
		name, err := s.Registry.Vectors(ctx, doc, t, of...)
		if err != nil {
			return err
		}
		all, embedded, gaps, err := s.Store.PhotosUnder(ctx, t, name)
		if err != nil {
			return err
		}
		out.Photos, out.Embedded, out.Gaps = out.Photos+all, out.Embedded+embedded, out.Gaps+gaps
	}
	return nil
}

// countPrints lists what the fingerprints of earlier footage hold of a model that is replaced.
func (s *Server) countPrints(ctx context.Context, all []results.RegisteredModel, out *PromotionAnswer) error {
	if !slices.ContainsFunc(all, func(m results.RegisteredModel) bool { return m.Task == taskScene }) {
		return nil
	}
	tenants, err := s.concerned(ctx, all[0])
	if err != nil {
		return err
	}
	for _, t := range tenants {
		n, err := s.Store.CountPrints(ctx, t)
		if err != nil {
			return err
		}
		out.Fingerprints += n
	}
	out.Notes = append(out.Notes, fingerprints(out.Fingerprints))
	return nil
}

// taskScene is the task whose vectors fingerprints and sites hold.
const taskScene = "scene_embed"

// concerned are the tenants whose templates may be of a model.
func (s *Server) concerned(ctx context.Context, m results.RegisteredModel) ([]string, error) {
	if m.Tenant != "" {
		return []string{m.Tenant}, nil
	}
	all, err := s.Store.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(all))
	for i, t := range all {
		out[i] = t.ID
	}
	return out, nil
}

func (s *Server) rollbackModel(ctx context.Context, in *ULIDPath) (*modelAnswerOutput, error) {
	m, err := s.model(ctx, in.ID, true)
	if err != nil {
		return nil, err
	}
	cancelled, err := s.cancelOf(ctx, m)
	if err != nil {
		return nil, err
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	back, step := []results.Return{{Model: m}}, results.StepAtOnce
	switch m.State {
	case results.ModelActive:
		step = results.StepOvertaking
		for _, id := range active.Doc.Together[m.ID] {
			other, err := s.Store.Model(ctx, id)
			if err != nil {
				return nil, err
			}
			if active.Doc.Active(other.Tenant, other.Task) == id {
				back = append(back, results.Return{Model: other})
			}
		}
		for i := range back {
			if back[i].Before, err = s.predecessor(ctx, active.Doc, back[i].Model); err != nil {
				return nil, err
			}
			if before := back[i].Before; before != "" && !slices.Contains(active.Doc.Models(), before) { // it is not loaded any more
				step = results.StepStaged
			}
		}
	case results.ModelShadow, results.ModelCanary:
	case results.ModelAdded, results.ModelChecked, results.ModelStandby, results.ModelRetired:
		if cancelled {
			shown, err := s.showModel(ctx, m, active.Doc)
			return &modelAnswerOutput{ModelAnswer{Model: shown, Epoch: showEpoch(active)}}, err
		}
		return nil, wrongState(m, "It neither runs nor is it tried: there is nothing to take back.", "它既未运行也未试用：没有可回退的内容。")
	}
	next := active.RolledBack(back[0], back[1:]...)
	if m.State == results.ModelActive {
		if err := s.fitting(ctx, next.Doc, m.Tenant, nil, problem(codeState).with("A model that runs now cannot run beside what was active before this one.", "当前运行的某个模型无法与此前启用的模型同时运行。"),
			say("take that model back first (onsite models rollback)", "请先回退该模型（onsite models rollback）")); err != nil {
			return nil, err
		}
	}
	return s.propose(ctx, next, active.Number, step, m)
}

// predecessor finds what was active before a model, and refuses one that is not kept for it, as one whose vectors are gone.
func (s *Server) predecessor(ctx context.Context, doc results.EpochDoc, m results.RegisteredModel) (string, error) {
	before := doc.Before[m.ID]
	if before == "" {
		return "", nil
	}
	row, err := s.Store.Model(ctx, before)
	if err != nil {
		return "", err
	}
	if row.State == results.ModelRetired {
		return "", problem(codeState).with("The model that was active before (%s %s) is retired: its vectors are gone. Add it again and promote it.", "之前启用的模型（%s %s）已停用，其特征向量已删除。请重新添加并启用。", row.Name, row.Version)
	}
	if row.State != results.ModelStandby {
		return "", problem(codeState).with("The model that was active before (%s %s) is %s now. Promote it instead.", "之前启用的模型（%s %s）现为 %s 状态。请改为启用该模型。", row.Name, row.Version, row.State)
	}
	return before, nil
}

// cancelOf ends what is under way for a model: its promotion, the promotion of another that would take its place, or a trial that is being staged.
func (s *Server) cancelOf(ctx context.Context, m results.RegisteredModel) (bool, error) {
	open, err := s.Store.OpenPromotions(ctx)
	if err != nil {
		return false, err
	}
	for _, p := range open {
		concerned := p.Model == m.ID || slices.Contains(p.With, m.ID)
		if m.State == results.ModelActive && p.Scope == m.Tenant { // any of those that come together may take its place
			concerned = concerned || p.Task == m.Task
			for _, id := range p.With {
				other, err := s.Store.Model(ctx, id)
				if err != nil {
					return false, err
				}
				concerned = concerned || other.Task == m.Task
			}
		}
		if concerned {
			return true, s.cancel(ctx, p, m)
		}
	}
	newest, err := s.Store.NewestEpochs(ctx, 1)
	if err != nil || len(newest) == 0 || newest[0].State != results.EpochStaging || !slices.ContainsFunc(newest[0].Changes, func(c results.ModelChange) bool {
		return c.Model == m.ID && c.State != results.ModelChecked
	}) {
		return false, err
	}
	err = s.Store.DropEpoch(ctx, newest[0].Number, cancelled, s.modelEntry(ctx, "model.trial.cancelled", m))
	if errors.Is(err, results.ErrStale) { // it has taken effect, or failed, meanwhile
		return false, nil
	}
	return err == nil, err
}

var cancelled = results.Because(results.RuleCancelled, "it was cancelled", "已取消")

func (s *Server) cancel(ctx context.Context, p results.Promotion, m results.RegisteredModel) error {
	for p.State.Open() {
		from := p.State
		p.State, p.Why = results.PromotionCancelled, cancelled
		if from == results.PromotionStaging {
			err := s.Store.DropEpoch(ctx, p.Epoch, cancelled, s.modelEntry(ctx, "model.promotion.cancelled", m))
			if e, eerr := s.Store.Epoch(ctx, p.Epoch); errors.Is(err, results.ErrStale) && eerr == nil && e.State != results.EpochFailed {
				return problem(codeState).with("The promotion has taken effect meanwhile; take the model back instead (POST .../rollback).", "启用已生效；请改为回退该模型（POST .../rollback）。").because(err)
			}
			if err != nil && !errors.Is(err, results.ErrStale) {
				return err
			}
		}
		err := s.Store.ChangePromotion(ctx, p, from)
		if err == nil {
			s.Bell.Ring(ctx, results.BellModels)
			if from == results.PromotionStaging { // the dropped epoch is in the log
				return nil
			}
			tenants, err := s.concerned(ctx, m)
			if err != nil {
				return err
			}
			for _, t := range tenants {
				a := s.modelEntry(ctx, "model.promotion.cancelled", m)
				a.Tenant = t
				if err := s.Store.Append(ctx, a); err != nil {
					return err
				}
			}
			return nil
		}
		if !errors.Is(err, results.ErrStale) {
			return err
		}
		if p, err = s.Store.Promotion(ctx, p.ID); err != nil { // it went on meanwhile
			return err
		}
	}
	return nil
}

// promotion gives a promotion that the caller may see.
func (s *Server) promotion(ctx context.Context, id string, change bool) (results.Promotion, results.RegisteredModel, error) {
	p, err := s.Store.Promotion(ctx, id)
	if err != nil {
		return p, results.RegisteredModel{}, err
	}
	m, err := s.model(ctx, p.Model, change)
	return p, m, err
}

func (s *Server) getPromotion(ctx context.Context, in *struct {
	request
	ULIDPath
	Wait string `query:"wait" maxLength:"16" doc:"30s: wait until it has ended, at most so long (the server's limit is 60 s)" example:"30s"`
}) (*struct{ Body Promotion }, error) {
	wait, err := s.waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	p, m, err := s.promotion(ctx, in.ID, false)
	if err != nil {
		return nil, err
	}
	all := m.Tenant != ""
	if !all {
		if all, err = s.operator(ctx, PrincipalOf(ctx).Tenant); err != nil {
			return nil, err
		}
	}
	err = s.await(ctx, in.request, results.BellModels, wait, func() (bool, error) {
		p, err = s.Store.Promotion(ctx, in.ID)
		return !p.State.Open(), err
	})
	return &struct{ Body Promotion }{showPromotion(p, all)}, err
}

func (s *Server) cancelPromotion(ctx context.Context, in *ULIDPath) (*struct{ Body Promotion }, error) {
	p, m, err := s.promotion(ctx, in.ID, true)
	if err != nil {
		return nil, err
	}
	if !p.State.Open() {
		return nil, problem(codeState).with("The promotion has ended: it is %[1]s.", "该次启用已结束：%[1]s。", p.State)
	}
	if err := s.cancel(ctx, p, m); err != nil {
		return nil, err
	}
	p, err = s.Store.Promotion(ctx, p.ID)
	return &struct{ Body Promotion }{showPromotion(p, true)}, err
}

// dropAtOnce is how many vectors are deleted in one transaction.
const dropAtOnce = 500

func (s *Server) retireModel(ctx context.Context, input *ULIDPath) (*modelOutput, error) {
	m, err := s.model(ctx, input.ID, true)
	if err != nil {
		return nil, err
	}
	if !in(m.State, results.ModelAdded, results.ModelChecked, results.ModelStandby, results.ModelRetired) {
		return nil, wrongState(m, "Take it back first (POST .../rollback).", "请先回退（POST .../rollback）。")
	}
	if s.Registry == nil {
		return nil, problem(codeModels)
	}
	if _, err := s.cancelOf(ctx, m); err != nil {
		return nil, err
	}
	if m.State == results.ModelStandby { // it is in the active epoch as one that stays warm
		active, err := s.activeEpoch(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := s.propose(ctx, active.Without(m), active.Number, results.StepAtOnce, m); err != nil {
			return nil, err
		}
	} else if m.State != results.ModelRetired {
		from := m.State
		m.State = results.ModelRetired
		if err := s.Store.ChangeModel(ctx, m, from, s.modelEntry(ctx, "model.retired", m)); err != nil {
			return nil, err
		}
	}
	if err := s.dropVectors(ctx, m); err != nil { // called again it goes on
		return nil, err
	}
	return s.shownModel(ctx, m.ID)
}

// dropVectors deletes a model's vectors, unless another model in use has the same file.
func (s *Server) dropVectors(ctx context.Context, m results.RegisteredModel) error {
	if m.Task != results.ModelTask {
		return nil
	}
	if s.Registry == nil {
		return problem(codeModels)
	}
	own, err := s.Registry.BuiltIn() // a rollback may bring these back at any time
	if err != nil || slices.ContainsFunc(own, func(o pipeline.ModelRef) bool { return o.SHA256 == m.SHA256 }) {
		return err
	}
	tenants, err := s.concerned(ctx, m)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		shared := false
		for _, scope := range []string{"", t} {
			rows, err := s.Store.ScopeModels(ctx, scope)
			if err != nil {
				return err
			}
			for _, r := range rows {
				shared = shared || r.ID != m.ID && r.SHA256 == m.SHA256 && r.State != results.ModelRetired
			}
		}
		for n := int64(dropAtOnce); !shared && n == dropAtOnce; {
			if n, err = s.Store.DropTemplates(ctx, t, m.SHA256, dropAtOnce); err != nil {
				return err
			}
		}
	}
	return nil
}

// GapView is an enrolled photo that a model cannot use.
type GapView struct {
	Subject string       `json:"subject"`
	Photo   string       `json:"photo"`
	Why     *results.Why `json:"why,omitempty"`
}

func (s *Server) listModelGaps(ctx context.Context, in *runsInput) (*struct{ Body List[GapView] }, error) {
	m, err := s.model(ctx, in.ID, false)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, opModelGaps, in.ID, in.PageInput)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.ModelGaps(ctx, PrincipalOf(ctx).Tenant, m.SHA256, p)
	if err != nil {
		return nil, err
	}
	show := func(g results.ModelGap) GapView { return GapView{Subject: g.Subject, Photo: g.Photo, Why: g.Why} }
	return &struct{ Body List[GapView] }{list(s, ctx, opModelGaps, in.ID, p, rows, func(g results.ModelGap) string { return g.Photo }, show)}, nil
}
