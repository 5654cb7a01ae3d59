package client

import (
	"context"
	"net/http"
	"time"

	"onsite/pipeline"
)

// Challenge is what a person is asked to do in the next recording.
type Challenge struct {
	ID        string          `json:"id"`
	Subject   string          `json:"subject"`
	Policy    string          `json:"policy"`
	Camera    string          `json:"camera,omitempty"`
	Tasks     []ChallengeTask `json:"tasks"`
	IssuedAt  time.Time       `json:"issued_at"`
	ExpiresAt time.Time       `json:"expires_at"`
	Job       string          `json:"job,omitempty"`
	UsedAt    *time.Time      `json:"used_at,omitempty"`
}

// ChallengeTask is one thing to do.
type ChallengeTask struct {
	Kind pipeline.ChallengeKind `json:"kind"`
	Text string                 `json:"text,omitempty"`
	Ask  pipeline.Text          `json:"ask"`
}

// NewChallenge asks for a challenge of a subject. It is sent once: when the answer is lost, ask again.
func (c *Client) NewChallenge(ctx context.Context, subject, policy, camera string) (Challenge, error) {
	in := map[string]string{"subject": subject, "policy": policy}
	if camera != "" {
		in["camera"] = camera
	}
	var out Challenge
	_, err := c.do(ctx, call{method: http.MethodPost, path: at("challenges"), body: encode(in), into: &out})
	return out, err
}

// Challenge reads one.
func (c *Client) Challenge(ctx context.Context, id string) (Challenge, error) {
	var out Challenge
	_, err := c.do(ctx, call{method: http.MethodGet, path: at("challenges", id), repeat: true, into: &out})
	return out, err
}
