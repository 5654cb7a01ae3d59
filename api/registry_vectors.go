package api

import (
	"context"
	"slices"
	"strings"

	"onsite/pipeline"
	"onsite/results"
)

// VectorSet is all vectors of enrolled photos that one set of models made.
type VectorSet struct {
	Name   string   `json:"name" doc:"the sha256 of the embedder's file; where others than the program's own models find and align the face, a plus and their digest follow"`
	Model  string   `json:"model,omitempty" doc:"name and version of the embedder, as far as it is known here"`
	Photos int64    `json:"photos"`
	Uses   []string `json:"uses" nullable:"false" enum:"active,canary,shadow,promotion,rollback" doc:"what needs them; rollback: they are what the active ones replaced. Empty: nothing does"`
}

// The uses of vectors.
const (
	useActive    = "active"
	useCanary    = "canary"
	useShadow    = "shadow"
	usePromotion = "promotion"
	useRollback  = "rollback"
)

// AllTenants widens an operation of the operator.
type AllTenants struct {
	All bool `query:"all_tenants" doc:"of all tenants, for the operator; else your own"`
}

func (s *Server) vectorRoutes(tag string) {
	register(s, describe(get, "/v1/registry/vectors", opVectors, tag, "List whose vectors of enrolled photos are stored",
		explained("By what made them, and what needs them. After a promotion those of the model before stay, also where the program brought that along, so that a rollback is instant; nothing deletes them by itself.")), s.listVectors)
	register(s, describe(del, "/v1/registry/vectors", opVectorsDrop, tag, "Delete vectors of enrolled photos",
		explained("Those of one name. Vectors that a job may need are refused. With force also those that a rollback would find again: it stays possible, and the next job of each person makes theirs anew from the photos.")), s.dropVectorSet)
}

// whose gives the tenants that an operation is about.
func (s *Server) whose(ctx context.Context, all bool) ([]string, error) {
	if !all {
		return []string{PrincipalOf(ctx).Tenant}, nil
	}
	if err := s.mustOperate(ctx); err != nil {
		return nil, err
	}
	rows, err := s.Store.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range rows {
		out = append(out, t.ID)
	}
	return out, nil
}

