package results

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"time"

	"onsite/pipeline"
)

// ModelState is where a model of the registry is.
type ModelState string

// The states of a model. Each task of a scope (the whole installation, or one tenant) has at most one active model of the registry; without
// any it runs the one that the program brings along.
const (
	ModelAdded   ModelState = "added"   // its files are stored; nobody looked at it yet
	ModelChecked ModelState = "checked" // it loads, gives its golden samples and can be used
	ModelShadow  ModelState = "shadow"  // runs beside the active one on some live jobs; no verdict depends on it
	ModelCanary  ModelState = "canary"  // makes the verdicts of a share of the jobs, or of some tenants
	ModelActive  ModelState = "active"  // makes the verdicts
	ModelStandby ModelState = "standby" // was active before; stays warm with its embeddings, so that a rollback is instant
	ModelRetired ModelState = "retired" // its embeddings are gone; its files stay, so that its verdicts can be made again
)

// ModelStates lists them all.
var ModelStates = []ModelState{ModelAdded, ModelChecked, ModelShadow, ModelCanary, ModelActive, ModelStandby, ModelRetired}

// RegisteredModel is a model of the registry: a manifest and its files.
type RegisteredModel struct {
	ID       string // ULID
	Tenant   string // the only tenant that it is for; "": the whole installation
	Task     string
	Name     string
	Version  string
	SHA256   string // of the ONNX file: what vectors are named by
	Digest   string // sha256 of the manifest's bytes
	Manifest []byte // YAML
	Files    []ModelFile
	State    ModelState
	Check    json.RawMessage // what the check found; nil: not checked
	Report   json.RawMessage // the newest comparison with the active model; nil: none
	Passed   bool            // that comparison says that it may be promoted
	Actor    string
	AddedAt  time.Time
	Changed  time.Time
}

// ModelFile is one file of a model, an object by its sha256.
type ModelFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	Key    string `json:"key"`
}

// ModelPrefix begins the keys of model files' objects. No tenant begins with an underscore.
const ModelPrefix = "_models/"

// ModelKey is the key of a model file's object.
func ModelKey(sha256 string) string { return ModelPrefix + "sha256/" + sha256 }

// EpochState is where an epoch is.
type EpochState string

// The states of an epoch. There is at most one that is staging, and one that is active.
const (
	EpochStaging EpochState = "staging" // processes fetch and warm what it needs
	EpochActive  EpochState = "active"
	EpochPast    EpochState = "past"
	EpochFailed  EpochState = "failed" // a process could not stage it, or it was called off
)

// Epoch says which models run where. Its document never changes: what is to be otherwise is a new epoch.
type Epoch struct {
	Number    int64 // from 1; 0 is the state before any: the models that the program brings along
	State     EpochState
	Doc       EpochDoc
	Changes   []ModelChange // of models' states, made when it becomes active
	Action    string        // what the audit log says when it becomes active: model.promoted, ...
	Why       *Why          // of a failed one
	Actor     string
	CreatedAt time.Time
	ActiveAt  time.Time
}

// ModelChange is one change of a model's state.
type ModelChange struct {
	Model string     `json:"model"`
	State ModelState `json:"state"`
	From  ModelState `json:"from,omitempty"` // what it must be in when the epoch becomes active, or the epoch fails; "": any
}

// EpochStep is how an epoch becomes active.
type EpochStep int

// The steps. What is at once must need no model that is not loaded everywhere already.
const (
	StepStaged     EpochStep = iota // once every live process can run it
	StepAtOnce                      // in the same transaction
	StepOvertaking                  // in the same transaction, and what is being staged fails with the rule RuleOvertaken
)

// Rules of epochs that failed, beside what a process says.
const (
	RuleOvertaken = "overtaken"
	RuleCancelled = "cancelled"
)

