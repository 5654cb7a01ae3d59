package evidence

import (
	"bytes"
	"encoding/asn1"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
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
signer_digest = SIGNER
default_policy = 1.2.3.4
digests = sha1, sha256, sha512, sm3
ess_cert_id_alg = sha256
`

// authority is a timestamping authority of openssl in a folder of its own.
type authority struct {
	testing.TB
	dir string
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	return authorityOf(t, "sha256", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
}

// authorityOf makes one that signs with a hash and a kind of key.
func authorityOf(t testing.TB, hash string, key ...string) authority {
	t.Helper()
	a := authority{t, t.TempDir()}
	a.write("conf", []byte(strings.ReplaceAll(authorityConf, "SIGNER", hash)))
	a.write("serial", []byte("01\n"))
	a.openssl(append([]string{"req", "-x509"}, append(key, "-config", "conf", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2")...)...)
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
	require.True(t, s.SignatureChecked)
	require.Nil(t, s.Unchecked)
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
	require.False(t, s.SignatureChecked)
	require.Equal(t, &noCertificate, s.Unchecked)

	changed := bytes.Clone(token) // the time in it is another second, of the same day
	at := bytes.LastIndex(changed, []byte(r.Stamped.At.Format("20060102150405")))
	require.Positive(t, at)
	changed[at+13] = '0' + (changed[at+13]-'0'+1)%10
	for name, wrong := range map[string]struct {
		token []byte
		want  string
	}{
		"of another file": {a.stamps([]byte("another"), "-sha256", "-cert"), "over another file"},
		"changed":         {changed, "signature does not hold"},
		"no token":        {[]byte("token"), "cannot be read"},
		"cut off":         {token[:len(token)/2], "cannot be read"},
		"large, and none": {bytes.Repeat([]byte("x"), MaxStamp+1), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := AddStamp(raw, wrong.token)
			require.ErrorAs(t, err, new(*StampError))
			r, err := Check(forge(t, raw, func(_ map[string]*[]byte, add func(string, string)) string {
				add(timestampName, string(wrong.token))
				return ""
			}), c.Key.Public)
			require.NoError(t, err)
			require.Equal(t, []string{timestampName}, sorted(r))
			require.Contains(t, r.Findings[0].Text.EN, wrong.want)
			require.NotRegexp(t, "[a-z]{4}", strings.NewReplacer("manifest.json", "").Replace(r.Findings[0].Text.ZH), "one language")
			require.Nil(t, r.Stamped)
		})
	}
	weak := a.stamps(manifest, "-sha1", "-cert")
	_, _, err = AddStamp(raw, weak)
	require.ErrorIs(t, err, errStampWeak)
	r, err = Check(forge(t, raw, func(_ map[string]*[]byte, add func(string, string)) string {
		add(timestampName, string(weak))
		return ""
	}), c.Key.Public)
	require.NoError(t, err)
	require.Empty(t, r.Findings, "it is nothing against the package")
	require.Equal(t, &unknownImprint, r.Stamped.Unchecked)
	a.openssl("req", "-x509", "-key", "key.pem", "-subj", "/CN=A", "-addext", "nsComment="+strings.Repeat("long ", MaxStamp/5), "-out", "long.pem", "-days", "2")
	large := a.signs(token, "-certfile", filepath.Join(a.dir, "long.pem"))
	_, _, err = AddStamp(raw, large)
	require.ErrorIs(t, err, ErrStampLarge)
	s, err = readStamp(large, manifest)
	require.NoError(t, err)
	require.Equal(t, &tooLarge, s.Unchecked)
	_, err = readStamp(large, []byte("another"))
	require.ErrorIs(t, err, errStampOther)
	_, _, err = AddStamp(stamped, token)
	require.ErrorIs(t, err, ErrStamped, "one is there already")
	_, _, err = AddStamp(forge(t, raw, func(map[string]*[]byte, func(string, string)) string { return proofName }), token)
	var damaged *DamagedError
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, []string{proofName}, sorted(damaged.Result))
}

// signs gives the answer of an authority that signs what another one said, with more kinds of keys and forms than "openssl ts" has.
func (a authority) signs(answered []byte, how ...string) []byte {
	a.Helper()
	var first answer
	_, err := asn1.Unmarshal(answered, &first)
	require.NoError(a, err)
	_, content, err := readSigned(first.Token.FullBytes)
	require.NoError(a, err)
	a.write("info", content)
	a.openssl(append([]string{"cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-in", "info", "-econtent_type", oidStampInfo.String(), "-signer", "cert.pem", "-inkey", "key.pem", "-outform", "DER", "-out", "cms"}, how...)...)
	token, err := os.ReadFile(filepath.Join(a.dir, "cms"))
	require.NoError(a, err)
	whole, err := asn1.Marshal(answer{Token: asn1.RawValue{FullBytes: token}})
	require.NoError(a, err)
	return whole
}

// A kind of key, signature or hash that this program does not know is nothing against a token or its package: what it says is shown as not checked. Of
// those that it knows, one that does not hold is found.
func TestKindsOfTimestamps(t *testing.T) {
	manifest := []byte("{}")
	curve := func(name string) authority {
		return authorityOf(t, "sha256", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:"+name)
	}
	rsa, plain, chinese := authorityOf(t, "sha256", "-newkey", "rsa:2048"), curve("P-256"), curve("SM2")
	base := plain.stamps(manifest, "-sha256", "-cert")
	for name, c := range map[string]struct {
		of   authority
		how  []string
		want *pipeline.Text
	}{
		"P-384":            {curve("P-384"), []string{"-md", "sha384"}, nil},
		"RSA":              {rsa, []string{"-md", "sha512"}, nil},
		"SHA-1":            {rsa, []string{"-md", "sha1"}, nil},
		"RSA-PSS":          {rsa, []string{"-md", "sha256", "-keyopt", "rsa_padding_mode:pss"}, &unknownSignature},
		"SHA3":             {rsa, []string{"-md", "sha3-256"}, &unknownSignature},
		"brainpool":        {curve("brainpoolP256r1"), []string{"-md", "sha256"}, &unknownSignature},
		"SM2 in its chain": {rsa, []string{"-md", "sha256", "-certfile", filepath.Join(chinese.dir, "cert.pem")}, &unknownSignature},
		"by a key's id":    {rsa, []string{"-md", "sha256", "-keyid"}, &noCertificate},
		"no certificate":   {rsa, []string{"-md", "sha256", "-nocerts"}, &noCertificate},
		"not the signer's": {rsa, []string{"-md", "sha256", "-nocerts", "-certfile", filepath.Join(plain.dir, "cert.pem")}, &noCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			token := c.of.signs(base, c.how...)
			s, err := readStamp(token, manifest)
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), s.At, time.Minute)
			require.Equal(t, c.want, s.Unchecked)
			require.Equal(t, c.want == nil, s.SignatureChecked)
			require.Equal(t, c.want == nil, s.By != "")
			_, err = readStamp(token, []byte("another"))
			require.ErrorIs(t, err, errStampOther, "what it is over can be seen all the same")
			token[len(token)-1] ^= 1 // of its signature
			if _, err = readStamp(token, manifest); c.want == nil {
				require.ErrorIs(t, err, errStampFails)
			} else {
				require.NoError(t, err)
			}
		})
	}
	s, err := readStamp(plain.stamps(manifest, "-sm3", "-cert"), manifest)
	require.NoError(t, err)
	require.Equal(t, &unknownImprint, s.Unchecked)
	require.False(t, s.SignatureChecked)
}

// The name is that of the certificate which signed, wherever it stands among those that nobody signed for; and there is one signer.
func TestSignerOfTimestamp(t *testing.T) {
	manifest := []byte("{}")
	a, other := newAuthority(t), newAuthority(t)
	base := a.stamps(manifest, "-sha256", "-cert")
	other.openssl("req", "-x509", "-key", "key.pem", "-subj", "/CN=A", "-out", "cert.pem", "-days", "2")
	s, err := readStamp(a.signs(base, "-certfile", filepath.Join(other.dir, "cert.pem")), manifest)
	require.NoError(t, err)
	require.Equal(t, "CN=Authority of a test", s.By)
	_, err = readStamp(a.signs(base, "-signer", filepath.Join(other.dir, "cert.pem"), "-inkey", filepath.Join(other.dir, "key.pem")), manifest)
	require.ErrorIs(t, err, errStampSigners)
}

// The library takes time that grows with the square of how deep a token is nested: the bound keeps that short.
func BenchmarkStampNested(b *testing.B) {
	var a answer
	_, err := asn1.Unmarshal(newAuthority(b).stamps([]byte("{}"), "-sha256"), &a)
	require.NoError(b, err)
	var outer cmsContent
	_, err = asn1.Unmarshal(a.Token.FullBytes, &outer)
	require.NoError(b, err)
	var in cmsSigned
	_, err = asn1.Unmarshal(outer.Content.Bytes, &in)
	require.NoError(b, err)
	certs := []byte{}
	for len(certs) < MaxStamp-1000 {
		certs, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: certs})
		require.NoError(b, err)
	}
	in.Certs = asn1.RawValue{Class: 2, IsCompound: true, Bytes: certs}
	inner, err := asn1.Marshal(in)
	require.NoError(b, err)
	outer.Content = asn1.RawValue{Class: 2, IsCompound: true, Bytes: inner}
	token, err := asn1.Marshal(outer)
	require.NoError(b, err)
	a.Token = asn1.RawValue{FullBytes: token}
	whole, err := asn1.Marshal(a)
	require.NoError(b, err)
	require.Less(b, len(whole), MaxStamp)
	for b.Loop() {
		s, err := readStamp(whole, []byte("{}"))
		require.NoError(b, err)
		require.False(b, s.SignatureChecked)
	}
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