// vectorUses says which vectors of a tenant are needed, by name.
func (s *Server) vectorUses(ctx context.Context, doc results.EpochDoc, tenant string, open []results.Promotion) (map[string][]string, error) {
	uses := map[string][]string{}
	add := func(use string, doc results.EpochDoc, ids ...string) error {
		var further []results.RegisteredModel
		for _, id := range ids {
			m, err := s.Store.Model(ctx, id)
			if err != nil {
				return err
			}
			further = append(further, m)
		}
		name, err := s.Registry.Vectors(ctx, doc, tenant, further...)
		if err == nil && !slices.Contains(uses[name], use) {
			uses[name] = append(uses[name], use)
		}
		return err
	}
	if err := add(useActive, doc); err != nil {
		return nil, err
	}
	for use, trials := range map[string][]results.EpochTrial{useCanary: doc.Canaries, useShadow: doc.Shadows} {
		for _, t := range trials {
			if !doc.Concerns(t, tenant) {
				continue
			}
			var ids []string
			for _, id := range t.All() {
				ids = append(ids, id)
			}
			if err := add(use, doc, ids...); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range open {
		if p.Scope == "" || p.Scope == tenant {
			if err := add(usePromotion, doc, append([]string{p.Model}, p.With...)...); err != nil {
				return nil, err
			}
		}
	}
	for task, id := range doc.Main(tenant) {
		scope := tenant
		if doc.Tenants[tenant][task] == "" {
			scope = ""
		}
		back := doc.Clone()
		back.Set(scope, task, doc.Before[id])
		for _, other := range doc.Together[id] {
			m, err := s.Store.Model(ctx, other)
			if err != nil {
				return nil, err
			}
			if back.Active(scope, m.Task) == other {
				back.Set(scope, m.Task, doc.Before[other])
			}
		}
		if err := add(useRollback, back); err != nil {
			return nil, err
		}
	}
	return uses, nil
}

// vectorSets lists the vectors of tenants with what needs them.
func (s *Server) vectorSets(ctx context.Context, tenants []string) ([]VectorSet, error) {
	if s.Registry == nil {
		return nil, problem(codeModels)
	}
	active, err := s.activeEpoch(ctx)
	if err != nil {
		return nil, err
	}
	open, err := s.Store.OpenPromotions(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]*VectorSet{}
	for _, t := range tenants {
		counts, err := s.Store.TemplateNames(ctx, t)
		if err != nil {
			return nil, err
		}
		uses, err := s.vectorUses(ctx, active.Doc, t, open)
		if err != nil {
			return nil, err
		}
		for name, n := range counts {
			if out[name] == nil {
				out[name] = &VectorSet{Name: name, Uses: []string{}}
			}
			out[name].Photos += n
			for _, use := range uses[name] {
				if !slices.Contains(out[name].Uses, use) {
					out[name].Uses = append(out[name].Uses, use)
				}
			}
		}
	}
	var all []VectorSet
	for _, v := range out {
		slices.Sort(v.Uses)
		if v.Model, err = s.embedderName(ctx, v.Name, tenants); err != nil {
			return nil, err
		}
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b VectorSet) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// nearness is the order of states in which one of several models of the same file is named: the one that runs, or is nearest to it.
var nearness = []results.ModelState{results.ModelActive, results.ModelStandby, results.ModelCanary, results.ModelShadow, results.ModelChecked, results.ModelAdded, results.ModelRetired}

// embedderName names the model that made vectors.
func (s *Server) embedderName(ctx context.Context, vectors string, tenants []string) (string, error) {
	sum, _, _ := strings.Cut(vectors, results.TemplateSuffix)
	name, best := "", len(nearness)
	for _, scope := range append([]string{""}, tenants...) {
		rows, err := s.Store.ScopeModels(ctx, scope)
		if err != nil {
			return "", err
		}
		for _, m := range rows {
			if near := slices.Index(nearness, m.State); m.SHA256 == sum && near < best {
				name, best = m.Name+" "+m.Version, near
			}
		}
	}
	if name != "" {
		return name, nil
	}
	own, err := s.Registry.BuiltIn()
	if err != nil {
		return "", err
	}
	for _, m := range own {
		if m.SHA256 == sum {
			return m.Name + " " + m.Version, nil
		}
	}
	return "", nil
}

func (s *Server) listVectors(ctx context.Context, in *AllTenants) (*struct{ Body List[VectorSet] }, error) {
	tenants, err := s.whose(ctx, in.All)
	if err != nil {
		return nil, err
	}
	all, err := s.vectorSets(ctx, tenants)
	return &struct{ Body List[VectorSet] }{List[VectorSet]{Items: append([]VectorSet{}, all...)}}, err
}

// DroppedVectors is what a deletion came to.
type DroppedVectors struct {
	Deleted int64 `json:"deleted"`
}

func (s *Server) dropVectorSet(ctx context.Context, in *struct {
	AllTenants
	Name  string `query:"name" required:"true" minLength:"64" maxLength:"129" pattern:"^[0-9a-f]{64}(\\+[0-9a-f]{64})?$" patternDescription:"a name of vectors" doc:"of the vectors, as the list gives it"`
	Force bool   `query:"force" doc:"also those that a rollback would find again"`
}) (*struct{ Body DroppedVectors }, error) {
	tenants, err := s.whose(ctx, in.All)
	if err != nil {
		return nil, err
	}
	all, err := s.vectorSets(ctx, tenants)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(v VectorSet) bool { return v.Name == in.Name })
	if at < 0 {
		return nil, problem(codeNotFound)
	}
	for _, use := range all[at].Uses {
		switch {
		case use != useRollback:
			return nil, problem(codeState).with("These vectors are in use (%[1]s): end that first.", "这些特征向量正在使用（%[1]s）：请先结束其使用。", use)
		case !in.Force:
			return nil, problem(codeState).with("A rollback would find these vectors again. Say force to delete them all the same: after a rollback the next job of each person makes theirs anew from the photos, and until then others are not compared with that person when they are enrolled.",
				"回退时会用到这些特征向量。如仍要删除请指定 force：回退后，人员的下一个任务会由照片重新生成；在此之前，新登记的人员不会与其比较。")
		}
	}
	var out DroppedVectors
	for _, t := range tenants {
		a := s.modelEntry(ctx, "model.vectors.deleted", results.RegisteredModel{ID: in.Name, Tenant: t})
		if err := s.Store.Append(ctx, a); err != nil { // it stands in the log before the first one goes
			return nil, err
		}
		for n := int64(dropAtOnce); n == dropAtOnce; {
			if n, err = s.Store.DropNamedTemplates(ctx, t, in.Name, dropAtOnce); err != nil {
				return nil, err
			}
			out.Deleted += n
		}
	}
	return &struct{ Body DroppedVectors }{out}, nil
}

// fingerprints says what a change of the scene embedder means for the fingerprints of earlier footage.
func fingerprints(n int64) pipeline.Text {
	return say("The fingerprints of %[1]d earlier recordings hold what the scene embedder saw, under its model's name. These vectors cannot be made again, since the footage need not be kept, and say nothing under another model; recordings are compared by their hashes as before.",
		"%[1]d 份更早录像的指纹保存了场景嵌入模型所见内容，并标明其模型。由于录像未必保留，这些向量无法重新生成，在其他模型下不起作用；录像仍照旧按哈希值比较。", n)
}
