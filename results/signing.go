package results

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The prefixes of the Standard Webhooks specification: symmetric secret, asymmetric private and public key.
const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"
)

// maxSigners bounds how many generations of keys sign at the same time: the newest, and those that a rotation has not ended yet.
const maxSigners = 4

// Signer is one generation of an endpoint's signing keys. Every delivery is signed by all generations that have not ended, newest first,
// with HMAC-SHA256 and with Ed25519: the receiver checks the one it prefers.
type Signer struct {
	Secret    string    `json:"secret"`     // whsec_ and the base64 of 32 bytes: HMAC-SHA256
	Private   string    `json:"private"`    // whsk_ and the base64 of the Ed25519 private key, 64 bytes
	CreatedAt time.Time `json:"created_at"` // of this generation
	EndsAt    time.Time `json:"ends_at"`    // zero: does not end
}

// SigningKeys are an endpoint's keys, newest first. Endpoint.Keys holds their JSON, sealed by the vault as the tenant's own secret under
// the record SigningRecord(endpoint id).
type SigningKeys struct {
	Signers []Signer `json:"signers"`
}

// SigningRecord names the sealed record of an endpoint's keys.
func SigningRecord(endpoint string) string { return "webhook." + endpoint }

// NewSigningKeys makes an endpoint's first keys.
func NewSigningKeys(now time.Time) (SigningKeys, error) {
	s, err := newSigner(now)
	if err != nil {
		return SigningKeys{}, err
	}
	return SigningKeys{Signers: []Signer{s}}, nil
}

// Rotated gives the keys with a new generation in front. The earlier ones go on signing for the overlap, so that a receiver has time to
// take the new key; with none they end at once.
func (k SigningKeys) Rotated(now time.Time, overlap time.Duration) (SigningKeys, error) {
	s, err := newSigner(now)
	if err != nil {
		return SigningKeys{}, err
	}
	out := SigningKeys{Signers: []Signer{s}}
	for _, old := range k.At(now) {
		if end := now.Add(overlap); old.EndsAt.IsZero() || old.EndsAt.After(end) {
			old.EndsAt = end
		}
		if old.EndsAt.After(now) && len(out.Signers) < maxSigners {
			out.Signers = append(out.Signers, old)
		}
	}
	return out, nil
}

// At gives the signers that sign now, newest first.
func (k SigningKeys) At(now time.Time) []Signer {
	return slices.DeleteFunc(slices.Clone(k.Signers), func(s Signer) bool { return !s.EndsAt.IsZero() && !s.EndsAt.After(now) })
}

// Marshal gives what is to be sealed, ParseSigningKeys reads it back.
func (k SigningKeys) Marshal() ([]byte, error) {
	raw, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("write signing keys: %w", err)
	}
	return raw, nil
}

// ParseSigningKeys reads what Marshal wrote. Its errors never hold a key.
func ParseSigningKeys(raw []byte) (SigningKeys, error) {
	var k SigningKeys
	if json.Unmarshal(raw, &k) != nil { // the library's error may quote the bytes
		return SigningKeys{}, fmt.Errorf("read signing keys: %d bytes that are not their JSON form", len(raw))
	}
	if len(k.Signers) == 0 {
		return SigningKeys{}, fmt.Errorf("read signing keys: there is none")
	}
	for i, s := range k.Signers {
		if _, err := s.HMAC(); err != nil {
			return SigningKeys{}, fmt.Errorf("read signing key %d: %w", i, err)
		}
		if _, err := s.Ed25519(); err != nil {
			return SigningKeys{}, fmt.Errorf("read signing key %d: %w", i, err)
		}
	}
	return k, nil
}

// HMAC gives the bytes of the symmetric secret.
func (s Signer) HMAC() ([]byte, error) {
	raw, err := keyBytes(s.Secret, secretPrefix)
	if err != nil || len(raw) < 24 {
		return nil, fmt.Errorf("the HMAC secret is not %s and base64 of at least 24 bytes", secretPrefix)
	}
	return raw, nil
}

// Ed25519 gives the private key.
func (s Signer) Ed25519() (ed25519.PrivateKey, error) {
	raw, err := keyBytes(s.Private, privatePrefix)
	if err != nil || len(raw) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("the Ed25519 key is not %s and base64 of %d bytes", privatePrefix, ed25519.PrivateKeySize)
	}
	return raw, nil
}

// Public is the Ed25519 public key as receivers write it: whpk_ and base64; "" for a signer that cannot be read.
func (s Signer) Public() string {
	private, err := s.Ed25519()
	if err != nil {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

func newSigner(now time.Time) (Signer, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return Signer{}, fmt.Errorf("make a signing key: %w", err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Signer{}, fmt.Errorf("make a signing key: %w", err)
	}
	return Signer{
		Secret:    secretPrefix + base64.StdEncoding.EncodeToString(secret),
		Private:   privatePrefix + base64.StdEncoding.EncodeToString(private),
		CreatedAt: now.UTC(),
	}, nil
}

func keyBytes(text, prefix string) ([]byte, error) {
	body, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, fmt.Errorf("does not begin with %s", prefix)
	}
	return base64.StdEncoding.DecodeString(body)
}
