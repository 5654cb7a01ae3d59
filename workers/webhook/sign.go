package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"onsite/results"
)

// errNoSigner says that every signing key of an endpoint has ended.
var errNoSigner = errors.New("sign a webhook: all signing keys have ended; rotate the endpoint's keys")

// Sign gives the webhook-signature of a message: for each signer, newest first, HMAC-SHA256 (v1) and Ed25519 (v1a) over
// "<id>.<unix seconds>.<payload>". A receiver takes the message when one of them is right, so keys can be exchanged while messages flow.
func Sign(signers []results.Signer, id string, at time.Time, payload []byte) (string, error) {
	if len(signers) == 0 {
		return "", errNoSigner
	}
	var all []string
	for _, s := range signers {
		secret, err := s.HMAC()
		if err != nil {
			return "", fmt.Errorf("sign a webhook: %w", err)
		}
		hook, err := standardwebhooks.NewWebhookRaw(secret)
		if err != nil {
			return "", fmt.Errorf("sign a webhook: %w", err)
		}
		v1, err := hook.Sign(id, at, payload)
		if err != nil {
			return "", fmt.Errorf("sign a webhook: %w", err)
		}
		private, err := s.Ed25519()
		if err != nil {
			return "", fmt.Errorf("sign a webhook: %w", err)
		}
		all = append(all, v1, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(private, signed(id, at, payload))))
	}
	return strings.Join(all, " "), nil
}

// signed is what signatures are over.
func signed(id string, at time.Time, payload []byte) []byte {
	return append([]byte(fmt.Sprintf("%s.%d.", id, at.Unix())), payload...)
}
