package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/results"
)

// ClaimInput is what a client says about an upload. Nothing in it is trusted; checks compare it with what they see.
type ClaimInput struct {
	Subject  string         `json:"subject" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"1 to 64 of letters, digits, . _ - beginning with a letter or digit" doc:"id of the employee" example:"e123"`
	Site     string         `json:"site,omitempty" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"1 to 64 of letters, digits, . _ - beginning with a letter or digit" doc:"id of the place of work" example:"store-17"`
	TakenAt  time.Time      `json:"taken_at,omitempty" doc:"when it was taken, by the device's clock"`
	Policy   string         `json:"policy,omitempty" pattern:"^[a-z][a-z0-9_]{0,39}$" patternDescription:"1 to 40 of lower-case letters, digits, _ beginning with a letter" doc:"name of the policy; without it video15 for clips and photo for photos"`
	Priority string         `json:"priority,omitempty" enum:"clock_in,bulk" doc:"clock_in goes first; bulk waits for everything else" default:"clock_in"`
	Location *ClaimLocation `json:"location,omitempty" doc:"where the device says that it is"`
	Beacons  []string       `json:"beacons,omitempty" nullable:"false" maxItems:"64" doc:"ids of the beacons in range"`
	WiFi     []string       `json:"wifi,omitempty" nullable:"false" maxItems:"64" doc:"ids (BSSID) of the Wi-Fi stations in range"`
	Device   *ClaimDevice   `json:"device,omitempty" doc:"what the device says about itself"`

	Challenge string `json:"challenge,omitempty" maxLength:"26" doc:"id of the challenge that the recording answers, from POST /v1/challenges"`
}

