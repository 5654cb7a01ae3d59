package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

// Registry is what the registry needs of whoever can load models.
type Registry interface {
	// Examine fetches a model's files, loads it and tries it out. The document is what it found; passed says that the model may be used.
	// Errors are those of the machine.
	Examine(ctx context.Context, m results.RegisteredModel) (document json.RawMessage, passed bool, err error)
	// BuiltIn names the models that the program brings along.
	BuiltIn() ([]pipeline.ModelRef, error)
	// Obstacles says which models could not run beside each other in a scope and, where that is the installation, for tenants with models of their
	// own, if the document held and further models ran: heads, for instance, that were trained on what another model replaces.
	Obstacles(ctx context.Context, doc results.EpochDoc, scope string, further ...results.RegisteredModel) ([]pipeline.Text, error)
	// Vectors gives what a tenant's vectors of enrolled photos are named by, if the document held and further models ran.
	Vectors(ctx context.Context, doc results.EpochDoc, tenant string, further ...results.RegisteredModel) (string, error)
}

const (
	opRegistry      = "get-registry"
	opModelAdd      = "add-model"
	opModelCheck    = "check-model"
	opModelShadow   = "shadow-model"
	opModelRuns     = "list-shadow-runs"
	opModelCompare  = "compare-model"
	opModelReport   = "put-model-report"
	opModelCanary   = "canary-model"
	opModelPromote  = "promote-model"
	opModelRollback = "rollback-model"
	opModelRetire   = "retire-model"
	opModelGaps     = "list-model-gaps"
	opPromotion     = "get-promotion"
	opPromotionEnd  = "cancel-promotion"
	opModels        = "list-registry-models"
	opModel         = "get-registry-model"
	opEpoch         = "get-epoch"
	opVectors       = "list-vectors"
	opVectorsDrop   = "delete-vectors"

	opComparisonBegin  = "begin-comparison"
	opComparisons      = "list-comparisons"
	opComparison       = "get-comparison"
	opComparisonPack   = "get-comparison-package"
	opComparisonPause  = "pause-comparison"
	opComparisonResume = "resume-comparison"
	opComparisonEnd    = "cancel-comparison"
)

// accessModels is the part of the access table about the registry of models.
var accessModels = map[string][]results.Role{
	opRegistry: {modelsRole, audit}, opModelRuns: {modelsRole, audit}, opPromotion: {modelsRole, audit},
	opModelAdd: {modelsRole}, opModelCheck: {modelsRole}, opModelShadow: {modelsRole}, opModelCompare: {modelsRole}, opModelReport: {modelsRole}, opModelCanary: {modelsRole},
	opModelPromote: {modelsRole}, opModelRollback: {modelsRole}, opModelRetire: {modelsRole}, opPromotionEnd: {modelsRole},
	opModelGaps: {modelsRole, audit}, opModels: {modelsRole, audit}, opModel: {modelsRole, audit}, opEpoch: {modelsRole, audit},
	opVectors: {modelsRole, audit}, opVectorsDrop: {modelsRole},
	opComparisonBegin: {modelsRole}, opComparisons: {modelsRole, audit}, opComparison: {modelsRole, audit}, opComparisonPack: {modelsRole, audit},
	opComparisonPause: {modelsRole}, opComparisonResume: {modelsRole}, opComparisonEnd: {modelsRole},
}

// The scopes as the API names them.
const (
	scopeInstallation = "installation"
	scopeTenant       = "tenant"
)

// RegisteredModel is a model of the registry.
type RegisteredModel struct {
	ID        string             `json:"id"`
	Scope     string             `json:"scope" enum:"installation,tenant" doc:"installation: for every tenant without a model of its own for the task; tenant: for yours only"`
	Task      string             `json:"task" example:"face_embed"`
	Name      string             `json:"name"`
	Version   string             `json:"version"`
	SHA256    string             `json:"sha256" doc:"of the ONNX file: what verdicts and stored vectors name"`
	Manifest  string             `json:"manifest_sha256"`
	State     results.ModelState `json:"state" enum:"added,checked,shadow,canary,active,standby,retired" doc:"standby: it was active, and stays warm for a rollback"`
	With      []string           `json:"with,omitempty" doc:"ids of the models that are tried with it, or were promoted in one epoch with it"`
	Trial     *ModelTrial        `json:"trial,omitempty" doc:"of a shadow or a canary"`
	Runs      *ModelRuns         `json:"runs,omitempty" doc:"what its shadow runs come to"`
	Check     json.RawMessage    `json:"check,omitempty" doc:"what the examination found; not in lists"`
	Report    json.RawMessage    `json:"report,omitempty" doc:"the newest comparison with the active model; of a model of the installation for the operator only; not in lists"`
	Passed    bool               `json:"passed" doc:"that comparison says that it may be promoted"`
	AddedBy   string             `json:"added_by" doc:"id of the API key"`
	AddedAt   time.Time          `json:"added_at"`
	ChangedAt time.Time          `json:"changed_at"`
}

