package vault

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// kekBytes is the length of a key-encryption key: AES-256.
const kekBytes = 32

// ErrKEK says that a text or file holds no usable key-encryption key. It never holds the text itself.
var ErrKEK = errors.New("not a key-encryption key")

// KEK wraps subjects' keys. It is made by NewKEK, LoadKEK or KEKFromEnv and never printed.
type KEK struct {
	id   string
	raw  []byte
	aead tink.AEAD
}

// ID names the key without telling it: what was wrapped by another one is recognised.
func (k KEK) ID() string { return k.id }

// String keeps the key out of logs.
func (k KEK) String() string { return "KEK " + k.id }

// GoString keeps the key out of %#v.
func (k KEK) GoString() string { return k.String() }

// Derive gives n bytes for another purpose that every process of an installation must agree on (the secret of cursors and upload links).
// Nothing about the key follows from them.
func (k KEK) Derive(purpose string, n int) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, k.raw, nil, "onsite "+purpose, n)
	if err != nil {
		return nil, fmt.Errorf("derive a secret for %s: %w", purpose, err)
	}
	return b, nil
}

func newKEK(raw []byte) (KEK, error) {
	a, err := subtle.NewAESGCM(raw)
	if err != nil {
		return KEK{}, fmt.Errorf("%w: %w", ErrKEK, err)
	}
	sum := sha256.Sum256(append([]byte("onsite kek id\x00"), raw...))
	return KEK{id: hex.EncodeToString(sum[:6]), raw: raw, aead: a}, nil
}

// KEKFromEnv reads a key from a text: base64 of 32 random bytes, as NewKEK writes it and "openssl rand -base64 32" makes it.
func KEKFromEnv(text string) (KEK, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return KEK{}, fmt.Errorf("%w: it is not base64", ErrKEK) // the cause would quote the text
	}
	if len(raw) != kekBytes {
		return KEK{}, fmt.Errorf("%w: %d bytes instead of %d", ErrKEK, len(raw), kekBytes)
	}
	if same(raw) {
		return KEK{}, fmt.Errorf("%w: all of its bytes are the same", ErrKEK)
	}
	return newKEK(raw)
}

func same(b []byte) bool {
	for _, c := range b {
		if c != b[0] {
			return false
		}
	}
	return true
}

// LoadKEK reads a key from a file that nobody but its owner may read. fs.ErrNotExist when there is none.
func LoadKEK(path string) (KEK, error) {
	f, err := os.Open(path)
	if err != nil {
		return KEK{}, fmt.Errorf("read the key-encryption key: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return KEK{}, fmt.Errorf("read the key-encryption key %s: %w", path, err)
	}
	if !st.Mode().IsRegular() {
		return KEK{}, fmt.Errorf("read the key-encryption key: %w: %s is no file", ErrKEK, path)
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return KEK{}, fmt.Errorf("read the key-encryption key: %w: others than its owner may use %s (mode %04o); run chmod 600 %s", ErrKEK, path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return KEK{}, fmt.Errorf("read the key-encryption key %s: %w", path, err)
	}
	k, err := KEKFromEnv(string(text))
	if err != nil {
		return KEK{}, fmt.Errorf("read the key-encryption key %s: %w", path, err)
	}
	return k, nil
}

// NewKEK makes a key and writes it to a new file that only its owner may read. fs.ErrExist when there is one.
func NewKEK(path string) (KEK, error) {
	k, err := writeKEK(path)
	if err != nil {
		return KEK{}, fmt.Errorf("make the key-encryption key %s: %w", path, err)
	}
	return k, nil
}

// writeKEK writes the whole file beside its name before it gets the name: a crash leaves either no key or one that can be read again.
func writeKEK(path string) (k KEK, err error) {
	raw := make([]byte, kekBytes)
	if _, err := rand.Read(raw); err != nil {
		return KEK{}, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return KEK{}, err
	}
	if _, err := os.Lstat(path); err == nil {
		return KEK{}, fs.ErrExist
	}
	temp, err := os.CreateTemp(dir, ".kek-*") // 0600
	if err != nil {
		return KEK{}, err
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(raw) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return KEK{}, err
	}
	if err := os.Link(temp.Name(), path); err != nil { // fails when another process was quicker; a rename would replace its key
		return KEK{}, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return KEK{}, err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return KEK{}, err
	}
	return newKEK(raw)
}