// ClaimLocation is where a device says that it is.
type ClaimLocation struct {
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90" doc:"degrees, WGS 84"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180" doc:"degrees, WGS 84"`
	AccuracyM float64 `json:"accuracy_m,omitempty" minimum:"0" maximum:"100000" doc:"radius in metres that holds the true place two times out of three"`
}

// ClaimDevice is what a device says about itself.
type ClaimDevice struct {
	ID           string `json:"id,omitempty" maxLength:"128"`
	Model        string `json:"model,omitempty" maxLength:"128"`
	MockLocation bool   `json:"mock_location,omitempty" doc:"the system says that an app invents the location"`
}

// maxBeacon bounds the id of one beacon or Wi-Fi station; the schema cannot say it of list entries.
const maxBeacon = 128

// decode checks a JSON value against the schema of *into and decodes it. Faults name their fields under the given place.
func decode(s *Server, raw []byte, place string, into any) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&v); err != nil {
		return problem(codeUnreadable).field(place, "json", nil, say("is not JSON", "不是 JSON"), pipeline.Text{})
	}
	if d.More() {
		return problem(codeUnreadable).field(place, "json", nil, say("holds more than one JSON value", "包含多个 JSON 值"), pipeline.Text{})
	}
	if err := s.validate(v, place, into); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return problem(codeUnreadable).because(err).field(place, "json", nil, say("cannot be read", "无法读取"), pipeline.Text{})
	}
	return nil
}

// validate checks a decoded JSON value against the schema of *like.
func (s *Server) validate(v any, place string, like any) error {
	registry := s.api.OpenAPI().Components.Schemas
	path, found := huma.NewPathBuffer(nil, 0), &huma.ValidateResult{}
	path.Push(place)
	huma.Validate(registry, s.schema(like), path, huma.ModeWriteToServer, v, found)
	if len(found.Errors) == 0 {
		return nil
	}
	p := problem(codeInvalid)
	for _, err := range found.Errors {
		p.Errors = append(p.Errors, translate(err))
	}
	return p
}

// schema gives the schema of what like points to, as registered; all of them were at start-up, so that requests only read the registry.
func (s *Server) schema(like any) *huma.Schema {
	t := reflect.TypeOf(like).Elem()
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

// claimed is a claim whose subject, site and policy are there.
type claimed struct {
	ClaimInput
	policyRev int
	priority  results.Priority
	waiting   int // bound of the tenant's unfinished jobs
}

// resolve looks up what a claim names. place is where the claim lies in the request.
func (s *Server) resolve(ctx context.Context, c ClaimInput, place string) (claimed, error) {
	out := claimed{ClaimInput: c, priority: results.PriorityClockIn}
	if c.Priority == "bulk" {
		out.priority = results.PriorityBulk
	}
	for _, list := range []struct {
		field string
		ids   []string
	}{{"beacons", c.Beacons}, {"wifi", c.WiFi}} {
		for i, id := range list.ids {
			if id == "" || len(id) > maxBeacon {
				return out, invalid(fmt.Sprintf("%s.%s[%d]", place, list.field, i), "too_long", maxBeacon,
					say("must have 1 to %d characters", "应为 1 至 %d 个字符", maxBeacon), pipeline.Text{})
			}
		}
	}
	tenant, err := s.tenant(ctx)
	if err != nil {
		return out, fmt.Errorf("read the tenant's settings: %w", err)
	}
	out.waiting = tenant.Settings.MaxWaiting
	if out.waiting == 0 {
		out.waiting = s.Limits.MaxWaiting
	}
	if err := s.subjectThere(ctx, tenant.ID, c.Subject, place); err != nil {
		return out, err
	}
	if err := s.siteThere(ctx, tenant.ID, c.Site, place); err != nil {
		return out, err
	}
	if out.policyRev, err = s.policyRev(ctx, tenant.ID, c.Policy, place); err != nil {
		return out, err
	}
	return out, s.challengeFits(ctx, tenant.ID, c, place)
}

func (s *Server) subjectThere(ctx context.Context, tenant, id, place string) error {
	_, err := s.names.get(ctx, "subject\x00"+tenant+"\x00"+id, func(ctx context.Context) (int, error) {
		subject, err := s.Store.Subject(ctx, tenant, id)
		if err == nil && !subject.ErasedAt.IsZero() {
			err = results.ErrErased
		}
		return subject.Rev, err
	})
	if errors.Is(err, results.ErrNotFound) {
		return unknown(place+".subject", say("there is no such subject", "没有该人员"), say("create it first with PUT /v1/subjects/{id}", "请先用 PUT /v1/subjects/{id} 创建"))
	}
	return err
}

func (s *Server) siteThere(ctx context.Context, tenant, id, place string) error {
	if id == "" {
		return nil
	}
	_, err := s.names.get(ctx, "site\x00"+tenant+"\x00"+id, func(ctx context.Context) (int, error) {
		site, err := s.Store.Site(ctx, tenant, id, 0)
		return site.Rev, err
	})
	if errors.Is(err, results.ErrNotFound) {
		return unknown(place+".site", say("there is no such site", "没有该地点"), say("create it first with PUT /v1/sites/{id}, or leave the field out", "请先用 PUT /v1/sites/{id} 创建，或不填该字段"))
	}
	return err
}

// policyRev gives the revision of the tenant's own policy of that name, 0 for a built-in one.
func (s *Server) policyRev(ctx context.Context, tenant, name, place string) (int, error) {
	if name == "" {
		return 0, nil
	}
	rev, err := s.names.get(ctx, "policy\x00"+tenant+"\x00"+name, func(ctx context.Context) (int, error) {
		p, err := s.Store.Policy(ctx, tenant, name, 0)
		if errors.Is(err, results.ErrNotFound) && slices.Contains(policy.Names, name) {
			return 0, nil
		}
		return p.Rev, err
	})
	if errors.Is(err, results.ErrNotFound) {
		return 0, unknown(place+".policy", say("there is no such policy", "没有该策略"), say("GET /v1/policies lists them; without the field the default of the media's kind is used", "可用 GET /v1/policies 查看；不填则按媒体类型使用默认策略"))
	}
	return rev, err
}

func unknown(field string, text, fix pipeline.Text) *Problem {
	return invalid(field, "unknown", nil, text, fix)
}

// submission makes the row of a claim, without media.
func (c claimed) submission(ctx context.Context, job string, now time.Time) (results.Submission, error) {
	who := PrincipalOf(ctx)
	claim := pipeline.Claim{Job: job, Tenant: who.Tenant, Subject: c.Subject, Site: c.Site, TakenAt: c.TakenAt.UTC(), Beacons: c.Beacons, WiFi: c.WiFi, Challenge: c.Challenge}
	if c.TakenAt.IsZero() {
		claim.TakenAt = time.Time{}
	}
	if l := c.Location; l != nil {
		claim.Location = &pipeline.Location{Latitude: l.Latitude, Longitude: l.Longitude, AccuracyM: l.AccuracyM}
	}
	if d := c.Device; d != nil {
		claim.Device = &pipeline.Device{ID: d.ID, Model: d.Model, MockLocation: d.MockLocation}
	}
	raw, err := json.Marshal(claim)
	if err != nil {
		return results.Submission{}, fmt.Errorf("write the claim of job %s: %w", job, err)
	}
	return results.Submission{Job: job, Tenant: who.Tenant, Subject: c.Subject, Site: c.Site, Policy: c.Policy, PolicyRev: c.policyRev,
		Claim: raw, Priority: c.priority, TraceParent: traceParent(ctx), ReceivedAt: now}, nil
}
