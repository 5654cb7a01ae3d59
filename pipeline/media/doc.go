// Package media turns one outside file into pixels: it probes, applies limits, runs the sandboxed decoder child (cmd/onsite-decode) and
// gives back frames in display orientation, a grey motion track, packet facts and audio.
//
// It is the only way in for outside bytes. It may import gocv and the standard library, package pipeline for its words and package
// models for byte views; it decodes nothing itself.
package media
