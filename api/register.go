package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"onsite/results"
)

func (s *Server) newAPI(mux *http.ServeMux) huma.API {
	c := huma.DefaultConfig("Onsite", s.Version)
	c.Info.Description = "Onsite verifies the photo or 15-second video that an employee uploads to prove \"I am here, now, at work\"."
	c.DocsPath, c.SchemasPath, c.OpenAPIPath = "", "", "" // /openapi.json is served by health.go; nothing loads scripts from elsewhere
	c.CreateHooks = nil                                   // no $schema fields in answers
	c.Transformers = []huma.Transformer{localise}
	c.RejectUnknownQueryParameters = true
	c.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key: ons_<id>_<secret>. It belongs to one tenant and has roles."},
	}
	return humago.New(mux, c)
}

// register adds an operation. Its id must stand in the access table. The handler may return any error: fault makes the problem of it.
func register[I, O any](s *Server, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	roles, ok := access[op.OperationID]
	if !ok || len(roles) == 0 {
		panic(fmt.Sprintf("operation %q does not stand in the access table", op.OperationID))
	}
	open := roles[0] == public
	if !open {
		op.Security = []map[string][]string{{"key": {}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nRoles: " + roleNames(roles) + ".")
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = s.Limits.BodyBytes
	}
	if op.BodyReadTimeout == 0 {
		op.BodyReadTimeout = s.Limits.ReadIdle
	}
	// A body that the description names and the input does not is read by the handler, while it streams in: huma must not read it first.
	streamed := op.RequestBody
	if takesBody(typeOf[I]()) {
		streamed = nil
	} else {
		op.RequestBody = nil
	}
	op.Middlewares = append(huma.Middlewares{s.guard(roles)}, op.Middlewares...)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, fault(err)
		}
		return out, nil
	})
	registered := s.find(op.Method, op.Path)
	if streamed != nil {
		registered.RequestBody = streamed
	}
	s.ops = append(s.ops, registered)
}

// takesBody says whether huma decodes the body into the input.
func takesBody(input reflect.Type) bool {
	for _, name := range []string{"Body", "RawBody"} {
		if _, ok := input.FieldByName(name); ok {
			return true
		}
	}
	return false
}

// find gives the operation as huma completed it.
func (s *Server) find(method, path string) *huma.Operation {
	item := s.api.OpenAPI().Paths[path]
	return map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPut: item.Put, http.MethodPost: item.Post,
		http.MethodDelete: item.Delete, http.MethodPatch: item.Patch}[method]
}

// guard lets a request in when its key has one of the roles.
func (s *Server) guard(roles []results.Role) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if roles[0] == public {
			next(ctx)
			return
		}
		p, err := s.authenticate(ctx.Context(), ctx.Header("Authorization"))
		if err != nil {
			s.refuse(ctx, unknownKey(err))
			return
		}
		noteKey(ctx.Context(), p)
		if !p.Has(roles...) {
			s.refuse(ctx, lacksRole(roles...))
			return
		}
		next(huma.WithValue(ctx, principalKey{}, p))
	}
}

// unknownKey is the problem of a request without a good key.
func unknownKey(err error) *Problem {
	f := fault(err)
	if f.Status == http.StatusUnauthorized {
		f.header("WWW-Authenticate", `Bearer realm="onsite"`)
	}
	return f
}

func lacksRole(roles ...results.Role) *Problem {
	return problem(codeRole).with("This needs a key with one of the roles: %s.", "需要具有以下角色之一的密钥：%s。", roleNames(roles))
}

// refuse answers before the operation runs.
func (s *Server) refuse(ctx huma.Context, p *Problem) {
	for k, v := range p.headers {
		ctx.SetHeader(k, v[0])
	}
	_ = huma.WriteErr(s.api, ctx, p.Status, p.Code, p) // the client is gone, then
}

// roleNames lists roles for people, admin at the end.
func roleNames(roles []results.Role) string {
	var names []string
	for _, r := range roles {
		if r != admin {
			names = append(names, string(r))
		}
	}
	return strings.Join(append(names, string(admin)), ", ")
}
