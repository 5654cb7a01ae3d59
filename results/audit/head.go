package audit

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Head is the state of a tenant's log: so many entries, with this root.
type Head struct {
	Origin string // which log: Origin(tenant)
	Size   int64
	Root   tlog.Hash
}

// Origin names a tenant's log. It is also the name of its key.
func Origin(tenant string) string { return "onsite.audit/" + tenant }

// Text is a head as C2SP's tlog-checkpoint writes it: three lines.
func (h Head) Text() string { return fmt.Sprintf("%s\n%d\n%s\n", h.Origin, h.Size, h.Root) }

// ErrHead is why a checkpoint was refused; the error says more.
var ErrHead = errors.New("not a checkpoint of an audit log")

// ParseHead reads the text of a checkpoint. Lines after the third are extensions, and ignored.
func ParseHead(text string) (Head, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return Head{}, fmt.Errorf("%w: it must have three lines: origin, size, root", ErrHead)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Head{}, fmt.Errorf("%w: %q is not a size", ErrHead, lines[1])
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Head{}, fmt.Errorf("%w: %q is not a root of 32 bytes", ErrHead, lines[2])
	}
	return Head{Origin: lines[0], Size: size, Root: tlog.Hash(root)}, nil
}

// Key is a log's Ed25519 key.
type Key struct {
	Secret string // PRIVATE+KEY+<name>+...: signs; kept sealed
	Public string // <name>+<hash>+<base64>: what an auditor pins
}

// NewKey makes the key of a tenant's log.
func NewKey(tenant string) (Key, error) {
	secret, public, err := note.GenerateKey(rand.Reader, Origin(tenant))
	if err != nil {
		return Key{}, fmt.Errorf("make the key of an audit log: %w", err)
	}
	return Key{Secret: secret, Public: public}, nil
}

// Sign gives the signed checkpoint of a head.
func Sign(h Head, secret string) (string, error) {
	s, err := note.NewSigner(secret)
	if err != nil {
		return "", fmt.Errorf("use the key of an audit log: %w", err)
	}
	text, err := note.Sign(&note.Note{Text: h.Text()}, s)
	if err != nil {
		return "", fmt.Errorf("sign a checkpoint: %w", err)
	}
	return string(text), nil
}

// ReadKey reads a log's public key. A mistyped one is told by the hash in it.
func ReadKey(public string) (note.Verifier, error) {
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("%q is not a public key of an audit log (name+hash+base64): %w", public, err)
	}
	return v, nil
}

// CheckKey says what is wrong with the public key of a tenant's log.
func CheckKey(public, tenant string) error {
	v, err := ReadKey(public)
	if err != nil {
		return err
	}
	if v.Name() != Origin(tenant) {
		return fmt.Errorf("the key is of %q, and the log is %q", v.Name(), Origin(tenant))
	}
	return nil
}

// Open reads a signed checkpoint and checks its signature with a public key. The error is ErrHead, or says which signature is wanted.
func Open(checkpoint, public string) (Head, error) {
	v, err := ReadKey(public)
	if err != nil {
		return Head{}, err
	}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(v))
	if err != nil {
		return Head{}, fmt.Errorf("the checkpoint is not signed by %s: %w", public, err)
	}
	h, err := ParseHead(n.Text)
	if err == nil && h.Origin != v.Name() {
		err = fmt.Errorf("%w: it is of %q, and the key is of %q", ErrHead, h.Origin, v.Name())
	}
	return h, err
}
