// Command onsite-decode is the decoder child: it gets one open file as descriptor 3, a request as JSON on standard input, and writes
// pixels to standard output in the form of package wire. It is the only part of Onsite that lets libav and libheif see outside bytes.
//
// Before it reads the first of them it gives up everything it does not need: what its parent left open, no new privileges, no file system (Landlock), no system
// calls beyond reading, writing, memory and threads (seccomp), limits on processor time, memory and open files. It may import the
// standard library, pipeline/media/wire and the two sandbox libraries; never OpenCV, ONNX Runtime or anything of the network.
//
// libav is linked statically, with the few demuxers and decoders of registry.c and no protocol; a security update of Debian's libav reaches this program
// when it is built again.
//
// One gap is known: threads are not counted. The runtimes of Go and C start them when they need one, a filter cannot count, and
// RLIMIT_NPROC does not bind root; a decoder that was taken over can clone threads until its processor time is used up or its parent's
// timeout kills it, so whoever runs this program bounds them from outside (a pids cgroup).
package main
