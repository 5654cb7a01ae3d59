package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/results"
)

// Policy is one policy: what kinds of checks a submission needs and what they lead to.
type Policy struct {
	Name        string        `json:"name"`
	BuiltIn     bool          `json:"built_in"`
	Rev         int           `json:"rev" doc:"also the ETag; 0 for a built-in one"`
	Version     int           `json:"version" doc:"as the policy itself says"`
	Digest      string        `json:"digest" doc:"of the rules, as verdicts name it"`
	Description pipeline.Text `json:"description"`
	Media       []string      `json:"media" nullable:"false"`
	YAML        string        `json:"yaml,omitempty" doc:"as it was written; only when one policy is read"`
	CreatedAt   *time.Time    `json:"created_at,omitempty"`
}

// PolicyPath names a policy.
type PolicyPath struct {
	Name string `path:"name" maxLength:"40" pattern:"^[a-z][a-z0-9_]{0,39}$" doc:"name of the policy"`
}

type putPolicyInput struct {
	PolicyPath
	Condition
	RawBody []byte `contentType:"application/yaml"`
}

type getPolicyInput struct {
	PolicyPath
	Rev int `query:"rev" minimum:"0" doc:"an earlier revision; left out: the newest"`
}

type deletePolicyInput struct {
	PolicyPath
	Condition
}

type policyOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   Policy
}

type policiesOutput struct{ Body List[Policy] }

func (s *Server) policyRoutes() {
	register(s, describe(put, "/v1/policies/{name}", "put-policy", "policies", "Write a policy",
		func(op *huma.Operation) { op.MaxBodyBytes = policyBytes },
		explained("The body is YAML as \"onsite verify --policy\" reads it. Its name must be that of the path; the built-in policies cannot be replaced, so that their "+
			"names mean the same everywhere. An existing policy needs If-Match. Jobs that were accepted before keep the revision that they were accepted with.")), s.putPolicy)
	register(s, describe(get, "/v1/policies", "list-policies", "policies", "List policies, the built-in ones first"), s.listPolicies)
	register(s, describe(get, "/v1/policies/{name}", "get-policy", "policies", "Read a policy"), s.getPolicy)
	register(s, describe(del, "/v1/policies/{name}", "delete-policy", "policies", "Delete a policy", answers(http.StatusNoContent),
		explained("Its revisions remain for the jobs that were accepted with them; new submissions cannot name it.")), s.deletePolicy)
}

// policyBytes bounds a policy's body; package policy has the same bound for its text.
const policyBytes = 64 << 10

