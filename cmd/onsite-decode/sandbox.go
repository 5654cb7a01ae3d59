package main

import (
	"fmt"
	"math"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"onsite/pipeline/media/wire"
)

// closeInherited closes what the parent, or whoever started it, may have left open. Only standard input, output and error and the input
// stay. It runs before anything is opened here: Go's runtime opens its poller later, when something waits. The cgroup files that it
// keeps open go too; it reads them again only when GOMAXPROCS is not set, and takes a failure for no limit.
func closeInherited() error {
	if err := unix.CloseRange(inputFD+1, math.MaxUint32, 0); err != nil {
		return fmt.Errorf("close the descriptors of the parent (Linux 5.9 or newer can): %w", err)
	}
	return nil
}

// limitResources sets the child's rlimits. Memory is RLIMIT_DATA: it counts what is written to, not Go's reserved address space.
func limitResources(l wire.Limits) error {
	for _, r := range []struct {
		name  string
		which int
		value uint64
	}{
		{"processor time", unix.RLIMIT_CPU, uint64(l.CPUSeconds)},
		{"open files", unix.RLIMIT_NOFILE, 16},
		{"file size", unix.RLIMIT_FSIZE, 0},
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"memory", unix.RLIMIT_DATA, uint64(l.MemoryBytes)},
	} {
		if err := unix.Setrlimit(r.which, &unix.Rlimit{Cur: r.value, Max: r.value}); err != nil {
			return fmt.Errorf("limit %s to %d: %w", r.name, r.value, err)
		}
	}
	return nil
}

// raiseWalls takes away everything that decoding does not need. It fails when a wall that must stand cannot be built; a kernel without
// Landlock is reported in missing (seccomp forbids opening files already).
// between, unless nil, runs when all walls but seccomp stand.
func raiseWalls(l wire.Limits, between func()) (standing, missing []string, err error) {
	if err := limitResources(l); err != nil {
		return nil, nil, err
	}
	standing = append(standing, "rlimits")
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("give up new privileges: %w", err)
	}
	standing = append(standing, "no_new_privs")
	if version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		missing = append(missing, "landlock")
	} else {
		// No rule at all: no path may be opened, no port bound or reached.
		if err := landlock.V5.BestEffort().Restrict(); err != nil {
			return nil, nil, fmt.Errorf("build the Landlock wall (kernel ABI %d): %w", version, err)
		}
		standing = append(standing, "landlock")
	}
	if between != nil {
		between()
	}
	if err := loadFilter(); err != nil {
		return nil, nil, fmt.Errorf("build the seccomp wall: %w", err)
	}
	return append(standing, "seccomp"), missing, nil
}
