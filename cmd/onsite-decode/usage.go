package main

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"

	"onsite/pipeline/media/wire"
)

// selfStatus is a descriptor of /proc/self/status, opened before the walls stand; -1 when there is none. The kernel's own count
// of a child's peak memory starts with its parent's.
type selfStatus int

func openStatus() selfStatus {
	fd, err := unix.Open("/proc/self/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return selfStatus(fd)
}

// peakRSS is the largest resident size until now, bytes; 0 when it is not known.
func (f selfStatus) peakRSS() int64 {
	var buf [4096]byte
	if f < 0 {
		return 0
	}
	n, err := unix.Pread(int(f), buf[:], 0)
	if err != nil {
		return 0
	}
	_, after, ok := bytes.Cut(buf[:n], []byte("VmHWM:"))
	if !ok {
		return 0
	}
	number, _, _ := bytes.Cut(bytes.TrimLeft(after, " \t"), []byte(" "))
	kib, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return kib * 1024
}

// cpuTime is what the process has cost until now, microseconds.
func cpuTime() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return (u.Utime.Sec+u.Stime.Sec)*1_000_000 + u.Utime.Usec + u.Stime.Usec
}

// spent fills the cost of the work since before into the last record.
func spent(end wire.End, before int64, status selfStatus) wire.End {
	end.TotalCPUUS = cpuTime()
	end.CPUUS, end.PeakRSS = end.TotalCPUUS-before, status.peakRSS()
	return end
}
