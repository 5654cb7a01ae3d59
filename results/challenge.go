package results

import (
	"context"
	"encoding/json"
	"time"
)

// Challenge is what one subject was asked to do in the next recording. It is used once: by the submission that names it first, in that
// submission's own transaction. It is deleted with its job's verdict and when its subject is erased; one that nobody used goes KeepChallenges
// after its end.
type Challenge struct {
	ID        string // ULID
	Tenant    string
	Subject   string
	Policy    string          // name of the policy that it was issued for; "": the default of clips
	Doc       json.RawMessage // what is asked: pipeline/challenge.Asked
	Actor     string          // API key id
	IssuedAt  time.Time
	ExpiresAt time.Time
	Job       string    // of the submission that used it; "": nobody has
	UsedAt    time.Time // when the submission was there, by the store's clock or the bucket's; zero: nobody has
}

// Bounds of challenges.
const (
	// MaxChallenges is how many challenges a subject may get in ChallengeWindow: whoever may draw as often as he likes draws the one that
	// fits the recording he has.
	MaxChallenges   = 12
	ChallengeWindow = time.Hour
	// KeepChallenges is how long after its end an unused challenge is remembered, so that an old one is told from one that never was.
	KeepChallenges = 7 * 24 * time.Hour
)

// Challenges holds what subjects were asked to do.
type Challenges interface {
	// CreateChallenge writes a fresh challenge and ends the subject's earlier ones that nobody used: whoever has several at a time would choose the
	// one that fits a recording he has. ErrNotFound without its subject, ErrErased for an erased one, ErrFull when the subject was
	// given MaxChallenges within ChallengeWindow.
	CreateChallenge(ctx context.Context, c Challenge, a AuditEntry) error
	Challenge(ctx context.Context, tenant, id string) (Challenge, error) // also a used or an old one
}

// Challenge is the id of the challenge that a submission answers; "": it answers none. It stands in the claim.
func (s Submission) Challenge() string {
	var c struct {
		Challenge string `json:"challenge"`
	}
	if json.Unmarshal(s.Claim, &c) != nil { // no claim, then
		return ""
	}
	return c.Challenge
}
