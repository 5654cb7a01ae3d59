// Package convert turns two other forms of neural networks into ONNX: TensorFlow Lite files (one flatbuffer) and graph models of
// TensorFlow.js (a JSON file and a file of weights). Only the operators that Onsite's models use are known; any other one is an error
// that names it. The same bytes in give the same bytes out, so that a converted file has a checksum like any other.
//
// What changes on the way: pictures and everything picture-shaped become channels first (N x C x H x W), as the other models of Onsite
// have them and ONNX Runtime computes them; weights of 16 bits become 32 bits, exactly; x*relu6(x+3)/6 after a convolution becomes two operators
// instead of four. Shapes are fixed: an unknown batch size becomes 1.
//
// The bytes may be anything: every count, size and offset is bounded, and a wrong one is an error. The package may import the
// flatbuffers and protobuf runtimes and the standard library; it knows no manifest and reads no files.
package convert