// ModelTrial is how a model is tried.
type ModelTrial struct {
	Share  float64 `json:"share" doc:"of the jobs, 0 to 1"`
	Budget float64 `json:"budget,omitempty" doc:"shadow: processor cores that each process may spend on it"`
}

// ModelRuns is what shadow runs come to.
type ModelRuns struct {
	Jobs int64   `json:"jobs"`
	Same int64   `json:"same" doc:"with the same decision"`
	CPU  float64 `json:"cpu_ms" doc:"of one run, on average"`
}

// Epoch is one state of which models run.
type Epoch struct {
	Number    int64              `json:"number"`
	State     results.EpochState `json:"state" enum:"staging,active,past,failed"`
	Action    string             `json:"action" example:"model.promoted"`
	Why       *results.Why       `json:"why,omitempty" doc:"why it failed"`
	CreatedAt time.Time          `json:"created_at"`
	ActiveAt  *time.Time         `json:"active_at,omitempty"`
}

// ModelHost is a process that runs models.
type ModelHost struct {
	Name   string       `json:"name"`
	Role   string       `json:"role" enum:"api,worker,serve"`
	Base   string       `json:"base" doc:"digest of the models that its program brings along; all processes should have the same"`
	Ready  int64        `json:"ready" doc:"newest epoch that it can run; -1: not even the active one, and it refuses jobs until it can"`
	Why    *results.Why `json:"why,omitempty" doc:"why it cannot run an epoch"`
	SeenAt time.Time    `json:"seen_at"`
}

// Promotion is how a model becomes the active one.
type Promotion struct {
	ID        string                 `json:"id"`
	Model     string                 `json:"model"`
	State     results.PromotionState `json:"state" enum:"embedding,staging,done,failed,cancelled" doc:"embedding: enrolled photos get their vectors under the model; staging: all processes load it"`
	Override  string                 `json:"override,omitempty" doc:"why it is promoted without a comparison that passed"`
	Photos    int64                  `json:"photos" doc:"enrolled photos of people who consent; 0 where the model is of the installation and you are not its operator, as the next two"`
	Done      int64                  `json:"done" doc:"of those, that have their vector, or cannot have one"`
	Gaps      int64                  `json:"gaps" doc:"of those, that cannot have one"`
	Epoch     int64                  `json:"epoch,omitempty"`
	Why       *results.Why           `json:"why,omitempty"`
	By        string                 `json:"by" doc:"id of the API key"`
	CreatedAt time.Time              `json:"created_at"`
	ChangedAt time.Time              `json:"changed_at"`
}

// RegistryView is the whole registry as a tenant sees it.
type RegistryView struct {
	Epoch      int64             `json:"epoch" doc:"the active one; 0: nothing was ever promoted or tried, and the models that the program brings along run"`
	Epochs     []Epoch           `json:"epochs" nullable:"false" doc:"newest first"`
	Models     []RegisteredModel `json:"models" nullable:"false" doc:"those of the installation, and the tenant's own, but the retired ones (GET /v1/registry/models lists these, too), and without their checks and reports"`
	Hosts      []ModelHost       `json:"hosts" nullable:"false" doc:"for the operator: the processes that run models"`
	Promotions []Promotion       `json:"promotions" nullable:"false" doc:"newest first"`
	Operator   bool              `json:"operator" doc:"this key's tenant may change the models of the installation"`
}

type modelOutput struct{ Body RegisteredModel }

// ModelAnswer is a model with the epoch in which a change takes effect.
type ModelAnswer struct {
	Model RegisteredModel `json:"model"`
	Epoch Epoch           `json:"epoch" doc:"staging: it takes effect when every process has loaded what it needs; GET /v1/registry tells"`
}

