// Package manifest describes ONNX models: what each is for, where its file comes from and under which licence, how pictures are laid
// out for it, how its outputs are read, and which thresholds were calibrated for it. The manifests of the models that Onsite ships with
// are embedded; further ones may lie beside their ONNX files.
//
// Parsing is strict: an unknown key is an error, and Validate names every wrong field at once. Of Onsite it may import models/plain only.
package manifest
