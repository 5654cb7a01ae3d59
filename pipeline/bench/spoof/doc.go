// Package spoof makes a presentation-attack suite from real clips: printed photos, phones and monitors that play a clip, stills that are moved
// about, loops, splices, frozen pictures and the patterns of virtual cameras. ffmpeg must be on the PATH; everything else is drawn here.
//
// What is made this way is an imitation, good enough to find out what a detector cannot see, and not good enough to promise what it can: the
// moire, the glare and the hand are drawn from formulas. Real attacks are measured beside it and reported apart.
//
// Beside the attacks stand the honest clips that they were made of, some of them coded again, shaken and made noisy in the same way, so that
// nothing can be told apart by the traces of the making. All choices come from a hash of seed, clip and species: adding a clip or a species
// never changes the others. It may import the standard library alone.
package spoof
