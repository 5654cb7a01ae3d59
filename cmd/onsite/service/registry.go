package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"onsite/api"
	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
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

// known are the manifests of all other models that are in use or may be: one file may be fed in one way only, since vectors are told apart by it.
func (e *engine) known(ctx context.Context, base *models.Set, m results.RegisteredModel) ([]manifest.Manifest, error) {
	var all []manifest.Manifest
	for _, t := range base.Tasks() {
		if man, ok := base.Manifest(t); ok {
			all = append(all, man)
		}
	}
	scopes := []string{""}
	tenants, err := e.store.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		scopes = append(scopes, t.ID)
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
			if man, err := manifest.Parse(r.Name, r.Manifest); err == nil {
				all = append(all, man)
			}
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

// Obstacles is api.Registry: a head knows by the sha256 of which models the values that it reads are made.
func (e *engine) Obstacles(m results.RegisteredModel) []pipeline.Text {
	c, err := e.faces()
	if err != nil {
		return nil
	}
	set := c.Verifier.Models
	replaced := set.Ref(models.Task(m.Task)).SHA256
	var out []pipeline.Text
	for _, t := range set.Tasks() {
		man, _ := set.Manifest(t)
		if t == models.Task(m.Task) || !slices.ContainsFunc(man.Input.Parts, func(p manifest.Part) bool { return p.Model == replaced && replaced != m.SHA256 }) {
			continue
		}
		out = append(out, pipeline.Text{
			EN: fmt.Sprintf("%s (%s %s) reads values of the model that this one would replace, and was trained on those", t, man.Name, man.Version),
			ZH: fmt.Sprintf("%s（%s %s）读取被替换模型的输出，并以其训练", t, man.Name, man.Version),
		})
	}
	return out
}
