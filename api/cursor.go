package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"onsite/results"
)

// PageInput is part of the input of every list.
type PageInput struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"next of the answer before; leave it out to begin"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"entries per answer"`
}

// List is one part of a list.
type List[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"cursor of the next part; missing at the end"`
}

const macLen = 16 // 128 bits: a forger must ask the server each time

// cursor makes an opaque cursor that holds for this list, these filters and this tenant only.
func (s *Server) cursor(ctx context.Context, list string, filter any, after string) string {
	if after == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(s.mac("cursor", list, PrincipalOf(ctx).Tenant, canonical(filter), after), after...))
}

// page reads a list's input.
func (s *Server) page(ctx context.Context, list string, filter any, in PageInput) (results.Page, error) {
	p := results.Page{Limit: in.Limit}
	if p.Limit == 0 {
		p.Limit = 100
	}
	if in.Cursor == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(in.Cursor)
	if err != nil || len(raw) <= macLen {
		return p, problem(codeCursor)
	}
	p.After = string(raw[macLen:])
	if !hmac.Equal(raw[:macLen], s.mac("cursor", list, PrincipalOf(ctx).Tenant, canonical(filter), p.After)) {
		return results.Page{}, problem(codeCursor)
	}
	return p, nil
}

// mac signs texts for one purpose. Lengths stand before them, so that no two lists of texts are the same bytes.
func (s *Server) mac(purpose string, parts ...string) []byte {
	h := hmac.New(sha256.New, s.Secret)
	for _, p := range append([]string{purpose}, parts...) {
		n := len(p)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write([]byte(p))
	}
	return h.Sum(nil)[:macLen]
}

// canonical is a filter as text: the JSON of a struct has its fields in one order.
func canonical(filter any) string {
	b, err := json.Marshal(filter)
	if err != nil {
		panic(err) // filters are structs of texts and times
	}
	return string(b)
}

// list cuts a page's rows into an answer: whole pages get a cursor.
func list[R, T any](s *Server, ctx context.Context, name string, filter any, p results.Page, rows []R, place func(R) string, show func(R) T) List[T] { //nolint:revive // the server comes first, as in a method
	out := List[T]{Items: make([]T, 0, len(rows))}
	for _, r := range rows {
		out.Items = append(out.Items, show(r))
	}
	if len(rows) > 0 && len(rows) >= p.Limit {
		out.Next = s.cursor(ctx, name, filter, place(rows[len(rows)-1]))
	}
	return out
}
