package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"onsite/api"
	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
	"onsite/pipeline/scene"
	"onsite/results"
	"onsite/workers/registry"
)

var _ api.Registry = (*engine)(nil)

// Examine is api.Registry.
func (e *engine) Examine(ctx context.Context, m results.RegisteredModel) (json.RawMessage, bool, error) {
	c, err := e.faces()
	if err != nil {
		return nil, false, err
	}
	man, err := manifest.Parse(m.Name, m.Manifest)
	if err != nil {
		return nil, false, fmt.Errorf("read the manifest of model %s: %w", m.ID, err)
	}
	dir, err := e.host.Files.Fetch(ctx, m.Files)
	var unusable *registry.UnusableError
	if errors.As(err, &unusable) {
		doc, err := json.Marshal(models.Examination{
			Task: models.Task(m.Task), Name: m.Name, Version: m.Version, SHA256: m.SHA256,
			Faults: []models.Fault{{Code: "file_missing", Text: models.Text{EN: unusable.Error(), ZH: "无法获取模型文件：" + unusable.Error()}}},
		})
		return doc, false, err
	}
	if err != nil {
		return nil, false, err
	}
	known, err := e.known(ctx, c.Verifier.Models, m)
	if err != nil {
		return nil, false, err
	}
	found, err := models.Examine(ctx, man, models.ExamineOptions{Dir: dir, Library: e.models.Library, Known: known})
	if err != nil {
		return nil, false, err
	}
	if fault := background(man, dir); fault != nil {
		found.Faults, found.Passed = append(found.Faults, *fault), false
	}
	doc, err := json.Marshal(found)
	return doc, found.Passed, err
}

// background says what is wrong with the background that comes with a scene embedder.
func background(man manifest.Manifest, dir string) *models.Fault {
	if man.Background == nil {
		return nil
	}
	data, err := pipeline.ReadFile(filepath.Join(dir, man.Background.Name), man.Background.Bytes)
	if err == nil {
		var b scene.Background
		if b, err = scene.ParseBackground(data); err == nil && b.Model != man.File.SHA256 {
			err = &scene.OtherModelError{Want: man.File.SHA256, Got: b.Model}
		}
	}
	if err == nil {
		return nil
	}
	return &models.Fault{Code: "background", Text: models.Text{EN: "the background does not belong to the model: " + err.Error(), ZH: "背景文件与模型不符：" + err.Error()}}
}

// known are the manifests of other models that run for the same jobs, may do so, or have vectors: one file may be fed in one way only, since
// vectors are told apart by it, where the task has any. One tenant's models are no matter of another's, nor are manifests that never ran.
func (e *engine) known(ctx context.Context, base *models.Set, m results.RegisteredModel) ([]manifest.Manifest, error) {
	if !results.NamesVectors(m.Task) && models.Task(m.Task) != models.SceneEmbed {
		return nil, nil // as heads, whose file may stay the same while the model beside them is exported again
	}
	var all []manifest.Manifest
	for _, t := range base.Tasks() {
		if man, ok := base.Manifest(t); ok {
			all = append(all, man)
		}
	}
	scopes, tenants := []string{""}, []string{m.Tenant}
	if m.Tenant != "" {
		scopes = append(scopes, m.Tenant)
	} else { // whoever takes an own model back runs the installation's
		rows, err := e.store.Tenants(ctx)
		if err != nil {
			return nil, err
		}
		tenants = nil
		for _, t := range rows {
			scopes, tenants = append(scopes, t.ID), append(tenants, t.ID)
		}
	}
	for _, scope := range scopes {
		rows, err := e.store.ScopeModels(ctx, scope)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if r.ID == m.ID || r.SHA256 != m.SHA256 {
				continue
			}
			if r.State == results.ModelAdded || r.State == results.ModelRetired {
				of := tenants
				if scope != "" {
					of = []string{scope}
				}
				if held, err := e.hasVectors(ctx, r, of); err != nil {
					return nil, err
				} else if !held {
					continue
				}
			}
			man, err := manifest.Parse(r.Name, r.Manifest)
			if err != nil {
				return nil, fmt.Errorf("read the manifest of model %s: %w", r.ID, err)
			}
			all = append(all, man)
		}
	}
	return all, nil
}