// EpochDoc is who runs what. Models are named by their ids.
type EpochDoc struct {
	Base     map[string]string            `json:"base,omitempty"`    // task -> model, in place of the one that the program brings along
	Tenants  map[string]map[string]string `json:"tenants,omitempty"` // tenant -> task -> model, over base
	Canaries []EpochTrial                 `json:"canaries,omitempty"`
	Shadows  []EpochTrial                 `json:"shadows,omitempty"`
	// Warm are models that no job runs any more, and that stay loaded for a rollback.
	Warm []string `json:"warm,omitempty"`
	// Before is what ran before a model became active, by model; "" is what the program brings along, or for a tenant what the installation runs.
	Before map[string]string `json:"before,omitempty"`
	// Together are the models that were promoted in one epoch with a model, by model: they know each other's files, and are taken back together.
	Together map[string][]string `json:"together,omitempty"`
}

// SameFor says that a tenant's verdicts are made by the same models under both documents.
func (d EpochDoc) SameFor(other EpochDoc, tenant string) bool {
	ofTenant := func(d EpochDoc) []EpochTrial {
		return slices.DeleteFunc(slices.Clone(d.Canaries), func(c EpochTrial) bool { return c.Scope != "" && c.Scope != tenant })
	}
	return maps.Equal(d.Base, other.Base) && maps.Equal(d.Tenants[tenant], other.Tenants[tenant]) &&
		slices.EqualFunc(ofTenant(d), ofTenant(other), func(a, b EpochTrial) bool { return reflect.DeepEqual(a, b) })
}

// EpochTrial is a canary or a shadow.
type EpochTrial struct {
	Model string `json:"model"`
	Task  string `json:"task"`
	// With are models that are tried together with it, by task, as heads with the model whose values they read.
	With    map[string]string `json:"with,omitempty"`
	Scope   string            `json:"scope,omitempty"`   // tenant that the model is for; "": all that have no model of their own for the task
	Share   float64           `json:"share"`             // of the jobs, 0..1
	Tenants []string          `json:"tenants,omitempty"` // canary: all jobs of these tenants, beside the share
	Budget  float64           `json:"budget,omitempty"`  // shadow: processor cores that each process may spend on it
	Past    int               `json:"past,omitempty"`    // shadow: how many of the newest finished jobs are tried, too
}

// All are the models on trial, by task.
func (t EpochTrial) All() map[string]string {
	all := map[string]string{t.Task: t.Model}
	maps.Copy(all, t.With)
	return all
}

// Has says whether a model is on trial here.
func (t EpochTrial) Has(model string) bool {
	return slices.Contains(slices.Collect(maps.Values(t.All())), model)
}

// Lane says which jobs a verdict's set of models is for.
type Lane string

// The lanes.
const (
	LaneMain   Lane = ""       // what is active
	LaneCanary Lane = "canary" // what is on trial
)

// Assign gives which models a job of a tenant runs, by task, where they are not those that the program brings along, and its lane. The same
// job gets the same answer from every process and at every attempt. An empty job has no lane but the main one, or its tenant's.
func (d EpochDoc) Assign(tenant, job string) (map[string]string, Lane) {
	out, lane := d.Main(tenant), LaneMain
	for _, c := range d.Canaries {
		if d.Concerns(c, tenant) && (slices.Contains(c.Tenants, tenant) || job != "" && drawn(c, job)) {
			maps.Copy(out, c.All())
			lane = LaneCanary
		}
	}
	return out, lane
}

// Main gives which models a tenant's jobs run, by task, trials aside.
func (d EpochDoc) Main(tenant string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, d.Base)
	maps.Copy(out, d.Tenants[tenant])
	return out
}

// Concerns says whether a tenant's jobs may be in a trial: those of its own scope, or without a model of their own for its tasks.
func (d EpochDoc) Concerns(c EpochTrial, tenant string) bool {
	if c.Scope != "" {
		return c.Scope == tenant
	}
	for task := range c.All() {
		if d.Tenants[tenant][task] != "" {
			return false
		}
	}
	return true
}

