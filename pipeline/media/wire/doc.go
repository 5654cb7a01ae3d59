// Package wire is the language between the program and its decoder child: one request as JSON, and a stream of framed records back.
//
// Both sides use it, so it imports the standard library alone: no gocv here, or OpenCV would end up in the child. The reading side
// treats the writer as hostile (a decoder that has been taken over): every length, count and size is bounded before memory is
// taken.
package wire