// BuiltIn is api.Registry.
func (e *engine) BuiltIn() ([]pipeline.ModelRef, error) {
	c, err := e.faces()
	if err != nil {
		return nil, err
	}
	var all []pipeline.ModelRef
	for _, t := range c.Verifier.Models.Tasks() {
		ref := c.Verifier.Models.Ref(t)
		all = append(all, pipeline.ModelRef{Task: string(t), Name: ref.Name, Version: ref.Version, SHA256: ref.SHA256})
	}
	return all, nil
}

// hasVectors says whether vectors of a model's file are stored.
func (e *engine) hasVectors(ctx context.Context, m results.RegisteredModel, tenants []string) (bool, error) {
	if m.Task != results.ModelTask {
		return false, nil
	}
	for _, t := range tenants {
		if _, n, _, err := e.store.PhotosUnder(ctx, t, m.SHA256); err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// manifests are those of a set of models, by task.
type manifests map[models.Task]manifest.Manifest

// running gives the manifests of what a scope would run under a document with further models, by task. rows keeps what was read before.
func (e *engine) running(ctx context.Context, doc results.EpochDoc, scope string, further []results.RegisteredModel, rows map[string]results.RegisteredModel) (manifests, error) {
	c, err := e.faces()
	if err != nil {
		return nil, err
	}
	set := manifests{}
	for _, t := range c.Verifier.Models.Tasks() {
		set[t], _ = c.Verifier.Models.Manifest(t)
	}
	assigned := doc.Main(scope)
	for _, m := range further {
		rows[m.ID] = m
		if m.Tenant == scope || doc.Tenants[scope][m.Task] == "" {
			assigned[m.Task] = m.ID
		}
	}
	for task, id := range assigned {
		row, ok := rows[id]
		if !ok {
			if row, err = e.store.Model(ctx, id); err != nil {
				return nil, err
			}
			rows[id] = row
		}
		if set[models.Task(task)], err = manifest.Parse(row.Name, row.Manifest); err != nil {
			return nil, fmt.Errorf("read the manifest of model %s: %w", id, err)
		}
	}
	return set, nil
}

// Obstacles is api.Registry: a head knows by the sha256 of which models the values that it reads are made.
func (e *engine) Obstacles(ctx context.Context, doc results.EpochDoc, scope string, further ...results.RegisteredModel) ([]pipeline.Text, error) {
	scopes := []string{scope}
	if scope == "" { // whoever has models of its own runs the installation's for all other tasks
		scopes = slices.AppendSeq(scopes, maps.Keys(doc.Tenants))
	}
	rows := map[string]results.RegisteredModel{}
	var all []pipeline.Text
	for _, s := range scopes {
		set, err := e.running(ctx, doc, s, further, rows)
		if err != nil {
			return nil, err
		}
		for _, u := range unfit(set) {
			partner, err := e.partner(ctx, scope, u)
			if err != nil {
				return nil, err
			}
			if text := u.say(partner); !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return all, nil
}

// misfit is heads that read values which the model that would run beside them does not give.
type misfit struct {
	heads, beside manifest.Manifest
	task          models.Task   // of the model whose values they read
	part          manifest.Part // the first of those values, with the sha256 of the model
}

// unfit says which heads of a set were trained on other models than those of the set, or read an output that the manifest of one leaves out.
func unfit(set manifests) (out []misfit) {
	heads, ok := set[models.SceneHead]
	if !ok {
		return nil
	}
	seen := map[models.Task]bool{}
	for _, p := range heads.Input.Parts {
		task := scene.MadeBy[p.Name]
		if own, ok := set[task]; ok && !scene.Gives(own, p) && !seen[task] {
			seen[task] = true
			out = append(out, misfit{heads, own, task, p})
		}
	}
	return out
}

// partner looks in the registry for a model that would make a misfit fit: the one that the heads were trained on, or heads that were trained on
// what runs beside them. "": there is none.
func (e *engine) partner(ctx context.Context, scope string, u misfit) (string, error) {
	rows, err := e.store.ScopeModels(ctx, scope)
	if err != nil {
		return "", err
	}
	for _, m := range rows {
		if m.State == results.ModelRetired || m.State == results.ModelAdded {
			continue
		}
		if m.Task != string(models.SceneHead) && (m.Task != string(u.task) || m.SHA256 != u.part.Model) {
			continue
		}
		man, err := manifest.Parse(m.Name, m.Manifest)
		if err != nil {
			return "", fmt.Errorf("read the manifest of model %s: %w", m.ID, err)
		}
		if u.solvedBy(man) {
			return m.Name + "@" + m.Version, nil
		}
	}
	return "", nil
}

// solvedBy says whether a model in the place of the heads, or of the model beside them, would end a misfit.
func (u misfit) solvedBy(man manifest.Manifest) bool {
	heads, beside := u.heads, man
	if man.Task == string(models.SceneHead) {
		heads, beside = man, u.beside
	}
	reads := false
	for _, p := range heads.Input.Parts {
		if scene.MadeBy[p.Name] == u.task {
			if !scene.Gives(beside, p) {
				return false
			}
			reads = true
		}
	}
	return reads
}

func (u misfit) say(partner string) pipeline.Text {
	if u.beside.File.SHA256 == u.part.Model { // the right file, with a manifest that leaves its inner output out
		t := pipeline.Text{
			EN: fmt.Sprintf("%s %s (%s) reads %d values of %s, which the manifest of %s %s (%s) does not give: outputs: the last one must have pool_of and shape [1, %d], as in the built-in manifest of that file", u.heads.Name, u.heads.Version, models.SceneHead, u.part.Size, u.part.Name, u.beside.Name, u.beside.Version, u.task, u.part.Size),
			ZH: fmt.Sprintf("%s %s（%s）读取 %d 个 %s 值，而 %s %s（%s）的清单未提供：outputs 的最后一项须有 pool_of 且 shape 为 [1, %d]，与该文件的内置清单一致", u.heads.Name, u.heads.Version, models.SceneHead, u.part.Size, u.part.Name, u.beside.Name, u.beside.Version, u.task, u.part.Size),
		}
		if partner != "" {
			t.EN, t.ZH = t.EN+"; "+partner+" fits", t.ZH+"；可用 "+partner
		}
		return t
	}
	t := pipeline.Text{
		EN: fmt.Sprintf("%s %s (%s) reads values of %s %.12s and was trained on those; %s %s (%.12s) would run beside it", u.heads.Name, u.heads.Version, models.SceneHead, u.task, u.part.Model, u.beside.Name, u.beside.Version, u.beside.File.SHA256),
		ZH: fmt.Sprintf("%s %s（%s）读取并以其训练的模型为 %s %.12s，而将同时运行的是 %s %s（%.12s）", u.heads.Name, u.heads.Version, models.SceneHead, u.task, u.part.Model, u.beside.Name, u.beside.Version, u.beside.File.SHA256),
	}
	if partner != "" {
		t.EN, t.ZH = t.EN+"; name "+partner+", too", t.ZH+"；请同时指定 "+partner
	} else {
		t.EN += fmt.Sprintf("; upload heads that were trained on it (onsite scene train), or that %s", u.task)
		t.ZH += fmt.Sprintf("；请上传以其训练的分类头（onsite scene train），或该 %s 模型", u.task)
	}
	return t
}

// Vectors is api.Registry.
func (e *engine) Vectors(ctx context.Context, doc results.EpochDoc, tenant string, further ...results.RegisteredModel) (string, error) {
	set, err := e.running(ctx, doc, tenant, further, map[string]results.RegisteredModel{})
	if err != nil {
		return "", err
	}
	c, err := e.faces()
	if err != nil {
		return "", err
	}
	return c.VectorName(func(t models.Task) string { return set[t].File.SHA256 }), nil
}
