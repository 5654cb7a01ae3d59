// Package evidence makes and checks evidence packages: one zip file with a verdict, the pictures and inputs that it rests on, its place in
// the tamper-evident log, and a signature over all of it. Whoever has the file and the log's public key can check it without a server, without
// a network, and without this program (docs/evidence.md has the recipe).
//
// It may import results, package audit for the log's proofs, and the core's words, policy and report. It reads no store: the caller hands
// it what goes in.
package evidence
