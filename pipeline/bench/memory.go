package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

var errMemory = errors.New("bench: the kernel does not tell the peak of this process's memory")

// peakRSS is the largest memory of this process since it began or since forgetPeak, in bytes. (getrusage's ru_maxrss cannot be set back.)
func peakRSS() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errMemory, err)
	}
	return peakOf(status)
}

// peakOf reads VmHWM, which proc(5) gives in kB.
func peakOf(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "VmHWM:" {
			kb, err := strconv.ParseInt(string(f[1]), 10, 53)
			if err != nil || kb < 0 {
				return 0, fmt.Errorf("%w: VmHWM of %q kB in /proc/self/status", errMemory, f[1])
			}
			return kb * 1024, nil
		}
	}
	return 0, fmt.Errorf("%w: no VmHWM in /proc/self/status", errMemory)
}

// forgetPeak lets peakRSS begin again with what is used now (proc(5), clear_refs).
func forgetPeak() error {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("%w since a moment: %w", errMemory, err)
	}
	return nil
}

// totalMemory is the machine's memory in bytes; 0 where the kernel does not tell.
func totalMemory() int64 {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return 0
	}
	return int64(s.Totalram) * int64(s.Unit)
}
