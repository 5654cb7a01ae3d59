package evidence

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha512" // authorities may be asked with it
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/digitorus/pkcs7"

	"onsite/pipeline"
)

// MaxStamp bounds the answer of a timestamping authority whose signature is checked, in bytes: one with a chain of three RSA-4096 certificates has about 6 KiB, and the parser takes
// time that grows with the square.
const MaxStamp = 16 << 10

// Stamp is what a token of a timestamping authority (RFC 3161) says. Whether the authority is one to be believed is not looked at: that is for
// whoever has its certificate (openssl ts -verify).
type Stamp struct {
	At time.Time `json:"at"`
	By string    `json:"by,omitempty"` // subject of the certificate in the token that signed it; empty: its signature was not checked
	// SignatureChecked says that the token is over the manifest and signed by a certificate in it. Without that anybody may have written the time.
	SignatureChecked bool           `json:"signature_checked"`
	Unchecked        *pipeline.Text `json:"unchecked,omitempty"` // why it was not

	weak bool // over a hash that nobody should ask with
}

// StampError says why a timestamp token does not hold.
type StampError struct{ Text pipeline.Text }

func (e *StampError) Error() string { return e.Text.EN }

// ErrStampLarge is for an answer that has over MaxStamp bytes.
var ErrStampLarge = &StampError{pipeline.Text{EN: fmt.Sprintf("it has over %d KiB", MaxStamp>>10), ZH: fmt.Sprintf("超过 %d KiB", MaxStamp>>10)}}

var (
	errStampRead    = &StampError{pipeline.Text{EN: "it cannot be read as the answer of a timestamping authority (RFC 3161)", ZH: "无法作为时间戳机构的答复（RFC 3161）读取"}}
	errStampRefused = &StampError{pipeline.Text{EN: "the authority did not grant it", ZH: "时间戳机构未予签发"}}
	errStampOther   = &StampError{pipeline.Text{EN: "it is over another file than this manifest.json", ZH: "它针对的不是此 manifest.json"}}
	errStampSigners = &StampError{pipeline.Text{EN: "it has not one signer, as a timestamp has", ZH: "时间戳应有且仅有一个签名者"}}
	errStampFails   = &StampError{pipeline.Text{EN: "its signature does not hold: it was changed", ZH: "签名不成立：已被改动"}}
	errStampWeak    = &StampError{pipeline.Text{EN: "it is over another hash than SHA-256, SHA-384 or SHA-512; ask for one with: openssl ts -query -sha256", ZH: "所用哈希不是 SHA-256、SHA-384 或 SHA-512；请这样申请：openssl ts -query -sha256"}}
)

// Why the signature of a token was not checked, which is nothing against it.
var (
	tooLarge         = pipeline.Text{EN: ErrStampLarge.Text.EN, ZH: ErrStampLarge.Text.ZH}
	noCertificate    = pipeline.Text{EN: "the certificate of its signer is not in it, or it names it by a key's id", ZH: "其中没有签名者的证书，或以密钥标识指明"}
	unknownSignature = pipeline.Text{EN: "its certificates or its signature are of a kind that this program does not know", ZH: "本程序不支持其证书或签名的种类"}
	unknownImprint   = pipeline.Text{EN: "it is over a hash that this program does not take (SHA-256, SHA-384 and SHA-512 are), so it was not compared with the manifest either", ZH: "本程序不采用其哈希（仅 SHA-256、SHA-384、SHA-512），因此也未与清单比对"}
)

// imprints are the hashes that a token may be over, and weak those that nobody should ask with; by their object identifiers.
var (
	imprints = map[string]crypto.Hash{
		pkcs7.OIDDigestAlgorithmSHA256.String(): crypto.SHA256, pkcs7.OIDDigestAlgorithmSHA384.String(): crypto.SHA384, pkcs7.OIDDigestAlgorithmSHA512.String(): crypto.SHA512,
	}
	weak = []string{pkcs7.OIDDigestAlgorithmSHA1.String(), "1.2.840.113549.2.5"}
)

// What is read of an answer, as RFC 3161 (section 2.4.2) and RFC 5652 (section 5.1) have it; elements that may follow are left out.
type (
	answer struct {
		Status struct{ Status int }
		Token  asn1.RawValue `asn1:"optional"`
	}
	cmsContent struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	cmsSigned struct {
		Version int
		Digests asn1.RawValue
		Content cmsContent
		Certs   asn1.RawValue   `asn1:"optional,tag:0"`
		CRLs    asn1.RawValue   `asn1:"optional,tag:1"`
		Signers []asn1.RawValue `asn1:"set"`
	}
	stampInfo struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint struct {
			Hash pkix.AlgorithmIdentifier
			Sum  []byte
		}
		Serial *big.Int
		Time   time.Time `asn1:"generalized"`
	}
)

var oidStampInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}

// readStamp reads an answer of a timestamping authority over the manifest. The error is a StampError, for one that is damaged, over something else,
// or not what its certificate signed. What cannot be examined here is no error: the stamp says so.
func readStamp(token, manifest []byte) (s Stamp, err error) {
	defer func() { // outside bytes in a parser that is not ours
		if recover() != nil {
			s, err = Stamp{}, errStampRead
		}
	}()
	var a answer
	if rest, err := asn1.Unmarshal(token, &a); err != nil || len(rest) > 0 {
		return s, errStampRead
	}
	if a.Status.Status > 1 { // granted, or granted with changes
		return s, errStampRefused
	}
	signed, content, err := readSigned(a.Token.FullBytes)
	if err != nil {
		return s, err
	}
	var info stampInfo
	if _, err := asn1.Unmarshal(content, &info); err != nil {
		return s, errStampRead
	}
	s.At = info.Time.UTC()
	kind := info.Imprint.Hash.Algorithm.String()
	hash, ok := imprints[kind]
	if !ok {
		s.Unchecked, s.weak = &unknownImprint, slices.Contains(weak, kind)
		return s, nil
	}
	h := hash.New()
	h.Write(manifest)
	if !bytes.Equal(h.Sum(nil), info.Imprint.Sum) {
		return Stamp{}, errStampOther
	}
	switch {
	case len(token) > MaxStamp:
		s.Unchecked = &tooLarge
		return s, nil
	case signed == nil:
		s.Unchecked = &unknownSignature
		return s, nil
	}
	signer := signed.GetOnlySigner()
	if signer == nil {
		s.Unchecked = &noCertificate
		return s, nil
	}
	switch err := signed.Verify(); {
	case err == nil:
		s.By, s.SignatureChecked = signer.Subject.String(), true
	case fails(err):
		return Stamp{}, errStampFails
	default:
		s.Unchecked = &unknownSignature
	}
	return s, nil
}

// readSigned opens a token: what it signs, and the token for its signature to be checked; nil where the library does not know its certificates or its form, and for one that is too large for it.
func readSigned(raw []byte) (p *pkcs7.PKCS7, content []byte, err error) {
	var outer cmsContent
	var in cmsSigned
	if _, err := asn1.Unmarshal(raw, &outer); err != nil || !outer.Type.Equal(pkcs7.OIDSignedData) {
		return nil, nil, errStampRead
	}
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &in); err != nil || !in.Content.Type.Equal(oidStampInfo) {
		return nil, nil, errStampRead
	}
	if _, err := asn1.Unmarshal(in.Content.Content.Bytes, &content); err != nil {
		return nil, nil, errStampRead
	}
	if len(in.Signers) != 1 {
		return nil, nil, errStampSigners
	}
	if len(raw) > MaxStamp {
		return nil, content, nil
	}
	p, err = pkcs7.Parse(raw)
	if err != nil || !bytes.Equal(p.Content, content) {
		return nil, content, nil //nolint:nilerr // the library does not know it, which is nothing against the token
	}
	return p, content, nil
}

// fails says that a signature was checked and does not hold, and not only that it is of an unknown kind. The errors for elliptic curves have no other
// mark than their text.
func fails(err error) bool {
	var digest *pkcs7.MessageDigestMismatchError
	return errors.As(err, &digest) || errors.Is(err, rsa.ErrVerification) || strings.HasSuffix(err.Error(), "verification failure")
}

// ErrStamped says that a package has a timestamp already.
var ErrStamped = errors.New("the package has a timestamp already")

// DamagedError says that a package is not intact.
type DamagedError struct{ Result *Result }

func (e *DamagedError) Error() string {
	return "the package is not intact: " + e.Result.Findings[0].Text.EN
}

// AddStamp puts the answer of a timestamping authority over manifest.json into a package that is intact, and gives the new package's bytes. What is
// wrong with the package is a PackageError, a DamagedError or ErrStamped, and what is wrong with the answer a StampError.
func AddStamp(raw, token []byte) ([]byte, Stamp, error) {
	r, err := Check(raw, "")
	if err != nil {
		return nil, Stamp{}, err
	}
	switch {
	case !r.Intact():
		return nil, Stamp{}, &DamagedError{r}
	case r.Timestamp:
		return nil, Stamp{}, ErrStamped
	case len(token) > MaxStamp:
		return nil, Stamp{}, ErrStampLarge
	}
	s, err := readStamp(token, r.files[manifestName])
	if err != nil {
		return nil, s, err
	}
	if s.weak {
		return nil, s, errStampWeak
	}
	members, err := unpack(raw)
	if err != nil {
		return nil, s, err
	}
	var out bytes.Buffer
	err = pack(&out, append(members, member{timestampName, token}))
	return out.Bytes(), s, err
}
