package audit

import (
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"onsite/results"
)

// ErrProof says that a proof does not hold; the error says what it was to show.
var ErrProof = errors.New("the proof does not hold")

// Inclusion proves that an entry is in a log: whoever has it and the log's public key needs nothing else. All bytes are hex.
type Inclusion struct {
	Entry      Entry    `json:"entry"`
	Nonce      string   `json:"nonce,omitempty"` // 32 bytes; empty where the subject was erased: then only the commitment's place is proven
	Leaf       string   `json:"leaf"`            // hash of the leaf, 32 bytes
	Index      int64    `json:"index"`           // place in the log, from 0
	Path       []string `json:"path"`            // hashes, from the leaf's sibling to the root
	Checkpoint string   `json:"checkpoint"`      // signed head of the tree that Path leads to
}

// Entry is an entry in the words of its document.
type Entry = document

// EntryOf gives an entry in the words of its document.
func EntryOf(a results.AuditEntry) Entry {
	return Entry{Schema, a.ID, a.Tenant, a.At.UnixMilli(), a.Actor, a.Action, a.Subject, a.Target, a.Digest}
}

// Include makes the proof that the leaf at index is in the tree of a head, from the hashes that r reads.
func Include(h Head, index int64, r tlog.HashReader) (leaf string, path []string, err error) {
	one, err := r.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return "", nil, err
	}
	p, err := tlog.ProveRecord(h.Size, index, r)
	if err != nil {
		return "", nil, err
	}
	return hex.EncodeToString(one[0][:]), words(p), nil
}

// Check says whether the proof holds for a checkpoint that the public key signed. Without a public key only the arithmetic is checked.
// The head is that of the checkpoint.
func (p Inclusion) Check(public string) (Head, error) {
	h, err := openWith(p.Checkpoint, public)
	if err != nil {
		return h, err
	}
	leaf, err := hash(p.Leaf)
	if err != nil {
		return h, fmt.Errorf("leaf: %w", err)
	}
	if p.Nonce != "" {
		nonce, err := hex.DecodeString(p.Nonce)
		if err != nil || len(nonce) != SaltBytes {
			return h, fmt.Errorf("nonce: %q is not 32 bytes in hex", p.Nonce)
		}
		if tlog.RecordHash(Commitment(nonce, p.Entry.bytes())) != leaf {
			return h, fmt.Errorf("%w: the entry is not what the leaf commits to", ErrProof)
		}
	}
	path, err := hashes(p.Path)
	if err != nil {
		return h, fmt.Errorf("path: %w", err)
	}
	if err := tlog.CheckRecord(path, h.Size, h.Root, p.Index, leaf); err != nil {
		return h, fmt.Errorf("%w: the leaf is not entry %d of the log of %d: %w", ErrProof, p.Index, h.Size, err)
	}
	return h, nil
}

// Consistency proves that one tree begins with another: nothing of the older one was changed.
type Consistency struct {
	From int64    `json:"from"`
	To   int64    `json:"to"`
	Path []string `json:"path"`
}

// Consist makes the proof that the tree of size to begins with that of size from.
func Consist(from, to int64, r tlog.HashReader) (Consistency, error) {
	p, err := tlog.ProveTree(to, from, r)
	return Consistency{From: from, To: to, Path: words(p)}, err
}

// Check says whether the newer head's tree begins with the older one's.
func (c Consistency) Check(older, newer Head) error {
	path, err := hashes(c.Path)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if err := tlog.CheckTree(path, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("%w: the log of %d entries does not begin with that of %d: %w", ErrProof, newer.Size, older.Size, err)
	}
	return nil
}

func openWith(checkpoint, public string) (Head, error) {
	if public != "" {
		return Open(checkpoint, public)
	}
	return ParseHead(checkpoint) // the signature's lines come after the third, as extensions would
}

func words[P ~[]tlog.Hash](p P) []string {
	out := make([]string, len(p))
	for i, h := range p {
		out[i] = hex.EncodeToString(h[:])
	}
	return out
}

func hashes(path []string) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(path))
	for i, s := range path {
		var err error
		if out[i], err = hash(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func hash(s string) (h tlog.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%q is not 32 bytes in hex", s)
	}
	return tlog.Hash(b), nil
}
