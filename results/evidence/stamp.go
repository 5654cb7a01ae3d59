package evidence

import (
	"bytes"
	"crypto"
	_ "crypto/sha512" // authorities may be asked with it
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
)

// maxStamp bounds a timestamp token in bytes: one with the authority's certificates has some thousand, and the parser takes time that grows with the square.
const maxStamp = 64 << 10

// Stamp is what a token of a timestamping authority (RFC 3161) says. Whether the authority is one to be believed is not looked at: that is for
// whoever has its certificate (openssl ts -verify).
type Stamp struct {
	At time.Time `json:"at"`
	By string    `json:"by,omitempty"` // subject of the first certificate in the token; empty: it has none, so that its signature was not checked
}

var (
	errStampLarge = fmt.Errorf("it has over %d KiB", maxStamp>>10)
	errStampWeak  = errors.New("it is over another hash than SHA-256, SHA-384 or SHA-512; ask for one with: openssl ts -query -sha256")
	errStampOther = errors.New("it is over another file than this manifest.json")
)

// readStamp reads an answer of a timestamping authority: it is over the manifest, and signed by the certificate that it brings along.
func readStamp(token, manifest []byte) (s Stamp, err error) {
	if len(token) > maxStamp {
		return s, errStampLarge
	}
	defer func() { // outside bytes in a parser that is not ours
		if recover() != nil {
			err = errors.New("it is damaged")
		}
	}()
	t, err := timestamp.ParseResponse(token)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return s, fmt.Errorf("it cannot be read, or its signature does not hold: %s", first)
	}
	if !slices.Contains([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}, t.HashAlgorithm) {
		return s, errStampWeak
	}
	h := t.HashAlgorithm.New()
	h.Write(manifest)
	if !bytes.Equal(h.Sum(nil), t.HashedMessage) {
		return s, errStampOther
	}
	s.At = t.Time.UTC()
	if len(t.Certificates) > 0 {
		s.By = t.Certificates[0].Subject.String()
	}
	return s, nil
}

// ErrStamp says that a timestamp token does not belong into a package; the error says why.
var ErrStamp = errors.New("the timestamp token cannot be put in")

// AddStamp puts the answer of a timestamping authority over manifest.json into a package that is intact, and gives the new package's bytes. The
// errors are ErrPackage and ErrStamp.
func AddStamp(raw, token []byte) ([]byte, Stamp, error) {
	r, err := Check(raw, "")
	if err != nil {
		return nil, Stamp{}, err
	}
	switch {
	case !r.Intact():
		return nil, Stamp{}, fmt.Errorf("%w: the package is not intact: %s", ErrStamp, r.Findings[0].Text.EN)
	case r.Timestamp:
		return nil, Stamp{}, fmt.Errorf("%w: one is there already", ErrStamp)
	}
	s, err := readStamp(token, r.files[manifestName])
	if err != nil {
		return nil, s, fmt.Errorf("%w: %w", ErrStamp, err)
	}
	members, err := unpack(raw)
	if err != nil {
		return nil, s, err
	}
	var out bytes.Buffer
	err = pack(&out, append(members, member{timestampName, token}))
	return out.Bytes(), s, err
}
