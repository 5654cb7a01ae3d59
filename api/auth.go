package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"onsite/results"
)

// The form of a key: ons_<id>_<secret>. The secret is 256 random bits in base 62, always 43 letters and digits, so that a double click
// selects the whole key.
const (
	keyPrefix   = "ons_"
	keyIDLen    = 12
	keySecLen   = 43
	keyAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewKey makes an API key: the text for its owner, shown once, and the row for the store, which holds only its SHA-256.
func NewKey(tenant, name string, roles []results.Role, now time.Time) (string, results.APIKey, error) {
	if len(roles) == 0 {
		return "", results.APIKey{}, errors.New("make an API key: it needs at least one role")
	}
	for _, r := range roles {
		if !slices.Contains(results.Roles, r) {
			return "", results.APIKey{}, fmt.Errorf("make an API key: there is no role %q", r)
		}
	}
	var bits [32]byte
	var id [keyIDLen]byte
	_, _ = rand.Read(bits[:]) // never fails
	_, _ = rand.Read(id[:])
	for i := range id {
		id[i] = keyAlphabet[10+26+int(id[i])%26] // a-z: the id is a name, not a secret
	}
	text := keyPrefix + string(id[:]) + "_" + base62(bits[:])
	sum := sha256.Sum256([]byte(text))
	return text, results.APIKey{ID: string(id[:]), Tenant: tenant, Name: name, Roles: roles, SHA256: sum[:], CreatedAt: now.UTC()}, nil
}

func base62(bits []byte) string {
	n, base, digit := new(big.Int).SetBytes(bits), big.NewInt(62), new(big.Int)
	out := make([]byte, keySecLen)
	for i := range out {
		n.DivMod(n, base, digit)
		out[keySecLen-1-i] = keyAlphabet[digit.Int64()]
	}
	return string(out)
}

// keyID gives the id of a key text, or false when it has not the form of one.
func keyID(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok || len(rest) != keyIDLen+1+keySecLen || rest[keyIDLen] != '_' {
		return "", false
	}
	for i := range len(rest) {
		c := rest[i]
		switch {
		case i == keyIDLen:
		case i < keyIDLen && (c < 'a' || c > 'z'):
			return "", false
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		default:
			return "", false
		}
	}
	return rest[:keyIDLen], true
}

// Principal is who asks: an API key of a tenant.
type Principal struct {
	Tenant string
	Key    string // id of the API key
	Roles  []results.Role
}

// Has says whether the principal has one of these roles; an admin has them all.
func (p Principal) Has(roles ...results.Role) bool {
	return slices.ContainsFunc(p.Roles, func(r results.Role) bool { return r == results.RoleAdmin || slices.Contains(roles, r) })
}

type principalKey struct{}

// PrincipalOf gives who asks; the zero Principal on routes without a key.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// authenticate finds out whose key this is. Every way of being wrong gives the same problem: a guesser learns nothing.
func (s *Server) authenticate(ctx context.Context, header string) (Principal, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, problem(codeNoKey)
	}
	text = strings.TrimSpace(text)
	id, ok := keyID(text)
	if !ok {
		return Principal{}, problem(codeBadKey)
	}
	k, err := s.keys.get(ctx, id, func(ctx context.Context) (results.APIKey, error) { return s.Store.Key(ctx, id) })
	switch {
	case errors.Is(err, results.ErrNotFound):
		k = results.APIKey{SHA256: make([]byte, sha256.Size)} // compared all the same, so that time tells nothing
	case err != nil:
		return Principal{}, fmt.Errorf("look up API key %s: %w", id, err)
	}
	sum := sha256.Sum256([]byte(text))
	same := subtle.ConstantTimeCompare(sum[:], k.SHA256) == 1
	now := s.now()
	if err != nil || !same || !k.RevokedAt.IsZero() || (!k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)) {
		return Principal{}, problem(codeBadKey)
	}
	return Principal{Tenant: k.Tenant, Key: k.ID, Roles: k.Roles}, nil
}
