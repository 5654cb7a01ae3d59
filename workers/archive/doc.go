// Package archive answers which earlier jobs of a tenant show pictures like these, over all of its footage (Find).
//
// The hashes of frames are in the results store, which is the truth. An Archive keeps an index of them in memory (pipeline/reuse/index):
// Run fills it in the background from its last snapshot and the store, and follows the store's feed by bell and by poll, so that a new
// clip is found by every worker within a second. Deleted ones leave it as quickly, and its snapshot within hours. Without an index, Find
// reads the store's rows: the same answers, for installations that are small.
//
// An answer is about the jobs accepted before one job, at positions up to one of the feed. Where the index is not yet that far, Find brings
// it there, waits, or reads the store: it never answers from less.
//
// The index may be one shard of all clips. Find then asks the workers that hold the others, over HTTP (Handler), and merges; the share of one
// that does not answer is read from the store's rows.
//
// It imports results and pipeline/reuse/index. No hash leaves it but into the index.
package archive
