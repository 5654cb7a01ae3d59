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
// A room from another angle is compared as a whole: an embedding of the picture against those of 3 to 5 photos, measured in deviations
// above what strangers reach (roomMatcher). Objects (screens, laptops, keyboards, desks, chairs, books, people) come from two detectors
// that were trained on everyday photos; they say that something is in view, never that it is missing. Neither knows a filing cabinet: that
// one is looked for through the site's own references.
//
// The package does pixel work: it may import gocv, package media for clips and byte views, package pipeline for its words and package
// models for the byte views of the text models. It decodes nothing (reference photos come through the decode function that the caller
// gives to Prepare) and keeps no state besides a prepared Site.
package scene