type modelAnswerOutput struct{ Body ModelAnswer }

// The registry shows so many epochs and promotions, and models of each scope; lists show the others.
const (
	shownEpochs = 20
	shownModels = 100
)

func (s *Server) registryRoutes() {
	tag := "models"
	staged := "The change is an epoch: it takes effect when every live process has loaded what it needs, and jobs that run finish on the models that they began with. "
	register(s, describe(get, "/v1/registry", opRegistry, tag, "Read the registry of models",
		explained("Which models there are beside those that the program brings along, which run, and which process can run what.")), s.getRegistry)
	register(s, describe(post, "/v1/registry/models", opModelAdd, tag, "Add a model", answers(http.StatusCreated), s.modelForm(),
		explained("A manifest and its files. They are kept as objects by their sha256, fetched by every process that needs them, and examined at once: files, graph, golden samples, numbers, time, memory. "+
			"A model that passes is checked; one with faults stays added, and its check says what is wrong.")), s.addModel)
	register(s, describe(post, "/v1/registry/models/{id}/check", opModelCheck, tag, "Examine a model again"), s.checkModel)
	register(s, describe(post, "/v1/registry/models/{id}/shadow", opModelShadow, tag, "Try a model beside the active one",
		explained(staged+"A share of the finished jobs is run again with the model, from the stored media and the pinned inputs, within a budget of processor time. No verdict changes and no job waits.")), s.shadowModel)
	register(s, describe(get, "/v1/registry/models/{id}/runs", opModelRuns, tag, "List what a model said of live jobs",
		explained("Your tenant's jobs only, newest first.")), s.listShadowRuns)
	register(s, describe(post, "/v1/registry/models/{id}/compare", opModelCompare, tag, "Compare a model with the active one",
		explained("Sums up its shadow runs: how many decisions differ, which reasons came and went, how scores moved, by site. The report is kept with the model; one that passed allows its promotion.")), s.compareModel)
	register(s, describe(put, "/v1/registry/models/{id}/report", opModelReport, tag, "Hand in a comparison",
		explained("A report that was made elsewhere, as by \"onsite models compare\" on a labelled folder. Its field passed says whether the model may be promoted; who handed it in is logged with its sha256.")), s.putModelReport)
	register(s, describe(post, "/v1/registry/models/{id}/canary", opModelCanary, tag, "Let a model make some of the verdicts",
		explained(staged+"It makes the verdicts of a share of the jobs, or of all jobs of some tenants. These verdicts say so in runtime.model_set.")), s.canaryModel)
	register(s, describe(post, "/v1/registry/models/{id}/promote", opModelPromote, tag, "Make a model the active one", answers(http.StatusAccepted),
		explained(staged+"It needs a comparison that passed, or a reason in writing. Where its vectors are stored, every enrolled photo gets one first (GET /v1/registry/promotions/{id} tells how far it is; it goes on after a restart); "+
			"the old ones are kept until the old model is retired. With dry_run nothing is written, and the answer says what would be.")), s.promoteModel)
	register(s, describe(post, "/v1/registry/models/{id}/rollback", opModelRollback, tag, "Take a model back",
		explained("An active model gives way to what was active before it, at once: that stayed warm. A trial of a model ends. An open promotion of it is cancelled.")), s.rollbackModel)
	register(s, describe(post, "/v1/registry/models/{id}/retire", opModelRetire, tag, "Retire a model",
		explained("Its vectors of enrolled photos are deleted, and it stays warm no longer. Its files are kept, so that verdicts that it made can be made again.")), s.retireModel)
	register(s, describe(get, "/v1/registry/models", opModels, tag, "List models of the registry", explained("Newest first.")), s.listModels)
	register(s, describe(get, "/v1/registry/models/{id}", opModel, tag, "Read a model with its examination and its newest comparison"), s.getModel)
	register(s, describe(get, "/v1/registry/epochs/{number}", opEpoch, tag, "Read an epoch",
		explained("With wait the answer comes when it is staged no longer, or the time is over.")), s.getEpoch)
	register(s, describe(get, "/v1/registry/models/{id}/gaps", opModelGaps, tag, "List enrolled photos that a model cannot use"), s.listModelGaps)
	register(s, describe(get, "/v1/registry/promotions/{id}", opPromotion, tag, "Read how far a promotion is",
		explained("With wait the answer comes when it has ended, or the time is over.")), s.getPromotion)
	register(s, describe(del, "/v1/registry/promotions/{id}", opPromotionEnd, tag, "Cancel a promotion",
		explained("What was embedded so far is kept until the model is retired.")), s.cancelPromotion)
	s.comparisonRoutes(tag)
	s.vectorRoutes(tag)
}

