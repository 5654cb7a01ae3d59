package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"onsite/pipeline"
)

// Comparison is a comparison of models over stored jobs.
type Comparison struct {
	ID      string          `json:"id"`
	Models  []string        `json:"models"`
	Data    pipeline.Text   `json:"data_text"` // which jobs
	State   string          `json:"state"`     // running, paused, done, failed, cancelled
	Jobs    int64           `json:"jobs"`
	Done    int64           `json:"done"`
	Gone    int64           `json:"gone"`
	Passed  bool            `json:"passed"`
	SHA256  string          `json:"sha256"`
	Summary json.RawMessage `json:"summary,omitempty"`
	Why     *Why            `json:"why"`
	Created time.Time       `json:"created_at"`
}

// ComparisonAsk is which stored jobs are run again under which models.
type ComparisonAsk struct {
	Models     []string                     `json:"models"` // ids
	Site       string                       `json:"site,omitempty"`
	Subject    string                       `json:"subject,omitempty"`
	Policy     string                       `json:"policy,omitempty"`
	From       *time.Time                   `json:"from,omitempty"`
	To         *time.Time                   `json:"to,omitempty"`
	Limit      int                          `json:"limit,omitempty"`
	AllTenants bool                         `json:"all_tenants,omitempty"`
	Budget     float64                      `json:"budget,omitempty"`
	Limits     map[string]any               `json:"limits,omitempty"`
	Labels     map[string]string            `json:"labels,omitempty"`
	Groups     map[string]map[string]string `json:"groups,omitempty"`
}

// BeginComparison begins a comparison.
func (c *Client) BeginComparison(ctx context.Context, ask ComparisonAsk) (Comparison, error) {
	var out Comparison
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("registry", "comparisons"), body: encode(ask), into: &out})
	return out, err
}

// Comparison reads a comparison; with a wait it waits for its end, at most so long.
func (c *Client) Comparison(ctx context.Context, id string, wait time.Duration) (Comparison, error) {
	var out Comparison
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry", "comparisons", id), query: waiting(wait), repeat: true, into: &out})
	return out, err
}

// Comparisons lists comparisons of a scope (installation, tenant), newest first.
func (c *Client) Comparisons(ctx context.Context, scope, cursor string, limit int) (Page[Comparison], error) {
	q := page(cursor, limit)
	q.Set("scope", scope)
	var out Page[Comparison]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry", "comparisons"), query: q, repeat: true, into: &out})
	return out, err
}

// ChangeComparison pauses, resumes or cancels a comparison.
func (c *Client) ChangeComparison(ctx context.Context, id, act string) (Comparison, error) {
	k := call{method: http.MethodPost, path: at("registry", "comparisons", id, act)}
	if act == "cancel" {
		k = call{method: http.MethodDelete, path: at("registry", "comparisons", id)}
	}
	var out Comparison
	k.into = &out
	_, err := c.do(ctx, k)
	return out, err
}

// ComparisonPackage writes the report of a finished comparison, a zip file.
func (c *Client) ComparisonPackage(ctx context.Context, id string, to io.Writer) error {
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry", "comparisons", id, "package"), into: to})
	return err
}

// EpochView is an epoch with how many processes can run it.
type EpochView struct {
	Epoch
	Ready int `json:"ready"`
	Hosts int `json:"hosts"`
}

// Epoch reads an epoch; with a wait it waits until it is staged no longer, at most so long.
func (c *Client) Epoch(ctx context.Context, number int64, wait time.Duration) (EpochView, error) {
	var out EpochView
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry", "epochs", strconv.FormatInt(number, 10)), query: waiting(wait), repeat: true, into: &out})
	return out, err
}

// Model reads a model of the registry, also one that is retired.
func (c *Client) Model(ctx context.Context, id string) (Model, error) {
	var out Model
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry", "models", id), repeat: true, into: &out})
	return out, err
}

// VectorSet is all vectors of enrolled photos that one set of models made.
type VectorSet struct {
	Name   string   `json:"name"`
	Model  string   `json:"model,omitempty"`
	Photos int64    `json:"photos"`
	Uses   []string `json:"uses"`
}

// Vectors lists them, of the key's tenant or of all.
func (c *Client) Vectors(ctx context.Context, allTenants bool) ([]VectorSet, error) {
	var out Page[VectorSet]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("registry", "vectors"), query: url.Values{"all_tenants": {strconv.FormatBool(allTenants)}}, repeat: true, into: &out})
	return out.Items, err
}

// DropVectors deletes those of one name, and says how many; force: also those that a rollback would find again.
func (c *Client) DropVectors(ctx context.Context, name string, allTenants, force bool) (int64, error) {
	var out struct {
		Deleted int64 `json:"deleted"`
	}
	q := url.Values{"name": {name}, "all_tenants": {strconv.FormatBool(allTenants)}, "force": {strconv.FormatBool(force)}}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: at("registry", "vectors"), query: q, repeat: true, into: &out})
	return out.Deleted, err
}
