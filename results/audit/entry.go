package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"onsite/results"
)

// SaltBytes is how long a subject's salt is.
const SaltBytes = 32

// ActionErased is the one action about a subject that is salted with the tenant's salt: that somebody was erased must be provable when
// the subject's own salt is gone.
const ActionErased = "subject.erased"

// SaltOf says whose salt an entry's nonce comes from: its subject, or "" for the tenant's own.
func SaltOf(a results.AuditEntry) string {
	if a.Action == ActionErased {
		return ""
	}
	return a.Subject
}

// NewSalt makes a salt.
func NewSalt() []byte {
	b := make([]byte, SaltBytes)
	_, _ = rand.Read(b) // never fails
	return b
}

// Nonce is the 32 bytes that hide one entry. It is given away with an entry that is to be proven; the salt never is, so that one proven
// entry says nothing of the subject's others.
func Nonce(salt []byte, id string) []byte {
	m := hmac.New(sha256.New, salt)
	m.Write([]byte("onsite.audit/1 nonce\x00" + id))
	return m.Sum(nil)
}

// document is the form of an entry that is committed to: these fields in this order, no spaces, UTF-8, only what JSON must escape escaped.
type document struct {
	Schema  string `json:"schema"`
	ID      string `json:"id"`
	Tenant  string `json:"tenant"`
	At      int64  `json:"at"` // Unix time in milliseconds
	Actor   string `json:"actor"`
	Action  string `json:"action"`
	Subject string `json:"subject"`
	Target  string `json:"target"`
	Digest  string `json:"digest"`
}

// Schema is the version of an entry's committed form.
const Schema = "onsite.audit/1"

// Document gives the bytes that an entry's leaf commits to.
func Document(a results.AuditEntry) []byte { return EntryOf(a).bytes() }

// bytes writes it without the escapes that are for HTML pages, so that other people's tools write the same.
func (d document) bytes() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil { // strings and a number
		panic(fmt.Sprintf("write an audit entry: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Commitment is what the tree holds for a document: SHA-256(nonce || document).
func Commitment(nonce, document []byte) []byte {
	h := sha256.New()
	h.Write(nonce)
	h.Write(document)
	return h.Sum(nil)
}

// Leaf is the hash of an entry in the tree: that of its commitment, as RFC 6962 hashes a record.
func Leaf(nonce []byte, a results.AuditEntry) tlog.Hash {
	return tlog.RecordHash(Commitment(nonce, Document(a)))
}

// ErrDamaged says that a hash of the kept tree is not there, or is none.
var ErrDamaged = errors.New("the tree of the audit log is damaged: run \"onsite audit verify\"")

// Hashes makes a reader of a kept tree from what gives its rows, nil for one that is not there, as results.Log's LogHashes does.
func Hashes(rows func(indexes []int64) ([][]byte, error)) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		raw, err := rows(indexes)
		if err != nil {
			return nil, err
		}
		out := make([]tlog.Hash, len(raw))
		for i, h := range raw {
			if len(h) != tlog.HashSize {
				return nil, fmt.Errorf("%w: hash %d is missing or has a wrong length", ErrDamaged, indexes[i])
			}
			out[i] = tlog.Hash(h)
		}
		return out, nil
	})
}

// Grow gives the hashes that the tree of the given size keeps when leaves are added, in the order of their indexes, and the new root. They
// begin at index tlog.StoredHashCount(size). r reads what is kept already.
func Grow(size int64, leaves []tlog.Hash, r tlog.HashReader) (add []tlog.Hash, root tlog.Hash, err error) {
	first := tlog.StoredHashCount(size)
	both := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		var old []int64
		var at []int
		for i, x := range indexes {
			if x < first {
				old, at = append(old, x), append(at, i)
				continue
			}
			if x-first >= int64(len(add)) {
				return nil, fmt.Errorf("the tree of %d leaves has no hash %d", size, x)
			}
			out[i] = add[x-first]
		}
		if len(old) == 0 {
			return out, nil
		}
		kept, err := r.ReadHashes(old)
		for i := range kept {
			out[at[i]] = kept[i]
		}
		return out, err
	})
	for i, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(size+int64(i), leaf, both)
		if err != nil {
			return nil, root, err
		}
		add = append(add, more...)
	}
	root, err = tlog.TreeHash(size+int64(len(leaves)), both)
	return add, root, err
}
