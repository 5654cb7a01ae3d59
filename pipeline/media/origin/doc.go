// Package origin reads what a file says about how it was made: boxes, tracks and edit lists of an mp4 or mov, EXIF and XMP of a photo,
// positions, and whether a C2PA manifest is there (its presence alone: no library that could validate one is at hand, and it says so).
//
// The bytes come from outside: Movie and Still run in the decoder child, read a bounded number of bytes, and give bounded texts. What
// comes back is still what a stranger says; Facts.Clean cuts it again on the parent's side. Sources: ISO/IEC 14496-12 (boxes), Apple's
// QuickTime File Format, CIPA DC-008 (EXIF), ISO 6709 annex H (positions), C2PA Technical Specification 2.1 (where manifests lie).
package origin
