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

const (
	opReverify        = "reverify"
	opReverifications = "list-reverifications"
)

type reverifyInput struct {
	JobPath
	Recipe string `query:"recipe" pattern:"^(pinned|current|sha256:[0-9a-f]{64})$" default:"pinned" doc:"pinned: by the recipe that the verdict names, or not at all; current: by the models and the newest revision of the policy that are in force here, to see what these would change; sha256:...: by the models and the policy of another verdict's recipe"`
	Whole  bool   `query:"body" doc:"also the whole verdict as it was made now"`
}

// Resolve gives the answer the time of work on pictures.
func (in *reverifyInput) Resolve(ctx huma.Context) []error {
	extend(ctx, workTime)
	return nil
}

// Reverification is what came of making a verdict again. It is kept beside the verdict's revisions, as this JSON with the verdict in it.
type Reverification struct {
	ID        string             `json:"id,omitempty" doc:"of what is kept, and of its entry in the audit log; missing where the person was erased, and nothing is kept"`
	Job       string             `json:"job"`
	Asked     string             `json:"asked" doc:"pinned, current, or the digest of a recipe"`
	MadeAt    time.Time          `json:"made_at"`
	MadeBy    string             `json:"made_by" doc:"id of the API key"`
	Agreement verify.Agreement   `json:"agreement" enum:"equal,within_tolerance,near_threshold,different,impossible" doc:"impossible: see state"`
	State     string             `json:"state,omitempty" doc:"impossible: media_gone, erased, photos_gone, consent_withdrawn, models_missing, site_gone, policy_gone, recipe_unknown, recipe_gone, inputs_changed, refused, reference_unusable"`
	Text      *pipeline.Text     `json:"text,omitempty" doc:"impossible: why"`
	Before    pipeline.Decision  `json:"before,omitempty"`
	Now       pipeline.Decision  `json:"now,omitempty"`
	Checks    []verify.CheckDiff `json:"checks" nullable:"false"`
	Recipe    []string           `json:"recipe" nullable:"false" doc:"what of the recipe is another; empty: nothing"`
	Gone      int                `json:"gone" doc:"earlier recordings, and others with the same device, that are not there any more: erased, or past their time"`
	InForce   *InForce           `json:"in_force,omitempty" doc:"missing where the first revision is in force, which is the one that is made again"`
	Verdict   json.RawMessage    `json:"verdict,omitempty" doc:"the whole verdict as it was made now, where body=true was asked for"`
}

// InForce is the newest revision of a job's verdict, where that is not the first: an investigator's mark or a late comparison changed it.
type InForce struct {
	Revision int               `json:"revision" minimum:"2"`
	Decision pipeline.Decision `json:"decision"`
}

// impossible is the agreement of a verdict that cannot be made again.
const impossible verify.Agreement = "impossible"

type reverifyOutput struct{ Body Reverification }

func (s *Server) reverifyRoutes() {
	register(s, huma.Operation{OperationID: opReverify, Method: http.MethodPost, Path: "/v1/verdicts/{job}/reverify", Tags: []string{"verdicts"},
		Summary: "Make a verdict again and compare",
		Description: "Runs the first revision again from the stored media and the inputs that it names (claim, enrolled photos, site, history, marks and consents as of then), on one thread, and compares it check by check. " +
			"Takes some seconds; one at a time. What came of it is kept beside the verdict, with an entry of the audit log; it supersedes nothing.",
		Errors: []int{401, 403, 404, 422, 429, 503}}, s.reverify)
	register(s, huma.Operation{OperationID: opReverifications, Method: http.MethodGet, Path: "/v1/verdicts/{job}/reverifications", Tags: []string{"verdicts"},
		Summary: "How often a verdict was made again, and what came of it, newest first", Errors: []int{400, 401, 403, 404, 422, 503}}, s.listReverifications)
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
	newest, err := s.verdict(ctx, in.Job, 0)
	if err != nil {
		return nil, err
	}
	r, err := s.Core.Reverify(ctx, v.Tenant, v.Job, in.Recipe)
	out := Reverification{Job: v.Job, Asked: in.Recipe, MadeAt: s.stamp(), MadeBy: PrincipalOf(ctx).Key, Checks: []verify.CheckDiff{}, Recipe: []string{}}
	if newest.Revision > 1 {
		out.InForce = &InForce{Revision: newest.Revision, Decision: newest.Decision}
	}
	var cannot *CannotReverify
	switch {
	case errors.As(err, &cannot):
		out.Agreement, out.State, out.Text = impossible, cannot.State, &cannot.Text
	case err != nil:
		return nil, coreFault(err)
	default:
		out.Agreement, out.Before, out.Now, out.Checks, out.Gone = r.Agreement, r.Before, r.Now, append(out.Checks, r.Checks...), r.Gone
		out.Recipe = append(out.Recipe, r.Recipe...)
		if out.Verdict, err = json.Marshal(r.Verdict); err != nil {
			return nil, err
		}
	}
	if err := s.keepReverification(ctx, v, &out); err != nil {
		return nil, fmt.Errorf("keep what came of making the verdict of job %s again: %w", v.Job, err)
	}
	if !in.Whole {
		out.Verdict = nil
	}
	return &reverifyOutput{Body: out}, nil
}

// keepReverification writes it beside the verdict. Of an erased person nothing is kept but that it was asked for.
func (s *Server) keepReverification(ctx context.Context, v results.Verdict, out *Reverification) error {
	entry := s.entry(ctx, results.ActionReverified, v.Subject, v.Job, "")
	out.ID = entry.ID
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	err = s.Store.Reverified(ctx, results.Reverification{ID: entry.ID, Tenant: v.Tenant, Job: v.Job, Subject: v.Subject, Body: body, CreatedAt: out.MadeAt}, entry)
	if errors.Is(err, results.ErrErased) {
		out.ID = ""
		return s.Store.Append(ctx, entry)
	}
	return err
}

func (s *Server) listReverifications(ctx context.Context, in *struct {
	JobPath
	PageInput
	Whole bool `query:"body" doc:"give the whole verdicts, too"`
}) (*struct{ Body List[Reverification] }, error) {
	noteJob(ctx, in.Job)
	if _, err := s.verdict(ctx, in.Job, 1); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, opReverifications, in.Job, in.PageInput)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Reverifications(ctx, PrincipalOf(ctx).Tenant, in.Job, p)
	if err != nil {
		return nil, err
	}
	shown := make([]Reverification, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.Body, &shown[i]); err != nil {
			return nil, fmt.Errorf("read reverification %s of job %s: %w", r.ID, r.Job, err)
		}
		if !in.Whole {
			shown[i].Verdict = nil
		}
	}
	same := func(r Reverification) Reverification { return r }
	return &struct{ Body List[Reverification] }{list(s, ctx, opReverifications, in.Job, p, shown, func(r Reverification) string { return r.ID }, same)}, nil
}
