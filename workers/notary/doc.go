// Package notary keeps the tamper-evident log going: it gives audit entries their places in their tenant's Merkle log, signs the log's head
// as a checkpoint, and tells witnesses of it, so that whoever rewrites the log later has something outside against them.
//
// One process at a time plays the notary; entries are written without it, in the transactions of what they are about. It may import
// results, workers and client libraries, nothing of the core or the API.
package notary
