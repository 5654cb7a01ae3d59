package pipeline

import (
	"encoding/hex"
	"fmt"
)

// DigestBytes gives the 32 bytes of a sha256 that is written as 64 hex digits, as binary forms store it; the empty digest (not known) is
// 32 zeroes. Everything else is an error.
func DigestBytes(s string) ([]byte, error) {
	if s == "" {
		return make([]byte, 32), nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		return nil, fmt.Errorf("%q is not 64 hex digits", s)
	}
	return b, nil
}

// DigestText is the way back: 64 hex digits, or the empty text for zeroes.
func DigestText(b []byte) string {
	for _, x := range b {
		if x != 0 {
			return hex.EncodeToString(b)
		}
	}
	return ""
}
