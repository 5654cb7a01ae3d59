package results_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

func TestSigningKeysRotate(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	k, err := results.NewSigningKeys(now)
	require.NoError(t, err)
	require.Len(t, k.At(now), 1)
	first := k.Signers[0]

	k, err = k.Rotated(now.Add(time.Hour), 24*time.Hour)
	require.NoError(t, err)
	require.Len(t, k.Signers, 2)
	require.NotEqual(t, first.Secret, k.Signers[0].Secret)
	require.Equal(t, first.Secret, k.Signers[1].Secret)
	require.Len(t, k.At(now.Add(24*time.Hour)), 2)
	require.Len(t, k.At(now.Add(25*time.Hour)), 1, "the old key ends with the overlap")
	require.Equal(t, k.Signers[0], k.At(now.Add(25 * time.Hour))[0])

	// A second rotation never lengthens the life of an old key.
	again, err := k.Rotated(now.Add(2*time.Hour), 48*time.Hour)
	require.NoError(t, err)
	require.Equal(t, k.Signers[1].EndsAt, again.Signers[2].EndsAt)

	// A leaked key ends at once.
	now2, err := again.Rotated(now.Add(3*time.Hour), 0)
	require.NoError(t, err)
	require.Len(t, now2.Signers, 1)

	for range 10 {
		again, err = again.Rotated(now.Add(2*time.Hour), time.Hour)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(again.Signers), 4)
}

func TestSigningKeysKeepTheirForm(t *testing.T) {
	k, err := results.NewSigningKeys(time.Now())
	require.NoError(t, err)
	raw, err := k.Marshal()
	require.NoError(t, err)
	back, err := results.ParseSigningKeys(raw)
	require.NoError(t, err)
	require.Equal(t, k.Signers[0].Secret, back.Signers[0].Secret)

	secret, err := back.Signers[0].HMAC()
	require.NoError(t, err)
	require.Len(t, secret, 32)
	private, err := back.Signers[0].Ed25519()
	require.NoError(t, err)
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(back.Signers[0].Public(), "whpk_"))
	require.NoError(t, err)
	require.True(t, ed25519.Verify(public, []byte("m"), ed25519.Sign(private, []byte("m"))))
}

func TestParseSigningKeysRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"no JSON":       "{",
		"none":          `{"signers":[]}`,
		"short secret":  `{"signers":[{"secret":"whsec_QUJD","private":"whsk_QUJD"}]}`,
		"wrong prefix":  `{"signers":[{"secret":"QUJD","private":"QUJD"}]}`,
		"short private": `{"signers":[{"secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz","private":"whsk_QUJD"}]}`,
	} {
		_, err := results.ParseSigningKeys([]byte(raw))
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "QUJD", name)
	}
}
