package models

import "runtime"

// withoutDenormals runs f with the processor set to treat denormal floats (below 1.2e-38) as zero, on the thread that f runs on, and sets it
// back. Several models carry weights that small (face_embed 8,938 of them, face_landmark 26,567, text_detect 1,579, text_recognize 31,350);
// x86 processors take over a hundred cycles for each product with one: face_embed needs 73 ms with and 8 ms without, with the same bits as answer.
// ONNX Runtime's session.set_denormal_as_zero does it only for its own threads and the one that makes the first session, not for a caller's.
func withoutDenormals(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old := flushDenormals()
	defer restoreDenormals(old)
	return f()
}
