// Package models runs ONNX models for the verification core: manifests, ONNX Runtime sessions, typed pre-processing and named decoders.
//
// Pictures come in as byte views (Image) that are already resized to what the manifest wants; this package normalises and lays them
// out, and turns the tensors that come back into boxes, points, vectors and texts. It may import ONNX Runtime; it imports no gocv, no
// other room of Onsite, and reads no picture files.
package models