func (s *Server) putPolicy(ctx context.Context, in *putPolicyInput) (*policyOutput, error) {
	if slices.Contains(policy.Names, in.Name) {
		return nil, problem(codeBuiltin)
	}
	rev, asked, err := in.put()
	if err != nil {
		return nil, err
	}
	raw := bytes.Clone(in.RawBody) // the library takes its buffer back
	p, err := policy.Parse(in.Name, raw)
	if err != nil {
		return nil, policyFault(err)
	}
	if p.Name != in.Name {
		return nil, problem(codePolicy).field("body.name", "path", in.Name, say("is not the name in the path, %s", "与路径中的名称 %s 不一致", in.Name),
			say("use one name in both places", "请在两处使用相同的名称"))
	}
	row := results.Policy{Tenant: PrincipalOf(ctx).Tenant, Name: p.Name, Digest: p.Digest(), YAML: raw, CreatedAt: s.stamp()}
	row, err = s.Store.PutPolicy(ctx, row, rev, s.entry(ctx, "policy.changed", "", p.Name, ""))
	if err != nil {
		return nil, conflict(err, asked)
	}
	s.names.forget("policy\x00" + row.Tenant + "\x00" + row.Name)
	out := &policyOutput{Status: http.StatusOK, ETag: etag(row.Rev), Body: showPolicy(p, row)}
	if rev == 0 {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// policyFault names every place of a policy that is wrong.
func policyFault(err error) error {
	p := problem(codePolicy)
	var all policy.Problems
	if !errors.As(err, &all) {
		text := pipeline.Text{EN: err.Error(), ZH: err.Error()}
		var fault *policy.Fault
		if errors.As(err, &fault) {
			text = fault.Text()
		}
		return p.field("body", "yaml", nil, text, pipeline.Text{})
	}
	for _, one := range all {
		code := "value"
		if one.Value == "" {
			code = "missing"
		}
		p = p.field("body."+one.Field, code, one.Allowed.EN, pipeline.Text{
			EN: fmt.Sprintf("%q is not accepted; allowed: %s", one.Value, one.Allowed.EN), ZH: fmt.Sprintf("不接受 %q；允许：%s", one.Value, one.Allowed.ZH),
		}, one.Fix)
	}
	return p
}

func (s *Server) listPolicies(ctx context.Context, _ *nothing) (*policiesOutput, error) {
	rows, err := s.Store.Policies(ctx, PrincipalOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	out := &policiesOutput{Body: List[Policy]{Items: []Policy{}}}
	for _, name := range policy.Names {
		p, err := policy.Default(name)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, showPolicy(p, results.Policy{Digest: p.Digest()}))
	}
	for _, row := range rows {
		p, err := policy.Parse(row.Name, row.YAML)
		if err != nil {
			// Written by a version of Onsite that took it: shown, so that it can be corrected.
			p = policy.Policy{Name: row.Name}
		}
		out.Body.Items = append(out.Body.Items, showPolicy(p, row))
	}
	for i := range out.Body.Items {
		out.Body.Items[i].YAML = ""
	}
	return out, nil
}

func (s *Server) getPolicy(ctx context.Context, in *getPolicyInput) (*policyOutput, error) {
	if slices.Contains(policy.Names, in.Name) {
		p, err := policy.Default(in.Name)
		if err != nil {
			return nil, err
		}
		raw, err := policy.Source(in.Name)
		if err != nil {
			return nil, err
		}
		return &policyOutput{Status: http.StatusOK, ETag: etag(0), Body: showPolicy(p, results.Policy{Digest: p.Digest(), YAML: raw})}, nil
	}
	row, err := s.Store.Policy(ctx, PrincipalOf(ctx).Tenant, in.Name, in.Rev)
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse(row.Name, row.YAML)
	if err != nil {
		p = policy.Policy{Name: row.Name}
	}
	return &policyOutput{Status: http.StatusOK, ETag: etag(row.Rev), Body: showPolicy(p, row)}, nil
}

func (s *Server) deletePolicy(ctx context.Context, in *deletePolicyInput) (*nothing, error) {
	if slices.Contains(policy.Names, in.Name) {
		return nil, problem(codeBuiltin)
	}
	tenant := PrincipalOf(ctx).Tenant
	row, err := s.Store.Policy(ctx, tenant, in.Name, 0)
	if err != nil {
		return nil, err
	}
	rev, err := in.removal(row.Rev)
	if err != nil {
		return nil, err
	}
	row.Deleted, row.CreatedAt = true, s.stamp()
	if _, err := s.Store.PutPolicy(ctx, row, rev, s.entry(ctx, "policy.deleted", "", in.Name, "")); err != nil {
		return nil, fmt.Errorf("delete policy %s: %w", in.Name, err)
	}
	s.names.forget("policy\x00" + tenant + "\x00" + in.Name)
	return &nothing{}, nil
}

func showPolicy(p policy.Policy, row results.Policy) Policy {
	return Policy{
		Name: p.Name, BuiltIn: row.Rev == 0, Rev: row.Rev, Version: p.Version, Digest: row.Digest, Description: p.Description,
		Media: slices.Concat([]string{}, p.Media), YAML: strings.ToValidUTF8(string(row.YAML), "�"), CreatedAt: moment(row.CreatedAt),
	}
}
