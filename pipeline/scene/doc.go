// Package scene answers "is this the right place?" from what the site has enrolled: reference pictures of its logo, storefront, posters
// and desk area, and the names to read on its sign.
//
// The order is the order of strength: enrolled references first (SIFT keypoints and a plausible homography, package-internal matcher),
// then words on signs (text detection and recognition, name matching that tolerates reading errors). Every wanted element gets an outcome
// of its own; what was not looked at is not_checked, never fail. Not finding something never says that the place is a different one: only
// contradicting evidence could, and this version has none.
//
// What planar matching cannot do: it finds flat things (signs, posters, a storefront from about the same side). A desk or a room from
// another angle is mostly missed, so a desk that is not found is uncertain, never fail.
//
// The package does pixel work: it may import gocv, package media for clips and byte views, package pipeline for its words and package
// models for the byte views of the text models. It decodes nothing (reference photos come through the decode function that the caller
// gives to Prepare) and keeps no state besides a prepared Site.
package scene
