// Package copies measures the reuse check on a suite of package attack: what share of the copies is found per transform, and how much
// honest footage is called a copy, look-alikes (hard) and strangers (easy) apart.
//
// Thresholds are chosen on one half of the scene families and reported on the other, over many splits; beside that stands the threshold
// that the product uses. Intervals come from resampling families, because pairs of one person and place are no independent samples. Plain
// perceptual hashes run beside it on the same stills, each with the best threshold that the same protocol gives it.
//
// It may import the packages pipeline, pipeline/reuse, pipeline/reuse/index and pipeline/bench/attack.
package copies
