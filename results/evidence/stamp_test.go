package evidence

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const authorityConf = `
[req]
distinguished_name = name
prompt = no
x509_extensions = stamps
[name]
CN = Authority of a test
[stamps]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha1, sha256, sha512
ess_cert_id_alg = sha256
`

// authority is a timestamping authority of openssl in a folder of its own.
type authority struct {
	testing.TB
	dir string
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	a := authority{t, t.TempDir()}
	a.write("conf", []byte(authorityConf))
	a.write("serial", []byte("01\n"))
	a.openssl("req", "-x509", "-config", "conf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2")
	return a
}

func (a authority) write(name string, data []byte) {
	a.Helper()
	require.NoError(a, os.WriteFile(filepath.Join(a.dir, name), data, 0o600))
}

func (a authority) openssl(args ...string) string {
	a.Helper()
	cmd := exec.CommandContext(a.Context(), "openssl", args...)
	cmd.Dir = a.dir
	out, err := cmd.CombinedOutput()
	require.NoError(a, err, string(out))
	return string(out)
}

// stamps gives the authority's answer to a request that was made of a file.
func (a authority) stamps(file []byte, query ...string) []byte {
	a.Helper()
	a.write("file", file)
	a.openssl(append([]string{"ts", "-query", "-data", "file", "-out", "tsq"}, query...)...)
	a.openssl("ts", "-reply", "-config", "conf", "-section", "here", "-queryfile", "tsq", "-signer", "cert.pem", "-inkey", "key.pem", "-out", "tsr")
	token, err := os.ReadFile(filepath.Join(a.dir, "tsr"))
	require.NoError(a, err)
	return token
}

// A token that openssl makes of the manifest goes in and is read, openssl verifies it from what lies in the package, and a wrong one is named.
func TestTimestampToken(t *testing.T) {
	c := content(t)
	raw := made(t, c)
	members, err := unpack(raw)
	require.NoError(t, err)
	manifest := func() []byte {
		for _, m := range members {
			if m.name == manifestName {
				return m.data
			}
		}
		return nil
	}()
	a := newAuthority(t)
	token := a.stamps(manifest, "-sha256", "-cert")
	stamped, s, err := AddStamp(raw, token)
	require.NoError(t, err)
	require.Equal(t, "CN=Authority of a test", s.By)
	require.WithinDuration(t, time.Now(), s.At, time.Minute)
	r, err := Check(stamped, c.Key.Public)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.True(t, r.Timestamp)
	require.Equal(t, &s, r.Stamped)
	a.write("manifest.json", r.files[manifestName])
	a.write("timestamp.tsr", r.files[timestampName])
	require.Contains(t, a.openssl("ts", "-verify", "-data", "manifest.json", "-in", "timestamp.tsr", "-CAfile", "cert.pem"), "OK")

	bare := a.stamps(manifest, "-sha512")
	_, s, err = AddStamp(raw, bare)
	require.NoError(t, err, "the answer need not have the certificate in it")
	require.Empty(t, s.By)

	changed := bytes.Clone(token) // the time in it is another second, of the same day
	at := bytes.LastIndex(changed, []byte(r.Stamped.At.Format("20060102150405")))
	require.Positive(t, at)
	changed[at+13] = '0' + (changed[at+13]-'0'+1)%10
	for name, wrong := range map[string]struct {
		token []byte
		want  string
	}{
		"of another file": {a.stamps([]byte("another"), "-sha256", "-cert"), "over another file"},
		"of a weak hash":  {a.stamps(manifest, "-sha1", "-cert"), "another hash than"},
		"changed":         {changed, "digest mismatch"},
		"no token":        {[]byte("token"), "cannot be read"},
		"cut off":         {token[:len(token)/2], "cannot be read"},
		"too large":       {bytes.Repeat([]byte("x"), maxStamp+1), "KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := AddStamp(raw, wrong.token)
			require.ErrorIs(t, err, ErrStamp)
			r, err := Check(forge(t, raw, func(_ map[string]*[]byte, add func(string, string)) string {
				add(timestampName, string(wrong.token))
				return ""
			}), c.Key.Public)
			require.NoError(t, err)
			require.Equal(t, []string{timestampName}, sorted(r))
			require.Contains(t, r.Findings[0].Text.EN, wrong.want)
			require.Nil(t, r.Stamped)
		})
	}
	_, _, err = AddStamp(stamped, token)
	require.ErrorIs(t, err, ErrStamp, "one is there already")
	_, _, err = AddStamp(forge(t, raw, func(map[string]*[]byte, func(string, string)) string { return proofName }), token)
	require.ErrorContains(t, err, "not intact")
}

func FuzzStamp(f *testing.F) {
	manifest := []byte("{}")
	token := newAuthority(f).stamps(manifest, "-sha256", "-cert")
	f.Add(token)
	f.Add(token[9:])
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := readStamp(raw, manifest)
		require.True(t, err != nil || !s.At.IsZero())
	})
}