// ShadowsOf gives the trials that a job is drawn for.
func (d EpochDoc) ShadowsOf(tenant, job string) []EpochTrial {
	var out []EpochTrial
	for _, s := range d.Shadows {
		if d.Concerns(s, tenant) && drawn(s, job) {
			out = append(out, s)
		}
	}
	return out
}

// drawn draws a job by its id, for each model anew.
func drawn(c EpochTrial, job string) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.Model + "\x00" + job))
	x := h.Sum64()
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15 // FNV's high bits hardly change with the last letters
	return float64(x>>11)/(1<<53) < c.Share
}

// Models lists every model that the document names, sorted.
func (d EpochDoc) Models() []string {
	all := slices.Concat(slices.Collect(maps.Values(d.Base)), d.Warm)
	for _, t := range d.Tenants {
		all = slices.AppendSeq(all, maps.Values(t))
	}
	for _, t := range slices.Concat(d.Canaries, d.Shadows) {
		all = slices.AppendSeq(all, maps.Values(t.All()))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Active is the model of the registry that a scope runs for a task; "": that of the program, or for a tenant that of the installation.
func (d EpochDoc) Active(scope, task string) string {
	if scope == "" {
		return d.Base[task]
	}
	return d.Tenants[scope][task]
}

// Runs is the model of the registry that a tenant's jobs run for a task, trials aside; "": that of the program.
func (d EpochDoc) Runs(tenant, task string) string {
	if own := d.Tenants[tenant][task]; own != "" {
		return own
	}
	return d.Base[task]
}

// Clone is a copy that may be changed.
func (d EpochDoc) Clone() EpochDoc {
	out := EpochDoc{Base: maps.Clone(d.Base), Tenants: map[string]map[string]string{}, Canaries: slices.Clone(d.Canaries), Shadows: slices.Clone(d.Shadows), Warm: slices.Clone(d.Warm), Before: maps.Clone(d.Before), Together: maps.Clone(d.Together)}
	for t, m := range d.Tenants {
		out.Tenants[t] = maps.Clone(m)
	}
	return out
}

// Set makes a model the active one of a scope and task; "": that of the program again.
func (d *EpochDoc) Set(scope, task, model string) {
	into := d.Base
	if scope != "" {
		into = d.Tenants[scope]
	}
	if into == nil {
		into = map[string]string{}
	}
	if into[task] = model; model == "" {
		delete(into, task)
	}
	if scope == "" {
		d.Base = into
		return
	}
	if d.Tenants == nil {
		d.Tenants = map[string]map[string]string{}
	}
	if d.Tenants[scope] = into; len(into) == 0 {
		delete(d.Tenants, scope)
	}
}

// cool ends that a model is kept warm.
func (d *EpochDoc) cool(model string) {
	d.Warm = slices.DeleteFunc(d.Warm, func(m string) bool { return m == model })
}

// part ends that a model is taken back together with others.
func (d *EpochDoc) part(model string) {
	for _, other := range d.Together[model] {
		if rest := slices.DeleteFunc(slices.Clone(d.Together[other]), func(m string) bool { return m == model }); len(rest) > 0 {
			d.Together[other] = rest
		} else {
			delete(d.Together, other)
		}
	}
	delete(d.Together, model)
}

// Follow notes what ran before a model, which gives up the place that it had in the order before.
func (d *EpochDoc) Follow(model, before string) {
	if d.Before == nil {
		d.Before = map[string]string{}
	}
	for m, b := range d.Before {
		if b == model {
			d.Before[m] = d.Before[model]
		}
	}
	d.Before[model] = before
}

// KeepWarm adds a model that stays loaded.
func (d *EpochDoc) KeepWarm(model string) {
	if model != "" && !slices.Contains(d.Warm, model) {
		d.Warm = append(d.Warm, model)
	}
}

// ModelHost is a process that runs models, as it last said of itself.
type ModelHost struct {
	Name   string
	Role   string // api, worker, serve
	Base   string // digest of the models that its program brings along
	Ready  int64  // newest epoch that it can run
	Failed int64  // newest epoch that it cannot stage; 0: none
	Why    *Why   // of Failed
	SeenAt time.Time
}

// PromotionState is where a promotion is.
type PromotionState string

// The states of a promotion.
const (
	PromotionEmbedding PromotionState = "embedding" // enrolled photos get their templates under the new model
	PromotionStaging   PromotionState = "staging"   // its epoch is staged
	PromotionDone      PromotionState = "done"
	PromotionFailed    PromotionState = "failed"
	PromotionCancelled PromotionState = "cancelled"
)

// Open says that a promotion is under way.
func (s PromotionState) Open() bool { return s == PromotionEmbedding || s == PromotionStaging }

// Promotion is how a model becomes the active one.
type Promotion struct {
	ID       string // ULID
	Model    string
	With     []string // further models that become active in the same epoch
	Scope    string
	Task     string
	State    PromotionState
	Override string // why it is promoted without a comparison that passed
	Total    int64  // enrolled photos
	Done     int64  // of those, that have their template, or cannot have one
	Gaps     int64  // of those, that cannot have one: PromotionGaps lists them
	Epoch    int64  // 0: none yet
	Why      *Why
	Actor    string
	Created  time.Time
	Changed  time.Time
}

// ModelGap is an enrolled photo that a model cannot use.
type ModelGap struct {
	Model   string // sha256 of the file
	Tenant  string
	Subject string
	Photo   string
	Why     *Why
	At      time.Time
}

// ShadowRun is what a candidate said of a live job, beside its verdict.
type ShadowRun struct {
	Model    string // id
	Job      string
	Tenant   string
	Subject  string
	Epoch    int64
	Stored   bool // of a job that was done before the shadow began
	Same     bool // the decision is the same
	Before   string
	After    string
	CPUMS    float64
	BeforeMS float64         // what the verdict's own run took, as far as it says
	Detail   json.RawMessage // check by check: outcomes, scores; nothing biometric
	At       time.Time
}

// ShadowSums is what all shadow runs of a model come to.
type ShadowSums struct {
	Runs, Same int64
	CPUMS      float64
}

// ModelTask is the task whose vectors are stored.
const ModelTask = "face_embed"

// NamesVectors says whether stored vectors are named by the model of a task: the embedder, and the models that find and align what it sees.
func NamesVectors(task string) bool {
	return task == ModelTask || task == "face_detect" || task == "face_landmark"
}

// Registry holds models, which of them run, and what became of trials. Ids of models are those of the installation: who may see or change one
// is for the API to say. Every change of models is written to the log of each tenant that it concerns: of the model's own, or of all.
type Registry interface {
	Comparisons

	// AddModel keeps a model in the state added; its files' objects are no longer pending. ErrExists when the same manifest is there for the
	// scope and not retired, or when a name and version is.
	AddModel(ctx context.Context, m RegisteredModel, a AuditEntry) error
	Model(ctx context.Context, id string) (RegisteredModel, error)
	// ScopeModels lists the models of a scope, oldest first; tenant "": the installation's.
	ScopeModels(ctx context.Context, tenant string) ([]RegisteredModel, error)
	// ListModels lists the models of a scope that are retired, or those that are not, newest first, without their checks and reports; After is an id.
	ListModels(ctx context.Context, tenant string, retired bool, p Page) ([]RegisteredModel, error)
	// ModelByFile gives the newest model with this file and name, whatever its state: verdicts name models so.
	ModelByFile(ctx context.Context, ref pipeline.ModelRef) (RegisteredModel, error)
	// ChangeModel writes state, check, report and passed of a model that is still in the given state and was not changed since it was read
	// (Changed); ErrStale.
	ChangeModel(ctx context.Context, m RegisteredModel, from ModelState, a AuditEntry) error

	// ProposeEpoch writes a new epoch after the active one. ErrConflict when another is active by now, one is staging and not overtaken, or, at
	// once, a model is not in the state that the epoch's changes begin with. A model has no comparison that passed any more when what it was
	// compared with changes.
	ProposeEpoch(ctx context.Context, e Epoch, after int64, step EpochStep, a AuditEntry) (Epoch, error)
	// StagePromotion does ProposeEpoch, staged, and notes it in a promotion that is embedding, both or none: ErrStale when it is not any more.
	StagePromotion(ctx context.Context, p Promotion, e Epoch, after int64, a AuditEntry) (Epoch, error)
	// SettleEpoch ends the staging of an epoch: it is active once every process seen within alive can run it, and failed when one says that
	// it cannot, when the epoch is older than within, or when a model's state changed meanwhile. It gives the newest epoch that it changed; ErrNotFound when nothing changed. Any process may call it.
	SettleEpoch(ctx context.Context, alive, within time.Duration) (Epoch, error)
	// DropEpoch calls a staging epoch off; ErrStale.
	DropEpoch(ctx context.Context, number int64, why *Why, a AuditEntry) error
	ActiveEpoch(ctx context.Context) (int64, error)           // 0: none
	Epoch(ctx context.Context, number int64) (Epoch, error)   // 0: the empty one
	NewestEpochs(ctx context.Context, n int) ([]Epoch, error) // newest first

	// HostModels notes what a process says of itself, at the store's time.
	HostModels(ctx context.Context, h ModelHost) error
	ModelHosts(ctx context.Context) ([]ModelHost, error)
	LeaveModels(ctx context.Context, name string) error

	// BeginPromotion writes a promotion; ErrConflict while another is open for the scope and the task of one of its models.
	BeginPromotion(ctx context.Context, p Promotion, a AuditEntry) error
	Promotion(ctx context.Context, id string) (Promotion, error)
	Promotions(ctx context.Context, scope string, n int) ([]Promotion, error) // newest first
	OpenPromotions(ctx context.Context) ([]Promotion, error)                  // oldest first, of all scopes
	// ChangePromotion writes what changes about one that is still in the given state; ErrStale.
	ChangePromotion(ctx context.Context, p Promotion, from PromotionState) error

	// PhotosWithout gives enrolled photos, after an id and in the order of ids, of subjects who consent to face processing, that have neither
	// template nor gap under a model's file (with TemplateSuffix where templates are named so).
	PhotosWithout(ctx context.Context, tenant, sha256, after string, n int) ([]Photo, error)
	// PhotosUnder counts the same photos: all of them, those with a template, and those with a gap.
	PhotosUnder(ctx context.Context, tenant, sha256 string) (all, embedded, gaps int64, err error)
	PutModelGap(ctx context.Context, g ModelGap) error
	ModelGaps(ctx context.Context, tenant, sha256 string, p Page) ([]ModelGap, error) // by photo; After is a photo
	// DropTemplates deletes a tenant's templates of a model's file, at most n, however the faces were aligned, and says how many; with the last
	// part, of fewer than n, the gaps, too.
	DropTemplates(ctx context.Context, tenant, sha256 string, n int) (int64, error)

	// TemplateNames counts a tenant's templates by what they are named by.
	TemplateNames(ctx context.Context, tenant string) (map[string]int64, error)
	// DropNamedTemplates deletes a tenant's templates and gaps of just this name as DropTemplates does.
	DropNamedTemplates(ctx context.Context, tenant, name string, n int) (int64, error)
	CountPrints(ctx context.Context, tenant string) (int64, error)

	PutShadowRun(ctx context.Context, r ShadowRun) error // one that is there is replaced
	ShadowRuns(ctx context.Context, model, tenant string, p Page) ([]ShadowRun, error)
	ShadowSums(ctx context.Context, model, tenant string) (ShadowSums, error)       // tenant "": of all
	ShadowSumsOf(ctx context.Context, tenant string) (map[string]ShadowSums, error) // of all models that ran on a tenant's jobs
}
