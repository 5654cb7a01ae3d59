package pipeline

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDigestIsWrittenAndRead(t *testing.T) {
	for _, s := range []string{"", strings.Repeat("0a", 32), strings.Repeat("f", 64)} {
		b, err := DigestBytes(s)
		require.NoError(t, err)
		require.Len(t, b, 32)
		require.Equal(t, s, DigestText(b))
	}
	for _, s := range []string{"abc", strings.Repeat("zz", 32), strings.Repeat("ab", 31), strings.Repeat("ab", 33)} {
		_, err := DigestBytes(s)
		require.ErrorContains(t, err, "64 hex digits")
	}
}
