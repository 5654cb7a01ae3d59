package client

import (
	"context"
	"net/http"
	"time"

	"onsite/pipeline"
)

// Mark is what an investigator said about a match of the reuse check.
type Mark struct {
	ID              string     `json:"id"`
	Kind            string     `json:"kind"` // pair, background
	Job             string     `json:"job"`
	Other           string     `json:"other,omitempty"`
	AtMS            *int64     `json:"at_ms,omitempty"`
	Site            string     `json:"site,omitempty"`
	Note            string     `json:"note"`
	Actor           string     `json:"actor"`
	Position        int64      `json:"position"`
	CreatedAt       time.Time  `json:"created_at"`
	RevokedAt       *time.Time `json:"revoked_at,omitempty"`
	RevokedBy       string     `json:"revoked_by,omitempty"`
	RevokedPosition int64      `json:"revoked_position,omitempty"`
}

// Marked is a mark with what became of the verdict of its job.
type Marked struct {
	Mark
	Verdict struct {
		Job      string            `json:"job"`
		Changed  bool              `json:"changed"`
		Revision int               `json:"revision,omitempty"`
		Decision pipeline.Decision `json:"decision,omitempty"`
		Why      *struct {
			Kind string        `json:"kind"`
			Text pipeline.Text `json:"text"`
		} `json:"why,omitempty"` // why the job was not compared again
	} `json:"verdict"`
}

// NewMark is what is to be marked: a pair with Other, a background with AtMS.
type NewMark struct {
	Kind  string `json:"kind"`
	Job   string `json:"job"`
	Other string `json:"other,omitempty"`
	AtMS  *int64 `json:"at_ms,omitempty"`
	Site  string `json:"site,omitempty"`
	Note  string `json:"note"`
}

// Mark marks a match as wrong.
func (c *Client) Mark(ctx context.Context, m NewMark) (Marked, error) {
	var out Marked
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("reuse", "marks"), body: encode(m), into: &out})
	return out, err
}

// MarkFilter narrows a list of marks.
type MarkFilter struct {
	Job, Kind string
	InForce   bool
}

// Marks lists marks, newest first.
func (c *Client) Marks(ctx context.Context, f MarkFilter, cursor string, limit int) (Page[Mark], error) {
	q := page(cursor, limit)
	for name, value := range map[string]string{"job": f.Job, "kind": f.Kind} {
		set(q, name, value)
	}
	if f.InForce {
		q.Set("in_force", "true")
	}
	var out Page[Mark]
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("reuse", "marks"), query: q, repeat: true, into: &out})
	return out, err
}

// Unmark revokes a mark.
func (c *Client) Unmark(ctx context.Context, id string) (Marked, error) {
	var out Marked
	_, err := c.do(ctx, call{method: http.MethodDelete, path: at("reuse", "marks", id), into: &out})
	return out, err
}
