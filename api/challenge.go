package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/pipeline/challenge"
	"onsite/pipeline/policy"
	"onsite/results"
)

const (
	opChallenge    = "create-challenge"
	opChallengeGet = "get-challenge"
)

// ChallengeInput asks for a challenge.
type ChallengeInput struct {
	Subject string `json:"subject" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"1 to 64 of letters, digits, . _ - beginning with a letter or digit" doc:"id of the employee who will record" example:"e123"`
	Policy  string `json:"policy" pattern:"^[a-z][a-z0-9_]{0,39}$" patternDescription:"1 to 40 of lower-case letters, digits, _ beginning with a letter" doc:"name of the policy that the recording will be submitted under; it says which tasks there are"`
	Camera  string `json:"camera,omitempty" enum:"plain,mirrored" doc:"how this app's recordings are stored: plain (as others see the person) or mirrored (as in a mirror). Left out, a turn to the other side than asked is left to a person"`
}

// ChallengeAnswer is what a person is asked to do in the next recording.
type ChallengeAnswer struct {
	ID        string          `json:"id" doc:"what the submission names as challenge" example:"01JD3Q0C6Q8R4T2V9W1X5Y7Z3A"`
	Subject   string          `json:"subject"`
	Policy    string          `json:"policy"`
	Camera    string          `json:"camera,omitempty" enum:"plain,mirrored"`
	Tasks     []ChallengeTask `json:"tasks" nullable:"false" doc:"to be done one after the other, in this order"`
	IssuedAt  time.Time       `json:"issued_at"`
	ExpiresAt time.Time       `json:"expires_at" doc:"the upload must be complete by then"`
	Job       string          `json:"job,omitempty" doc:"the submission that used it; a challenge is used once"`
	UsedAt    *time.Time      `json:"used_at,omitempty"`
}

// ChallengeTask is one thing to do.
type ChallengeTask struct {
	Kind pipeline.ChallengeKind `json:"kind" enum:"turn_left,turn_right,nod,blink_twice,say_digits,show_code"`
	Text string                 `json:"text,omitempty" doc:"the digits to say, the code to show"`
	Ask  pipeline.Text          `json:"ask" doc:"what the app tells the person"`
}

type challengeOutput struct {
	Location string `header:"Location" doc:"the challenge"`
	Body     ChallengeAnswer
}

func (s *Server) challengeRoutes() {
	tags := []string{"challenges"}
	register(s, huma.Operation{OperationID: opChallenge, Method: http.MethodPost, Path: "/v1/challenges", DefaultStatus: http.StatusCreated, Tags: tags,
		Summary: "Ask for a challenge",
		Description: fmt.Sprintf("Tasks that the person fulfils in the next recording: drawn at random of the kinds that the policy names, for one subject, with a short life, for one submission, which names it as challenge. "+
			"It ends the person's earlier ones that were not used. Whether they were fulfilled stands in the verdict under checks.liveness.detail.challenge. A subject gets at most %d in an hour: whoever could draw as often as he likes would draw what fits a recording that he has.", results.MaxChallenges),
		Errors: []int{400, 401, 403, 410, 422, 429, 503}}, s.createChallenge)
	register(s, huma.Operation{OperationID: opChallengeGet, Method: http.MethodGet, Path: "/v1/challenges/{id}", Tags: tags, Summary: "Read a challenge",
		Description: "Also a used one, or one whose time is over, as long as it is remembered: a week after its end, or as long as the verdict of its job.",
		Errors:      []int{401, 403, 404, 422, 503}}, s.getChallenge)
}

