package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"onsite/pipeline"
)

// Why is a reason in words.
type Why struct {
	Rule string        `json:"rule"`
	Text pipeline.Text `json:"text"`
}

// Model is a model of the service's registry.
type Model struct {
	ID      string `json:"id"`
	Scope   string `json:"scope"` // installation, tenant
	Task    string `json:"task"`
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	State   string `json:"state"`
	Trial   *struct {
		Share  float64 `json:"share"`
		Budget float64 `json:"budget"`
	} `json:"trial"`
	Runs *struct {
		Jobs int64   `json:"jobs"`
		Same int64   `json:"same"`
		CPU  float64 `json:"cpu_ms"`
	} `json:"runs"`
	Check  json.RawMessage `json:"check"`
	Report json.RawMessage `json:"report"`
	Passed bool            `json:"passed"`
}

// Epoch is one state of which models run.
type Epoch struct {
	Number int64  `json:"number"`
	State  string `json:"state"` // staging, active, past, failed
	Action string `json:"action"`
	Why    *Why   `json:"why"`
}

// Promotion is how a model becomes the active one.
type Promotion struct {
	ID     string `json:"id"`
	Model  string `json:"model"`
	State  string `json:"state"` // embedding, staging, done, failed, cancelled
	Photos int64  `json:"photos"`
	Done   int64  `json:"done"`
	Gaps   int64  `json:"gaps"`
	Epoch  int64  `json:"epoch"`
	Why    *Why   `json:"why"`
}

// Registry is the service's registry of models.
type Registry struct {
	Epoch  int64   `json:"epoch"`
	Epochs []Epoch `json:"epochs"`
	Models []Model `json:"models"`
	Hosts  []struct {
		Name   string    `json:"name"`
		Role   string    `json:"role"`
		Base   string    `json:"base"`
		Ready  int64     `json:"ready"`
		Why    *Why      `json:"why"`
		SeenAt time.Time `json:"seen_at"`
	} `json:"hosts"`
	Promotions []Promotion     `json:"promotions"`
	Raw        json.RawMessage `json:"-"`
}

// ModelChange is a model with the epoch in which a change takes effect.
type ModelChange struct {
	Model Model `json:"model"`
	Epoch Epoch `json:"epoch"`
}

// PromotionPlan is what a promotion does and does not do.
type PromotionPlan struct {
	Promotion *Promotion      `json:"promotion"`
	Allowed   bool            `json:"allowed"`
	Photos    int64           `json:"photos"`
	Embedded  int64           `json:"embedded"`
	Gaps      int64           `json:"gaps"`
	Notes     []pipeline.Text `json:"notes"`
	Raw       json.RawMessage `json:"-"`
}

// Registry reads the registry.
func (c *Client) Registry(ctx context.Context) (Registry, error) {
	var raw json.RawMessage
	var out Registry
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry"), repeat: true, into: &raw})
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	out.Raw = raw
	return out, err
}

// AddModel sends a manifest and its files. scope is installation or tenant.
func (c *Client) AddModel(ctx context.Context, scope string, manifest []byte, files []File, progress func(sent, total int64)) (Model, error) {
	f := newForm(progress)
	err := f.file("manifest", File{Name: "manifest.yaml", Bytes: manifest}, "application/yaml")
	for _, file := range files {
		if err == nil {
			err = f.file("file", file, "")
		}
	}
	if err != nil {
		return Model{}, err
	}
	body, err := f.end()
	if err != nil {
		return Model{}, err
	}
	var out Model
	_, err = c.do(ctx, call{method: http.MethodPost, path: at("registry", "models"), query: url.Values{"scope": {scope}}, body: body, into: &out})
	return out, err
}

// ModelAct asks for a change of a model: shadow, canary, rollback, with what belongs to it.
func (c *Client) ModelAct(ctx context.Context, id, act string, body any) (ModelChange, error) {
	var out ModelChange
	k := call{method: http.MethodPost, path: at("registry", "models", id, act), into: &out}
	if body != nil {
		k.body = encode(body)
	}
	_, err := c.do(ctx, k)
	return out, err
}

// RetireModel deletes a model's vectors.
func (c *Client) RetireModel(ctx context.Context, id string) (Model, error) {
	var out Model
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("registry", "models", id, "retire"), into: &out})
	return out, err
}

// CompareModel sums up what a model said of live jobs; the answer is the report as the service wrote it.
func (c *Client) CompareModel(ctx context.Context, id string, minJobs int, maxChanged float64) (json.RawMessage, error) {
	var out json.RawMessage
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("registry", "models", id, "compare"), body: encode(map[string]any{"min_jobs": minJobs, "max_changed": maxChanged}), into: &out})
	return out, err
}

// PutModelReport hands in a comparison that was made elsewhere.
func (c *Client) PutModelReport(ctx context.Context, id string, report []byte) (Model, error) {
	var out Model
	_, err := c.do(ctx, call{method: http.MethodPut, path: at("registry", "models", id, "report"), body: encode(json.RawMessage(report)), into: &out})
	return out, err
}

// PromoteModel begins the promotion of a model and its partners, or says what it would do.
func (c *Client) PromoteModel(ctx context.Context, id string, with []string, override string, dryRun bool) (PromotionPlan, error) {
	var raw json.RawMessage
	var out PromotionPlan
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("registry", "models", id, "promote"), body: encode(map[string]any{"with": with, "override": override, "dry_run": dryRun}), into: &raw})
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	out.Raw = raw
	return out, err
}

// Promotion reads how far a promotion is; with a wait it waits for its end, at most so long.
func (c *Client) Promotion(ctx context.Context, id string, wait time.Duration) (Promotion, error) {
	var out Promotion
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry", "promotions", id), query: waiting(wait), repeat: true, into: &out})
	return out, err
}
