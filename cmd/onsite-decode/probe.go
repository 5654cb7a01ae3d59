package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"onsite/pipeline/media/wire"
)

// probeLimits are what the self-test runs under.
var probeLimits = wire.Limits{MemoryBytes: 1 << 30, CPUSeconds: 10}

// probe raises the walls, then tries from inside what they must forbid, on this thread and on one that was there before them. It prints
// a wire.Probe.
func probe() int {
	var out wire.Probe
	if err := closeInherited(); err != nil {
		out.Error = err.Error()
		return tell(out)
	}
	if err := setup("heic"); err != nil {
		out.Error = err.Error()
		return tell(out)
	}
	ask, answer := make(chan struct{}), make(chan []wire.Attempt)
	go func() {
		runtime.LockOSThread()
		<-ask
		answer <- attempts()
	}()
	out.Libav = versions()
	var err error
	if out.Sandbox, out.Missing, err = raiseWalls(probeLimits, func() {
		out.Attempts = append(out.Attempts, attempt("open a file, by Landlock alone", func() unix.Errno { return open("/etc/passwd") }))
	}); err != nil {
		out.Error = err.Error()
	} else {
		out.Attempts = append(append(out.Attempts, inherited()), attempts()...)
		close(ask)
		for _, a := range <-answer {
			a.What += ", on another thread"
			out.Attempts = append(out.Attempts, a)
		}
	}
	return tell(out)
}

func tell(out wire.Probe) int {
	raw, err := json.Marshal(out)
	if err != nil {
		return 1
	}
	if _, err := fdWriter(outputFD).Write(append(raw, '\n')); err != nil || out.Error != "" {
		return 1
	}
	return 0
}

// inherited looks for a file, pipe, socket or device behind every descriptor that is not part of the protocol.
func inherited() wire.Attempt {
	const most = 1024 // the usual limit on open files of a program that starts the child
	for fd := inputFD + 1; fd < most; fd++ {
		var s unix.Stat_t
		// The poller of Go's runtime is no file of any kind.
		if err := unix.Fstat(fd, &s); err == nil && s.Mode&unix.S_IFMT != 0 {
			return wire.Attempt{What: fmt.Sprintf("use descriptor %d of the parent", fd)}
		}
	}
	return wire.Attempt{What: "use a descriptor of the parent", Denied: true, Answer: unix.EBADF.Error()}
}

func attempt(what string, try func() unix.Errno) wire.Attempt {
	errno := try()
	a := wire.Attempt{What: what, Denied: errno == unix.EPERM || errno == unix.EACCES}
	if errno != 0 {
		a.Answer = errno.Error()
	}
	return a
}

func open(path string) unix.Errno {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return unix.EINVAL
	}
	const here = ^uintptr(99)                                                                                   // AT_FDCWD
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, here, uintptr(unsafe.Pointer(p)), unix.O_RDONLY, 0, 0, 0) //nolint:gosec // the raw call is what is tested
	if errno == 0 {
		_ = unix.Close(int(fd))
	}
	return errno
}

// attempts tries every kind of thing that a decoder which was taken over would want.
func attempts() []wire.Attempt {
	path := []byte("/bin/true\x00")
	p := uintptr(unsafe.Pointer(&path[0])) //nolint:gosec // the raw calls are what is tested
	call := func(nr uintptr, args ...uintptr) func() unix.Errno {
		var a [6]uintptr
		copy(a[:], args)
		return func() unix.Errno {
			_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
			return errno
		}
	}
	tries := []struct {
		what string
		try  func() unix.Errno
	}{
		{"open a file", func() unix.Errno { return open("/etc/passwd") }},
		{"open a device", func() unix.Errno { return open("/dev/null") }},
		{"look at a path", call(unix.SYS_NEWFSTATAT, 0, p, 0, 0)},
		{"delete a file", call(unix.SYS_UNLINKAT, 0, p, 0)},
		{"make a file in memory", call(unix.SYS_MEMFD_CREATE, p, 0)},
		{"internet socket", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)},
		{"local socket", call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"netlink socket", call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0)},
		{"run a program", call(unix.SYS_EXECVE, p, 0, 0)},
		{"fork", fork},
		{"trace a process", call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getppid()))},
		{"read another process", call(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid()))},
		{"signal the parent", call(unix.SYS_KILL, uintptr(os.Getppid()), 0)},
		{"executable memory", call(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0), 0)},
		{"new namespaces", call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)},
		{"io_uring", call(unix.SYS_IO_URING_SETUP, 1, 0)},
		{"bpf", call(unix.SYS_BPF, 0, 0, 0)},
		{"raise a limit", call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, 0, 0)},
	}
	out := make([]wire.Attempt, 0, len(tries))
	for _, t := range tries {
		out = append(out, attempt(t.what, t.try))
	}
	runtime.KeepAlive(path)
	return out
}

func fork() unix.Errno {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return errno
}
