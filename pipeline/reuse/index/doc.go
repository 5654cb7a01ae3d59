// Package index finds, among very many 256-bit picture hashes, those within a small Hamming distance of a clip's hashes: exactly, not
// nearly (New and Open, Search).
//
// Method: multi-index hashing (Norouzi, Punjani, Fleet: "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012, with the
// bound of section 3.1 of its long form, arXiv 1307.2982). A hash is cut into m disjoint chunks, each with its own table of buckets. Two
// hashes within r bits agree in some chunk but for r/m bits, so that looking into the few buckets around each chunk finds all of them,
// and comparing what lies there leaves no false ones. Small parts have 16 chunks of 16 bits, large ones 11 of up to 23 (scheme.go says
// why); the smallest are looked through.
//
// Each tenant has its own partition. A partition is a list of segments that are never changed, and a tail to which clips are added. A
// segment is one block of bytes: flat arrays, no objects. The same bytes are the file of a snapshot, which is mapped into memory
// (format.go). Removed clips are gone from results at once, and from memory and file when the segment is next written (Snapshot).
//
// The index is a copy: whoever uses it keeps the truth elsewhere, fills it from there, and can do without it: Scan gives the same
// results from clips that are handed to it one by one.
//
// An index may hold one shard of all clips (shard.go). Each shard's Part and Merge then give what one index would; wire.go is the form in which
// processes ask each other.
//
// It imports the standard library and golang.org/x/sys/unix, and writes no hash into a log or an error.
package index
