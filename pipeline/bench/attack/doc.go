// Package attack makes a reuse test suite from any clips and photos: a library of cuts, and what a cheat would do to them (re-encoding,
// cropping, mirroring, overlays, filming a screen, other speeds, splices), with ffmpeg, which must be on the PATH.
//
// Beside the copies stand the honest clips that look most like them: a later part of the same take, other clips of the same person and
// place, other people at the same place. A detector that is measured without those is measured on the easy half of its task.
//
// All choices come from a hash of seed, clip and transform: adding a clip or a transform never changes the others. It may import the
// package pipeline alone.
package attack