func (s *Server) createChallenge(ctx context.Context, in *struct{ Body ChallengeInput }) (*challengeOutput, error) {
	tenant := PrincipalOf(ctx).Tenant
	if err := s.subjectThere(ctx, tenant, in.Body.Subject, "body"); err != nil {
		return nil, err
	}
	rules, err := s.challengeRules(ctx, tenant, in.Body.Policy)
	if err != nil {
		return nil, err
	}
	asked := challenge.Asked{Camera: challenge.Camera(in.Body.Camera)}
	if asked.Tasks, err = challenge.Draw(rand.Reader, rules.Kinds, rules.Tasks); err != nil {
		return nil, err
	}
	doc, err := json.Marshal(asked)
	if err != nil {
		return nil, fmt.Errorf("write a challenge: %w", err)
	}
	now := s.Store.Now() // its use is measured by the same clock
	row := results.Challenge{ID: ulid.Make().String(), Tenant: tenant, Subject: in.Body.Subject, Policy: in.Body.Policy, Doc: doc, Actor: PrincipalOf(ctx).Key,
		IssuedAt: now, ExpiresAt: now.Add(time.Duration(rules.Seconds) * time.Second)}
	switch err := s.Store.CreateChallenge(ctx, row, s.auditOf(ctx, "challenge.issued", row.Subject, row.ID)); {
	case errors.Is(err, results.ErrFull):
		return nil, problem(codeChallenges).because(err).retry(results.ChallengeWindow / results.MaxChallenges)
	case err != nil:
		return nil, err
	}
	body, err := showChallenge(row)
	return &challengeOutput{Location: "/v1/challenges/" + row.ID, Body: body}, err
}

// challengeRules gives what a policy asks of a recording.
func (s *Server) challengeRules(ctx context.Context, tenant, name string) (policy.Challenge, error) {
	rev, err := s.policyRev(ctx, tenant, name, "body")
	if err != nil {
		return policy.Challenge{}, err
	}
	var p policy.Policy
	if rev == 0 && slices.Contains(policy.Names, name) {
		p, err = policy.Default(name)
	} else {
		var row results.Policy
		if row, err = s.Store.Policy(ctx, tenant, name, rev); err == nil {
			p, err = policy.Parse(name, row.YAML)
		}
	}
	if err != nil {
		return policy.Challenge{}, fmt.Errorf("read policy %s: %w", name, err)
	}
	if !p.Challenge.Wanted {
		return policy.Challenge{}, invalid("body.policy", "no_challenge", nil, say("asks for no challenge", "不要求任务"),
			say("write a policy with challenge: {wanted: true}, and name it here and in the submission", "请编写含 challenge: {wanted: true} 的策略，并在此处和提交时指明该策略"))
	}
	return p.Challenge, nil
}

func (s *Server) getChallenge(ctx context.Context, in *struct {
	ID string `path:"id" minLength:"26" maxLength:"26"`
}) (*challengeOutput, error) {
	row, err := s.Store.Challenge(ctx, PrincipalOf(ctx).Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	body, err := showChallenge(row)
	return &challengeOutput{Location: "/v1/challenges/" + row.ID, Body: body}, err
}

func showChallenge(row results.Challenge) (ChallengeAnswer, error) {
	var asked challenge.Asked
	if err := json.Unmarshal(row.Doc, &asked); err != nil {
		return ChallengeAnswer{}, fmt.Errorf("read challenge %s: %w", row.ID, err)
	}
	out := ChallengeAnswer{ID: row.ID, Subject: row.Subject, Policy: row.Policy, Camera: string(asked.Camera), Tasks: []ChallengeTask{}, IssuedAt: row.IssuedAt.UTC(),
		ExpiresAt: row.ExpiresAt.UTC(), Job: row.Job, UsedAt: moment(row.UsedAt)}
	for _, t := range asked.Tasks {
		out.Tasks = append(out.Tasks, ChallengeTask{Kind: t.Kind, Text: t.Text, Ask: policy.ChallengeAsk(t.Kind, t.Text)})
	}
	return out, nil
}

// challengeFits refuses a claim that names a challenge of somebody else or of another policy: that is a mistake of the client. A used or an old
// one is accepted, and the verdict says so.
func (s *Server) challengeFits(ctx context.Context, tenant string, c ClaimInput, place string) error {
	if c.Challenge == "" {
		return nil
	}
	place += ".challenge"
	row, err := s.Store.Challenge(ctx, tenant, c.Challenge)
	switch {
	case errors.Is(err, results.ErrNotFound):
		return unknown(place, say("there is no such challenge", "没有该任务"), say("ask for one with POST /v1/challenges before the recording", "请在录制前用 POST /v1/challenges 领取任务"))
	case err != nil:
		return err
	case row.Subject != c.Subject:
		return invalid(place, "other_subject", nil, say("was issued for another subject", "是为其他人员下达的"), say("ask for one for this subject", "请为该人员领取任务"))
	case row.Policy != c.Policy:
		return invalid(place, "other_policy", row.Policy, say("was issued for policy %q", "是为策略 %q 下达的", row.Policy), say("submit under the same policy", "请以同一策略提交"))
	}
	return nil
}
