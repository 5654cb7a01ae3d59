package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/oklog/ulid/v2"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/results"
)

const (
	// maxModelBytes bounds one file of a model; the largest that we know of has 400 MB.
	maxModelBytes = 1 << 30
	// maxModels bounds the models of a scope that are not retired, and maxScopeBytes the files of all of them: those of retired models stay, so
	// that their verdicts can be made again.
	maxModels     = 50
	maxScopeBytes = 16 << 30
)

type addModelInput struct {
	Scope string `query:"scope" enum:"installation,tenant" default:"installation" doc:"tenant: only your own jobs may run it"`
	Stream
}

func (s *Server) modelForm() func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.MaxBodyBytes = 2*maxModelBytes + 1<<20
		modelParts(op, map[string]*huma.Schema{
			"manifest": binary("the manifest (YAML), first"),
			"file":     {Type: "array", Items: binary("one file"), Description: "the files that the manifest names, each under its name there"},
		}, "manifest", "file")
	}
}

func (s *Server) addModel(ctx context.Context, in *addModelInput) (*modelOutput, error) {
	if s.Objects == nil || s.Registry == nil {
		return nil, problem(codeOff).with("This server keeps no models: it has no core that runs them.", "该服务器没有可运行模型的核心，无法保存模型。")
	}
	tenant := PrincipalOf(ctx).Tenant
	if in.Scope == scopeInstallation {
		tenant = ""
		if err := s.mustOperate(ctx); err != nil {
			return nil, err
		}
	}
	f, err := in.form()
	if err != nil {
		return nil, err
	}
	var m results.RegisteredModel
	var man manifest.Manifest
	for {
		p, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
			return nil, err
		case p.name == "manifest" && m.Manifest == nil:
			if m.Manifest, err = p.text(manifest.MaxBytes); err != nil {
				return nil, err
			}
			if man, err = manifest.Parse("manifest", m.Manifest); err != nil {
				return nil, invalid("form.manifest", "invalid", nil, say("%v", "清单有误：%v", err), say("correct the manifest; docs/models.md describes it", "请修改清单；格式见 docs/models.md"))
			}
			if f := models.NameFault(man); f != nil {
				return nil, invalid("form.manifest", "name", man.Name, pipeline.Text(f.Text), pipeline.Text{})
			}
			if err := s.roomForModel(ctx, tenant, man); err != nil { // before a file is read
				return nil, err
			}
		case p.name == "file" && m.Manifest != nil:
			kept, err := s.keepModelFile(ctx, man, p)
			if err != nil {
				return nil, err
			}
			m.Files = append(m.Files, kept)
		default:
			return nil, invalid("form."+fieldName(p.name), "order", nil, say("is not expected here", "不应出现在此处"), say("send one part manifest first, then the files as parts named file", "请先发送一个 manifest，再以 file 发送各文件"))
		}
	}
	in.done()
	for _, want := range man.Files() {
		if !slices.ContainsFunc(m.Files, func(k results.ModelFile) bool { return k.Name == want.Name }) {
			return nil, invalid("form.file", "missing", want.Name, say("%s is missing", "缺少 %s", want.Name), say("send every file that the manifest names", "请发送清单中的每个文件"))
		}
	}
	m.ID, m.Tenant, m.Task, m.Name, m.Version, m.SHA256 = ulid.Make().String(), tenant, man.Task, man.Name, man.Version, man.File.SHA256
	m.Digest, m.State, m.Actor, m.AddedAt = results.Sum(m.Manifest), results.ModelAdded, PrincipalOf(ctx).Key, s.stamp()
	m.Changed = m.AddedAt
	if err := s.Store.AddModel(ctx, m, s.modelEntry(ctx, "model.added", m)); err != nil {
		if errors.Is(err, results.ErrExists) {
			return nil, problem(codeExists).with("There is a model with this manifest, or of this task, name and version, that is not retired; GET /v1/registry shows it.",
				"已存在使用该清单、或任务、名称与版本相同且未停用的模型；可用 GET /v1/registry 查看。").because(err)
		}
		return nil, err
	}
	return s.examine(ctx, m)
}

