// Package reuse answers "same recording, or another take?": it fingerprints a clip or photo (Compute), and compares a fingerprint with
// earlier ones (Check).
//
// Two stages. Stage A asks whether the same content is in view: perceptual hashes in all eight mirrored and rotated forms, and SIFT
// points with their geometry. That alone calls an honest colleague at the same desk a copy, so it never proves anything. Stage B asks
// whether it is the same recording: the motion of the query, registered to the earlier clip, must agree with it in time, over more
// independent samples than chance allows (score S, file score.go). Only stage B, or identical bytes, gives footage_reused.
//
// It may import gocv (SIFT and homographies alone; no decoding), gonum (dot products, FFT), the packages pipeline, pipeline/media and models
// (for byte views); one loop is in C (distance.c: codes against codes). It keeps no picture: a fingerprint holds hashes, descriptors, a 32 x 32 grey motion grid and sound hashes
// (docs/fingerprint.md). Package index below it looks hashes up in the whole archive.
package reuse
