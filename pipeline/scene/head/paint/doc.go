// Package paint draws posters, signs and shopfronts for training the scene heads: text in real fonts over real photos whose licence allows
// it. It exists because no freely licensed photos of shops and posters were to be had; a head that was trained on drawings must be
// measured on photos, and is (docs/heads.md).
//
// What is drawn is bounded by one rule: whatever a drawing has besides its subject, drawings of the other answer have too. So there are
// fronts of houses without a shop, photos in frames without text, and every drawing is blurred, compressed and sometimes turned grey as
// photos are.
//
// The same photos, fonts and seed give the same pictures. The package imports the standard library and golang.org/x/image only.
package paint