// roomForModel says whether a scope may have another model. Files that it has already, under the same sha256, take no room.
func (s *Server) roomForModel(ctx context.Context, scope string, man manifest.Manifest) error {
	all, err := s.Store.ScopeModels(ctx, scope)
	if err != nil {
		return err
	}
	kept := map[string]int64{}
	here := 0
	for _, m := range all {
		if m.State != results.ModelRetired {
			here++
		}
		for _, f := range m.Files {
			kept[f.SHA256] = f.Bytes
		}
	}
	for _, f := range man.Files() {
		kept[f.SHA256] = f.Bytes
	}
	var bytes int64
	for _, n := range kept {
		bytes += n
	}
	switch {
	case here >= maxModels:
		return invalid("form.manifest", "too_many", maxModels, say("is of model %d; %d may be there that are not retired", "对应第 %d 个模型；未停用的模型最多 %d 个", here+1, maxModels),
			say("retire one that is not needed any more (onsite models retire NAME)", "请先停用不再需要的模型（onsite models retire NAME）"))
	case bytes > maxScopeBytes:
		return invalid("form.file", "too_large", int64(maxScopeBytes), say("would bring the files of all models to %d bytes; %d may be kept, those of retired models among them", "将使全部模型文件达到 %d 字节；最多保留 %d 字节（含已停用的模型）", bytes, int64(maxScopeBytes)),
			say("add a smaller model; files that a verdict may need are not deleted", "请添加较小的模型；结论可能用到的文件不会被删除"))
	}
	return nil
}

// keepModelFile stores a file under its sha256, which the manifest names: what is another is refused, and leaves nothing.
func (s *Server) keepModelFile(ctx context.Context, man manifest.Manifest, p *part) (results.ModelFile, error) {
	at := slices.IndexFunc(man.Files(), func(f manifest.File) bool { return f.Name == p.label() })
	if at < 0 {
		return results.ModelFile{}, invalid("form.file", "unknown", p.label(), say("the manifest names no file %q", "清单中没有文件 %q", p.label()), say("send the files under the names that they have there", "请使用清单中的文件名"))
	}
	want := man.Files()[at]
	kept := results.ModelFile{Name: want.Name, SHA256: want.SHA256, Bytes: want.Bytes, Key: results.ModelKey(want.SHA256)}
	if err := s.Store.Pend(ctx, []string{kept.Key}); err != nil {
		return kept, err
	}
	checked := &summed{r: p.bounded(min(want.Bytes, maxModelBytes)), sum: sha256.New(), want: want}
	if err := s.Objects.Put(ctx, kept.Key, checked, want.Bytes); err != nil {
		if checked.wrong {
			return kept, invalid("form.file", "checksum", want.SHA256, say("%s is not the file that the manifest names: %s", "%s 与清单不符：%s", want.Name, checked.said),
				say("send the right file, or correct sha256 and bytes in the manifest", "请发送正确的文件，或修改清单中的 sha256 与 bytes"))
		}
		return kept, err
	}
	return kept, nil
}

// summed compares what is read with what a manifest says, before the last byte is given away.
type summed struct {
	r     io.Reader
	sum   hash.Hash
	read  int64
	want  manifest.File
	wrong bool
	said  string
}

var errNotTheFile = errors.New("not the file that the manifest names")

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	s.read += int64(n)
	if s.read >= s.want.Bytes || err != nil {
		got := hex.EncodeToString(s.sum.Sum(nil))
		if s.read != s.want.Bytes || got != s.want.SHA256 {
			s.wrong, s.said = true, fmt.Sprintf("sha256 %s, %d bytes", got, s.read)
			return n, errNotTheFile
		}
	}
	return n, err
}

// examine looks at a model and keeps what it found. One that is tried or runs already keeps its state. One model is examined at a time: each
// is loaded, and timed.
func (s *Server) examine(ctx context.Context, m results.RegisteredModel) (*modelOutput, error) {
	free, err := s.examined.enter(ctx, PrincipalOf(ctx).Tenant, workTime/2)
	if err != nil {
		return nil, problem(codeBusyTenant).with("Other models are being examined, one after the other. Model %s is added; examine it later (POST /v1/registry/models/%s/check).",
			"正在逐个检查其他模型。模型 %s 已添加；请稍后检查（POST /v1/registry/models/%s/check）。", m.Name, m.ID).retry(fullRetry).because(err)
	}
	defer free()
	document, passed, err := s.Registry.Examine(ctx, m)
	if err != nil {
		return nil, err
	}
	from := m.State
	m.Check = document
	action := "model.checked"
	switch {
	case passed && from == results.ModelAdded:
		m.State = results.ModelChecked
	case !passed:
		if action = "model.refused"; from == results.ModelChecked {
			m.State = results.ModelAdded
		}
	}
	if err := s.Store.ChangeModel(ctx, m, from, s.modelEntry(ctx, action, m)); err != nil {
		return nil, err
	}
	return s.shownModel(ctx, m.ID)
}

