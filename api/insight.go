package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

// Model is one model that this server runs.
type Model struct {
	pipeline.ModelRef
	Licence string `json:"licence,omitempty" doc:"SPDX name"`
	Note    string `json:"note,omitempty" doc:"what else a user must know about its origin"`
	State   string `json:"state" enum:"ready,cold,failed" doc:"ready: it was loaded and has run; cold: its first use loads it; failed: see why"`
	Why     string `json:"why,omitempty"`
}

type modelsOutput struct{ Body List[Model] }

// IntakeEvent is one event of a bucket as it came.
type IntakeEvent struct {
	ID         string              `json:"id"`
	Source     string              `json:"source" doc:"webhook, redis"`
	Bucket     string              `json:"bucket,omitempty"`
	Key        string              `json:"key,omitempty"`
	Version    string              `json:"version,omitempty"`
	Bytes      int64               `json:"bytes,omitempty"`
	State      results.IntakeState `json:"state" enum:"started,duplicate,unclaimed,foreign,unread,ignored"`
	Why        *results.Why        `json:"why,omitempty" doc:"why it started nothing"`
	Job        string              `json:"job,omitempty"`
	Raw        string              `json:"raw,omitempty" doc:"what came, at most 16 KB of it, where it could not be understood"`
	ReceivedAt time.Time           `json:"received_at"`
}

type intakeInput struct {
	State results.IntakeState `query:"state" enum:"started,duplicate,unclaimed,foreign,unread,ignored" doc:"only events with which this happened"`
	PageInput
}

type intakeOutput struct{ Body List[IntakeEvent] }

// rawShown bounds what is shown of an event that was not understood.
const rawShown = 16 << 10

func (s *Server) insightRoutes() {
	register(s, describe(get, "/v1/models", "list-models", "models", "List the models that this server runs"),
		func(context.Context, *nothing) (*modelsOutput, error) {
			out := &modelsOutput{Body: List[Model]{Items: []Model{}}}
			if s.Core != nil {
				out.Body.Items = append(out.Body.Items, s.Core.Models()...)
			}
			return out, nil
		})
	register(s, describe(get, "/v1/intake-events", "list-intake-events", "intake", "Read what came from buckets",
		explained("Every event is kept, also one that started nothing, with the reason. Events that belong to no tenant (not understood, or of a place that nobody mapped) are shown "+
			"where the installation has one tenant only; with several the operator sees them with \"onsite intake\".")), func(ctx context.Context, in *intakeInput) (*intakeOutput, error) {
		p, err := s.page(ctx, "intake", in.State, in.PageInput)
		if err != nil {
			return nil, err
		}
		rows, err := s.intakeEvents(ctx, in.State, p)
		if err != nil {
			return nil, err
		}
		return &intakeOutput{Body: list(s, ctx, "intake", in.State, p, rows, func(e results.IntakeEvent) string { return e.ID }, showIntake)}, nil
	})
}

// intakeEvents lists the tenant's events, newest first, and with them those of nobody where there is nobody else whose they could be.
func (s *Server) intakeEvents(ctx context.Context, state results.IntakeState, p results.Page) ([]results.IntakeEvent, error) {
	rows, err := s.Store.IntakeEvents(ctx, PrincipalOf(ctx).Tenant, state, p)
	if err != nil {
		return nil, err
	}
	tenants, err := s.Store.Tenants(ctx)
	if err != nil || len(tenants) != 1 {
		return rows, err
	}
	nobodys, err := s.Store.IntakeEvents(ctx, "", state, p)
	if err != nil {
		return nil, err
	}
	rows = append(rows, nobodys...)
	slices.SortFunc(rows, func(a, b results.IntakeEvent) int { return strings.Compare(b.ID, a.ID) })
	return rows[:min(len(rows), p.Limit)], nil
}

func showIntake(e results.IntakeEvent) IntakeEvent {
	out := IntakeEvent{ID: e.ID, Source: e.Source, Bucket: e.Bucket, Key: e.Key, Version: e.Version, Bytes: e.Bytes, State: e.State, Why: e.Why, Job: e.Job, ReceivedAt: e.ReceivedAt}
	if e.State == results.IntakeUnread {
		out.Raw = strings.ToValidUTF8(string(e.Raw[:min(len(e.Raw), rawShown)]), "�")
	}
	return out
}
