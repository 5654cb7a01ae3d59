package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
)

const opReverify = "reverify"

type reverifyInput struct {
	JobPath
	Recipe string `query:"recipe" enum:"pinned,current" default:"pinned" doc:"pinned: with the models that the verdict names, or not at all; current: with what runs here, to see what that would change"`
	Whole  bool   `query:"body" doc:"also the whole verdict as it was made now"`
}

// Resolve gives the answer the time of work on pictures.
func (in *reverifyInput) Resolve(ctx huma.Context) []error {
	extend(ctx, workTime)
	return nil
}

// Reverification is what came of making a verdict again.
type Reverification struct {
	Job       string             `json:"job"`
	Agreement verify.Agreement   `json:"agreement" enum:"equal,within_tolerance,near_threshold,different,impossible" doc:"impossible: see state"`
	State     string             `json:"state,omitempty" doc:"impossible: media_gone, erased, photos_gone, consent_withdrawn, models_missing, site_gone, policy_gone, inputs_changed, refused, reference_unusable"`
	Text      *pipeline.Text     `json:"text,omitempty" doc:"impossible: why"`
	Before    pipeline.Decision  `json:"before,omitempty"`
	Now       pipeline.Decision  `json:"now,omitempty"`
	Checks    []verify.CheckDiff `json:"checks" nullable:"false"`
	Recipe    []string           `json:"recipe" nullable:"false" doc:"what of the recipe is another; empty: nothing"`
	Gone      int                `json:"gone" doc:"earlier recordings, and others with the same device, that are not there any more: erased, or past their time"`
	Verdict   json.RawMessage    `json:"verdict,omitempty"`
}

// impossible is the agreement of a verdict that cannot be made again.
const impossible verify.Agreement = "impossible"

type reverifyOutput struct{ Body Reverification }

func (s *Server) reverifyRoutes() {
	register(s, huma.Operation{OperationID: opReverify, Method: http.MethodPost, Path: "/v1/verdicts/{job}/reverify", Tags: []string{"verdicts"},
		Summary:     "Make a verdict again and compare",
		Description: "Runs the first revision again from the stored media and the inputs that it names (claim, enrolled photos, site, history, marks and consents as of then), on one thread, and compares it check by check. Takes some seconds; one at a time. Writes nothing but an entry of the audit log.",
		Errors:      []int{401, 403, 404, 422, 429, 503}}, s.reverify)
}

func (s *Server) reverify(ctx context.Context, in *reverifyInput) (*reverifyOutput, error) {
	noteJob(ctx, in.Job)
	v, err := s.verdict(ctx, in.Job, 1)
	if err != nil {
		return nil, err
	}
	if s.Core == nil {
		return nil, problem(codeModels)
	}
	select {
	case s.remaking <- struct{}{}:
		defer func() { <-s.remaking }()
	default:
		return nil, problem(codeBusyTenant).with("Another verdict is being made again. Try again in some seconds.", "正在重新核验另一份结论。请几秒后重试。").retry(2 * time.Second)
	}
	r, err := s.Core.Reverify(ctx, v.Tenant, v.Job, in.Recipe == "current")
	out := Reverification{Job: v.Job, Checks: []verify.CheckDiff{}, Recipe: []string{}}
	var cannot *CannotReverify
	switch {
	case errors.As(err, &cannot):
		out.Agreement, out.State, out.Text = impossible, cannot.State, &cannot.Text
	case err != nil:
		return nil, coreFault(err)
	default:
		out.Agreement, out.Before, out.Now, out.Checks, out.Gone = r.Agreement, r.Before, r.Now, append(out.Checks, r.Checks...), r.Gone
		out.Recipe = append(out.Recipe, r.Recipe...)
	}
	said, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	if err := s.Store.Append(ctx, s.entry(ctx, "verdict.reverified", v.Subject, v.Job, results.Sum(said))); err != nil {
		return nil, fmt.Errorf("write to the audit log that the verdict of job %s was made again: %w", v.Job, err)
	}
	if in.Whole && cannot == nil {
		if out.Verdict, err = json.Marshal(r.Verdict); err != nil {
			return nil, err
		}
	}
	return &reverifyOutput{Body: out}, nil
}
