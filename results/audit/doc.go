// Package audit is the arithmetic of the tamper-evident log: how an entry becomes a leaf, how leaves become a Merkle tree, how a tree's
// head is signed, and how all of it is checked again.
//
// The tree is that of RFC 6962 (golang.org/x/mod/sumdb/tlog), a head is signed as a note of C2SP's signed-note and tlog-checkpoint
// (golang.org/x/mod/sumdb/note), so that other people's tools can check both. A leaf is a commitment, SHA-256(nonce || entry): the nonce
// comes from a salt of the entry's subject, so that after the salt was erased nobody can tell whose leaf it was, not even by trying all
// employees, while every proof about the tree goes on to hold.
//
// The package keeps nothing: the results store holds entries, salts, hashes and heads. It may import results and x/mod, nothing else of
// the program.
package audit