func (s *Server) shownModel(ctx context.Context, id string) (*modelOutput, error) {
	m, err := s.Store.Model(ctx, id)
	if err != nil {
		return nil, err
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := s.showModel(ctx, m, active.Doc)
	return &modelOutput{shown}, err
}

// checkInput names a model that is to be examined.
type checkInput struct{ ULIDPath }

// Resolve gives the answer the time of work on models.
func (in *checkInput) Resolve(ctx huma.Context) []error {
	extend(ctx, workTime)
	return nil
}

func (s *Server) checkModel(ctx context.Context, in *checkInput) (*modelOutput, error) {
	m, err := s.model(ctx, in.ID, true)
	if err != nil {
		return nil, err
	}
	if m.State == results.ModelRetired {
		return nil, wrongState(m, "Add it again to use it.", "如需使用请重新添加。")
	}
	if s.Registry == nil {
		return nil, problem(codeModels)
	}
	return s.examine(ctx, m)
}

// Together are further models that a change is about.
type Together struct {
	With []string `json:"with,omitempty" maxItems:"8" doc:"ids of further models, of other tasks and the same scope, that are tried or promoted together with it: models that name each other's files, as heads with the model whose values they read"`
}

// together gives the models of a change, which must be in one of these states; the one that it is named by first.
func (s *Server) together(ctx context.Context, id string, with Together, en, zh string, states ...results.ModelState) ([]results.RegisteredModel, error) {
	m, err := s.model(ctx, id, true)
	if err != nil {
		return nil, err
	}
	all := []results.RegisteredModel{m}
	for _, other := range with.With {
		o, err := s.model(ctx, other, true)
		if errors.Is(err, results.ErrNotFound) {
			return nil, unknown("body.with", say("one of them is no model of yours", "其中有不存在的模型"), pipeline.Text{})
		}
		if err != nil {
			return nil, err
		}
		if o.Tenant != m.Tenant || slices.ContainsFunc(all, func(have results.RegisteredModel) bool { return have.Task == o.Task }) {
			return nil, invalid("body.with", "together", other, say("%s %s has another scope than %s, or the task of another of these", "%s %s 的范围与 %s 不同，或与其中另一模型任务相同", o.Name, o.Version, m.Name),
				say("name models of one scope, each of a task of its own", "请选择同一范围、任务各不相同的模型"))
		}
		all = append(all, o)
	}
	for _, one := range all {
		if !in(one.State, states...) {
			return nil, wrongState(one, en, zh)
		}
	}
	return all, nil
}

type shadowInput struct {
	ULIDPath
	Body struct {
		Together
		Share  float64 `json:"share" exclusiveMinimum:"0" maximum:"1" doc:"of the jobs that are to be run again with the model"`
		Budget float64 `json:"budget,omitempty" minimum:"0.01" maximum:"64" default:"0.25" doc:"processor cores that each process may spend on it; what does not fit is left out of the sample"`
		Past   int     `json:"past,omitempty" minimum:"0" maximum:"500" doc:"so many of the newest finished jobs are run, too"`
	}
}

func (s *Server) shadowModel(ctx context.Context, input *shadowInput) (*modelAnswerOutput, error) {
	all, err := s.together(ctx, input.ID, input.Body.Together, "Only one that was checked and does not run yet can be a shadow.", "只有已通过检查且尚未运行的模型才能旁路试运行。",
		results.ModelChecked, results.ModelShadow, results.ModelCanary, results.ModelStandby)
	if err != nil {
		return nil, err
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.unobstructed(ctx, active.Doc, all...); err != nil {
		return nil, err
	}
	next := active.Shadowed(all[0], input.Body.Share, input.Body.Budget, all[1:]...)
	next.Doc.Shadows[len(next.Doc.Shadows)-1].Past = input.Body.Past
	return s.propose(ctx, next, active.Number, results.StepStaged, all[0])
}

// unobstructed refuses models beside which others could not run.
func (s *Server) unobstructed(ctx context.Context, doc results.EpochDoc, all ...results.RegisteredModel) error {
	return s.fitting(ctx, doc, all[0].Tenant, all, problem(codeState).with("Another model cannot run beside this one.", "另一模型无法与该模型同时运行。"),
		say("try or promote models that belong together in one go (with; onsite models promote A B)", "请将相互依赖的模型一起试用或启用（with；onsite models promote A B）"))
}

func (s *Server) fitting(ctx context.Context, doc results.EpochDoc, scope string, further []results.RegisteredModel, p *Problem, fix pipeline.Text) error {
	if s.Registry == nil {
		return problem(codeModels)
	}
	found, err := s.Registry.Obstacles(ctx, doc, scope, further...)
	if err != nil {
		return err
	}
	for _, text := range found {
		p.field("path.id", "obstacle", nil, text, fix)
	}
	if len(p.Errors) > 0 {
		return p
	}
	return nil
}

type canaryInput struct {
	ULIDPath
	Body struct {
		Together
		Share   float64  `json:"share,omitempty" minimum:"0" maximum:"1" doc:"of the jobs"`
		Tenants []string `json:"tenants,omitempty" maxItems:"1000" doc:"all jobs of these tenants; for the operator"`
	}
}

func (s *Server) canaryModel(ctx context.Context, input *canaryInput) (*modelAnswerOutput, error) {
	all, err := s.together(ctx, input.ID, input.Body.Together, "Only one that was checked and does not run yet can be a canary.", "只有已通过检查且尚未运行的模型才能灰度运行。",
		results.ModelChecked, results.ModelShadow, results.ModelCanary, results.ModelStandby)
	if err != nil {
		return nil, err
	}
	m := all[0]
	if input.Body.Share == 0 && len(input.Body.Tenants) == 0 {
		return nil, invalid("body.share", "required", nil, say("is missing", "缺失"), say("name a share of the jobs, or tenants", "请指定任务比例或租户"))
	}
	for _, t := range input.Body.Tenants {
		if _, err := s.Store.Tenant(ctx, t); m.Tenant != "" && t != m.Tenant || errors.Is(err, results.ErrNotFound) {
			return nil, unknown("body.tenants", say("there is no tenant %q, or the model is not for it", "没有租户 %q，或该模型不适用于它", t), pipeline.Text{})
		} else if err != nil {
			return nil, err
		}
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.unobstructed(ctx, active.Doc, all...); err != nil {
		return nil, err
	}
	next := active.OnTrial(m, input.Body.Share, input.Body.Tenants, all[1:]...)
	for _, t := range input.Body.Tenants {
		if !next.Doc.Concerns(next.Doc.Canaries[len(next.Doc.Canaries)-1], t) {
			return nil, unknown("body.tenants", say("tenant %q runs a model of its own for this task, and would not run this one", "租户 %q 使用其自己的该类模型，不会运行该模型", t), pipeline.Text{})
		}
	}
	return s.propose(ctx, next, active.Number, results.StepStaged, m)
}

type reportInput struct {
	ULIDPath
	Stream
}

// maxReport bounds a comparison that is handed in.
const maxReport = 4 << 20

func (s *Server) putModelReport(ctx context.Context, in *reportInput) (*modelOutput, error) {
	m, err := s.model(ctx, in.ID, true)
	if err != nil {
		return nil, err
	}
	raw, err := in.whole(maxReport)
	if err != nil {
		return nil, err
	}
	var said struct {
		Passed *bool `json:"passed"`
	}
	if err := json.Unmarshal(raw, &said); err != nil || said.Passed == nil {
		return nil, invalid("body.passed", "required", nil, say("the report is JSON with a field passed", "报告应为带有 passed 字段的 JSON"), say("hand in what \"onsite models compare --json\" wrote", "请提交 onsite models compare --json 的输出"))
	}
	var small bytes.Buffer
	if err := json.Compact(&small, raw); err != nil {
		return nil, badBody(err)
	}
	m.Report, m.Passed = small.Bytes(), *said.Passed
	a := s.modelEntry(ctx, "model.reported", m)
	a.Digest = results.Sum(raw)
	if err := s.Store.ChangeModel(ctx, m, m.State, a); err != nil {
		return nil, err
	}
	return s.shownModel(ctx, m.ID)
}

// RunView is what a model said of one job.
type RunView struct {
	Job    string          `json:"job"`
	Stored bool            `json:"stored" doc:"the job was done before the trial began"`
	Same   bool            `json:"same"`
	Before string          `json:"before" doc:"the verdict's decision"`
	After  string          `json:"after" doc:"the decision with the model on trial"`
	CPUMS  float64         `json:"cpu_ms"`
	Detail json.RawMessage `json:"detail,omitempty" doc:"check by check"`
}

type runsInput struct {
	ULIDPath
	PageInput
}

func (s *Server) listShadowRuns(ctx context.Context, in *runsInput) (*struct{ Body List[RunView] }, error) {
	if _, err := s.model(ctx, in.ID, false); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, opModelRuns, in.ID, in.PageInput)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.ShadowRuns(ctx, in.ID, PrincipalOf(ctx).Tenant, p)
	if err != nil {
		return nil, err
	}
	show := func(r results.ShadowRun) RunView {
		return RunView{Job: r.Job, Stored: r.Stored, Same: r.Same, Before: r.Before, After: r.After, CPUMS: r.CPUMS, Detail: r.Detail}
	}
	return &struct{ Body List[RunView] }{list(s, ctx, opModelRuns, in.ID, p, rows, func(r results.ShadowRun) string { return r.Job }, show)}, nil
}