// operator says whether a tenant may change the models of the whole installation.
func (s *Server) operator(ctx context.Context, tenant string) (bool, error) {
	if s.Operator != nil {
		return s.Operator(tenant), nil
	}
	all, err := s.Store.Tenants(ctx)
	return len(all) == 1, err
}

// model gives a model that the caller may see, and with change one that it may change.
func (s *Server) model(ctx context.Context, id string, change bool) (results.RegisteredModel, error) {
	m, err := s.Store.Model(ctx, id)
	if err != nil {
		return m, err
	}
	who := PrincipalOf(ctx).Tenant
	if m.Tenant != "" && m.Tenant != who {
		return m, results.ErrNotFound
	}
	if m.Tenant == "" && change {
		if err := s.mustOperate(ctx); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (s *Server) mustOperate(ctx context.Context) error {
	ok, err := s.operator(ctx, PrincipalOf(ctx).Tenant)
	if err == nil && !ok {
		err = problem(codeNotAllowed).with("The models of the installation are for its operator to change (api.operators): this one has several tenants. Add the model for your tenant alone (scope=tenant; onsite models upload --tenant) to change what your own jobs run.",
			"本安装有多个租户，全局模型只能由运营方（api.operators）更改。请仅为本租户添加模型（scope=tenant；onsite models upload --tenant），仅更改您自己的任务。")
	}
	return err
}

// activeEpoch gives the epoch that is active.
func (s *Server) activeEpoch(ctx context.Context) (results.Epoch, error) {
	n, err := s.Store.ActiveEpoch(ctx)
	if err != nil {
		return results.Epoch{}, err
	}
	return s.Store.Epoch(ctx, n)
}

func (s *Server) getRegistry(ctx context.Context, _ *nothing) (*struct{ Body RegistryView }, error) {
	who := PrincipalOf(ctx).Tenant
	out := RegistryView{Epochs: []Epoch{}, Models: []RegisteredModel{}, Hosts: []ModelHost{}, Promotions: []Promotion{}}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	out.Epoch = active.Number
	epochs, err := s.Store.NewestEpochs(ctx, shownEpochs)
	if err != nil {
		return nil, err
	}
	if out.Operator, err = s.operator(ctx, who); err != nil {
		return nil, err
	}
	sums, err := s.Store.ShadowSumsOf(ctx, who)
	if err != nil {
		return nil, err
	}
	own := map[string]bool{} // the caller's models
	hosts, err := s.Store.ModelHosts(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		if !out.Operator {
			break // names of machines, and why they fail, are the operator's
		}
		out.Hosts = append(out.Hosts, ModelHost{Name: h.Name, Role: h.Role, Base: h.Base, Ready: h.Ready, Why: h.Why, SeenAt: h.SeenAt.UTC()})
	}
	for _, scope := range []string{"", who} {
		rows, err := s.Store.ListModels(ctx, scope, false, results.Page{Limit: shownModels})
		if err != nil {
			return nil, err
		}
		for _, m := range rows {
			own[m.ID] = m.Tenant != ""
			out.Models = append(out.Models, listed(m, active.Doc, sums))
		}
		promotions, err := s.Store.Promotions(ctx, scope, shownEpochs)
		if err != nil {
			return nil, err
		}
		for _, p := range promotions {
			out.Promotions = append(out.Promotions, showPromotion(p, out.Operator || p.Scope != ""))
		}
	}
	for _, e := range epochs {
		shown := showEpoch(e)
		if !out.Operator && !slices.ContainsFunc(e.Changes, func(c results.ModelChange) bool { return own[c.Model] }) {
			shown.Why = nil // it may name models of others
		}
		out.Epochs = append(out.Epochs, shown)
	}
	slices.SortFunc(out.Promotions, func(a, b Promotion) int { return strings.Compare(b.ID, a.ID) })
	return &struct{ Body RegistryView }{out}, nil
}

func showEpoch(e results.Epoch) Epoch {
	return Epoch{Number: e.Number, State: e.State, Action: e.Action, Why: e.Why, CreatedAt: e.CreatedAt.UTC(), ActiveAt: moment(e.ActiveAt)}
}

// showPromotion shows a promotion; all of it to whoever may change the model, since it counts all photos that it concerns.
func showPromotion(p results.Promotion, all bool) Promotion {
	if !all {
		p.Override, p.Total, p.Done, p.Gaps, p.Why = "", 0, 0, 0, nil
	}
	return Promotion{ID: p.ID, Model: p.Model, State: p.State, Override: p.Override, Photos: p.Total, Done: p.Done, Gaps: p.Gaps, Epoch: p.Epoch, Why: p.Why, By: p.Actor, CreatedAt: p.Created.UTC(), ChangedAt: p.Changed.UTC()}
}

// showModel shows a model whole. What its shadow runs come to is of the caller's own jobs.
func (s *Server) showModel(ctx context.Context, m results.RegisteredModel, doc results.EpochDoc) (RegisteredModel, error) {
	who := PrincipalOf(ctx).Tenant
	sums, err := s.Store.ShadowSums(ctx, m.ID, who)
	if err != nil {
		return RegisteredModel{}, err
	}
	out := listed(m, doc, map[string]results.ShadowSums{m.ID: sums})
	out.Check = m.Check
	if m.Tenant == "" { // its report counts other tenants' jobs
		if ok, err := s.operator(ctx, who); err != nil || !ok {
			return out, err
		}
	}
	out.Report = m.Report
	return out, nil
}

// listed shows a model as lists have it.
func listed(m results.RegisteredModel, doc results.EpochDoc, runs map[string]results.ShadowSums) RegisteredModel {
	out := RegisteredModel{ID: m.ID, Scope: scopeInstallation, Task: m.Task, Name: m.Name, Version: m.Version, SHA256: m.SHA256, Manifest: m.Digest, State: m.State,
		With: doc.Together[m.ID], Passed: m.Passed, AddedBy: m.Actor, AddedAt: m.AddedAt.UTC(), ChangedAt: m.Changed.UTC()}
	if m.Tenant != "" {
		out.Scope = scopeTenant
	}
	for _, t := range slices.Concat(doc.Shadows, doc.Canaries) {
		if !t.Has(m.ID) {
			continue
		}
		out.Trial, out.With = &ModelTrial{Share: t.Share, Budget: t.Budget}, nil
		for _, id := range slices.Sorted(maps.Values(t.All())) {
			if id != m.ID {
				out.With = append(out.With, id)
			}
		}
	}
	if sums := runs[m.ID]; sums.Runs > 0 {
		out.Runs = &ModelRuns{Jobs: sums.Runs, Same: sums.Same, CPU: sums.CPUMS / float64(sums.Runs)}
	}
	return out
}

func (s *Server) listModels(ctx context.Context, in *struct {
	PageInput
	Scope   string `query:"scope" enum:"installation,tenant" default:"installation"`
	Retired bool   `query:"retired" doc:"only those that are retired; else only the others"`
}) (*struct{ Body List[RegisteredModel] }, error) {
	scope := ""
	if in.Scope == scopeTenant {
		scope = PrincipalOf(ctx).Tenant
	}
	filter := []any{in.Scope, in.Retired}
	p, err := s.page(ctx, opModels, filter, in.PageInput)
	if err != nil {
		return nil, err
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	sums, err := s.Store.ShadowSumsOf(ctx, PrincipalOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.ListModels(ctx, scope, in.Retired, p)
	if err != nil {
		return nil, err
	}
	show := func(m results.RegisteredModel) RegisteredModel { return listed(m, active.Doc, sums) }
	return &struct{ Body List[RegisteredModel] }{list(s, ctx, opModels, filter, p, rows, func(m results.RegisteredModel) string { return m.ID }, show)}, nil
}

func (s *Server) getModel(ctx context.Context, in *ULIDPath) (*modelOutput, error) {
	m, err := s.model(ctx, in.ID, false)
	if err != nil {
		return nil, err
	}
	return s.shownModel(ctx, m.ID)
}

// EpochView is an epoch with who can run it.
type EpochView struct {
	Epoch
	Ready int `json:"ready" doc:"processes that can run it"`
	Hosts int `json:"hosts" doc:"processes that run models"`
}

func (s *Server) getEpoch(ctx context.Context, in *struct {
	request
	Number int64  `path:"number" minimum:"1"`
	Wait   string `query:"wait" maxLength:"16" doc:"30s: wait until it is staged no longer, at most so long (the server's limit is 60 s)" example:"30s"`
}) (*struct{ Body EpochView }, error) {
	wait, err := s.waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Epoch(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	whole, err := s.mine(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, in.request, results.BellModels, wait, func() (bool, error) {
		e, err = s.Store.Epoch(ctx, in.Number)
		return e.State != results.EpochStaging, err
	}); err != nil {
		return nil, err
	}
	hosts, err := s.Store.ModelHosts(ctx)
	if err != nil {
		return nil, err
	}
	out := EpochView{Epoch: showEpoch(e)}
	if !whole {
		out.Why = nil // it may name models and machines of others
	}
	for _, h := range hosts {
		if s.now().Sub(h.SeenAt) > seenWithin {
			continue
		}
		if out.Hosts++; h.Ready >= e.Number {
			out.Ready++
		}
	}
	return &struct{ Body EpochView }{out}, nil
}

// seenWithin is how long a process that says nothing is counted; a little longer than an epoch waits for it.
const seenWithin = 20 * time.Second

// mine says whether the caller may see all of an epoch: as the operator, or since it changes a model of its own. One that changes other
// tenants' own models alone is none of its business: results.ErrNotFound.
func (s *Server) mine(ctx context.Context, e results.Epoch) (bool, error) {
	who := PrincipalOf(ctx).Tenant
	if ok, err := s.operator(ctx, who); err != nil || ok {
		return ok, err
	}
	shared := len(e.Changes) == 0
	for _, c := range e.Changes {
		m, err := s.Store.Model(ctx, c.Model)
		if err != nil {
			return false, err
		}
		if m.Tenant == who {
			return true, nil
		}
		shared = shared || m.Tenant == ""
	}
	if !shared {
		return false, results.ErrNotFound
	}
	return false, nil
}

// propose writes an epoch that the caller asked for.
func (s *Server) propose(ctx context.Context, next results.Epoch, after int64, step results.EpochStep, m results.RegisteredModel) (*modelAnswerOutput, error) {
	next.Actor = PrincipalOf(ctx).Key
	e, err := s.Store.ProposeEpoch(ctx, next, after, step, s.modelEntry(ctx, next.Action+".asked", m))
	if errors.Is(err, results.ErrConflict) {
		return nil, problem(codeState).with("Another change of the models is being staged; wait until it is active, or cancel it (GET /v1/registry shows it).",
			"另一项模型更改正在准备中；请等待其生效，或先取消（可用 GET /v1/registry 查看）。").because(err)
	}
	if err != nil {
		return nil, err
	}
	s.Bell.Ring(ctx, results.BellModels)
	if m, err = s.Store.Model(ctx, m.ID); err != nil {
		return nil, err
	}
	shown, err := s.showModel(ctx, m, e.Doc)
	return &modelAnswerOutput{ModelAnswer{Model: shown, Epoch: showEpoch(e)}}, err
}

// modelEntry is an entry of the audit log about a model; the store writes it to the log of everybody whom the model concerns.
func (s *Server) modelEntry(ctx context.Context, action string, m results.RegisteredModel) results.AuditEntry {
	return results.AuditEntry{ID: ulid.Make().String(), Tenant: m.Tenant, At: s.now(), Actor: PrincipalOf(ctx).Key, Action: action, Target: m.ID, Digest: m.Digest}
}

// wrongState refuses a step that a model's state does not allow.
func wrongState(m results.RegisteredModel, en, zh string) error {
	return problem(codeState).with("The model is %[1]s. "+en, "模型状态为 %[1]s。"+zh, m.State)
}

func in(state results.ModelState, states ...results.ModelState) bool {
	return slices.Contains(states, state)
}

func modelParts(op *huma.Operation, properties map[string]*huma.Schema, required ...string) {
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{Type: "object", Required: required, Properties: properties}}}}
}
