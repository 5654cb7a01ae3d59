package api

import (
	"crypto/sha256"
	"encoding/hex"
)

// Idempotency is part of the input of operations that start a job.
type Idempotency struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$" doc:"a name of your own for this request: sent again with the same body it gives the same answer, with another body 422"`
}

// bodySum identifies what was sent under an idempotency key: the operation and its parts.
func bodySum(operation string, parts ...string) string {
	h := sha256.New()
	for _, p := range append([]string{operation}, parts...) {
		sum := sha256.Sum256([]byte(p))
		_, _ = h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
