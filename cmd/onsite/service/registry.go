package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
	doc, err := json.Marshal(found)
	return doc, found.Passed, err
}

// known are the manifests of other models that run for the same jobs, may do so, or have vectors: one file may be fed in one way only, since
// vectors are told apart by it. One tenant's models are no matter of another's, nor are manifests that never ran.
func (e *engine) known(ctx context.Context, base *models.Set, m results.RegisteredModel) ([]manifest.Manifest, error) {
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
func (e *engine) BuiltIn() ([]string, error) {
	c, err := e.faces()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, t := range c.Verifier.Models.Tasks() {
		all = append(all, c.Verifier.Models.Ref(t).SHA256)
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

// Manifest gives that of a task.
func (m manifests) Manifest(t models.Task) (manifest.Manifest, bool) {
	man, ok := m[t]
	return man, ok
}

// Obstacles is api.Registry: a head knows by the sha256 of which models the values that it reads are made. What counts is the set that would run:
// that of the active epoch with the candidate in it.
func (e *engine) Obstacles(ctx context.Context, m results.RegisteredModel) ([]pipeline.Text, error) {
	c, err := e.faces()
	if err != nil {
		return nil, err
	}
	number, err := e.store.ActiveEpoch(ctx)
	if err != nil {
		return nil, err
	}
	active, err := e.store.Epoch(ctx, number)
	if err != nil {
		return nil, err
	}
	scopes := []string{m.Tenant}
	if m.Tenant == "" {
		for t, own := range active.Doc.Tenants {
			if own[m.Task] == "" {
				scopes = append(scopes, t)
			}
		}
	}
	candidate, err := manifest.Parse(m.Name, m.Manifest)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of model %s: %w", m.ID, err)
	}
	for _, scope := range scopes {
		set := manifests{}
		for _, t := range c.Verifier.Models.Tasks() {
			set[t], _ = c.Verifier.Models.Manifest(t)
		}
		assigned, _ := active.Doc.Assign(scope, "")
		for task, id := range assigned {
			row, err := e.store.Model(ctx, id)
			if err != nil {
				return nil, err
			}
			if set[models.Task(task)], err = manifest.Parse(row.Name, row.Manifest); err != nil {
				return nil, fmt.Errorf("read the manifest of model %s: %w", id, err)
			}
		}
		set[models.Task(m.Task)] = candidate
		if found := unfit(set); len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// unfit says which heads of a set were trained on other models than those of the set.
func unfit(set manifests) []pipeline.Text {
	heads, ok := set[models.SceneHead]
	if !ok || scene.HeadsFit(set, heads) == nil {
		return nil
	}
	return []pipeline.Text{{
		EN: fmt.Sprintf("%s %s (%s) reads values of another model than the one that would run beside it, and was trained on those", heads.Name, heads.Version, models.SceneHead),
		ZH: fmt.Sprintf("%s %s（%s）读取并以其训练的模型，与将同时运行的模型不同", heads.Name, heads.Version, models.SceneHead),
	}}
}
