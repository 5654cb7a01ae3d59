package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/results"
)

// Key is an API key, without its secret.
type Key struct {
	ID        string         `json:"id" doc:"the part between the underscores of ons_<id>_<secret>"`
	Name      string         `json:"name"`
	Roles     []results.Role `json:"roles" nullable:"false"`
	CreatedAt time.Time      `json:"created_at"`
	ExpiresAt *time.Time     `json:"expires_at,omitempty"`
	RevokedAt *time.Time     `json:"revoked_at,omitempty"`
}

// KeyMade is a new key, with its secret: the only time that it is shown.
type KeyMade struct {
	Key
	Secret string `json:"key" doc:"send it as Authorization: Bearer; it is not shown again"`
}

type createKeyInput struct {
	Body struct {
		Name      string         `json:"name" minLength:"1" maxLength:"100" doc:"who uses it, for people"`
		Roles     []results.Role `json:"roles" minItems:"1" maxItems:"7" uniqueItems:"true" nullable:"false" enum:"submit,read,notice,investigate,audit,models,admin"`
		ExpiresAt time.Time      `json:"expires_at,omitempty" required:"false" doc:"when it ends by itself; left out: never"`
	}
}

type createKeyOutput struct{ Body KeyMade }

type keysOutput struct{ Body List[Key] }

type keyInput struct {
	ID string `path:"id" minLength:"12" maxLength:"12" pattern:"^[a-z]{12}$" doc:"id of the key"`
}

func (s *Server) keyRoutes() {
	register(s, describe(post, "/v1/keys", "create-key", "keys", "Make an API key", answers(http.StatusCreated)), s.createKey)
	register(s, describe(get, "/v1/keys", "list-keys", "keys", "List API keys, also revoked and expired ones"),
		func(ctx context.Context, _ *nothing) (*keysOutput, error) {
			keys, err := s.Store.Keys(ctx, PrincipalOf(ctx).Tenant)
			if err != nil {
				return nil, err
			}
			out := &keysOutput{Body: List[Key]{Items: make([]Key, 0, len(keys))}}
			for _, k := range keys {
				out.Body.Items = append(out.Body.Items, showKey(k))
			}
			return out, nil
		})
	register(s, describe(del, "/v1/keys/{id}", "revoke-key", "keys", "Revoke an API key", answers(http.StatusNoContent),
		explained("It is refused within two seconds everywhere. A key cannot revoke itself, so that nobody locks the door from outside.")), s.revokeKey)
}

func (s *Server) createKey(ctx context.Context, in *createKeyInput) (*createKeyOutput, error) {
	name := strings.TrimSpace(in.Body.Name)
	if name == "" {
		return nil, invalid("body.name", "missing", nil, say("is missing", "缺失"), pipeline.Text{})
	}
	if at := in.Body.ExpiresAt; !at.IsZero() && !at.After(s.stamp()) {
		return nil, invalid("body.expires_at", "past", nil, say("lies in the past", "早于当前时间"), say("give a later time, or leave it out", "请填写将来的时间，或省略"))
	}
	secret, k, err := NewKey(PrincipalOf(ctx).Tenant, name, in.Body.Roles, s.stamp())
	if err != nil {
		return nil, err
	}
	k.ExpiresAt = in.Body.ExpiresAt.UTC()
	if in.Body.ExpiresAt.IsZero() {
		k.ExpiresAt = time.Time{}
	}
	if err := s.Store.CreateKey(ctx, k, s.entry(ctx, "key.created", "", k.ID, "")); err != nil {
		return nil, err
	}
	return &createKeyOutput{Body: KeyMade{Key: showKey(k), Secret: secret}}, nil
}

func (s *Server) revokeKey(ctx context.Context, in *keyInput) (*nothing, error) {
	p := PrincipalOf(ctx)
	if in.ID == p.Key {
		return nil, problem(codeState).with("A key cannot revoke itself. Use another admin key.", "密钥不能吊销自身，请使用另一个管理员密钥。")
	}
	if err := s.Store.RevokeKey(ctx, p.Tenant, in.ID, s.stamp(), s.entry(ctx, "key.revoked", "", in.ID, "")); err != nil {
		return nil, err
	}
	s.keys.forget(in.ID)
	return &nothing{}, nil
}

func showKey(k results.APIKey) Key {
	return Key{ID: k.ID, Name: k.Name, Roles: k.Roles, CreatedAt: k.CreatedAt, ExpiresAt: moment(k.ExpiresAt), RevokedAt: moment(k.RevokedAt)}
}

// moment is a time that may be missing.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
