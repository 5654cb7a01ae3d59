package main

import (
	"errors"
	"fmt"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that decoding, the Go runtime and pthreads need, whatever their arguments.
var allowed = []string{
	// the answer, the input
	"read", "pread64", "write", "writev", "close", "lseek", "fstat",
	// memory
	"munmap", "mremap", "madvise", "brk", "mincore",
	// threads and time
	"futex", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "sched_yield", "sched_getaffinity", "gettid", "getpid",
	"set_robust_list", "rseq", "sigaltstack", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall", "exit", "exit_group", "getrusage", "membarrier",
	// Go's poller
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2",
	"getrandom",
}

// loadFilter lets only these system calls through, on all threads; everything else (opening files, sockets, exec, fork, ptrace, ...)
// answers EPERM.
func loadFilter() error {
	// Level 2 of libseccomp's interface is a kernel that applies a filter to all threads at once; one thread behind the wall is none.
	if level, err := seccomp.GetAPI(); err != nil || level < 2 {
		return fmt.Errorf("this kernel cannot filter all threads (libseccomp API level %d, need 2): %w", level, errors.Join(err, unix.ENOTSUP))
	}
	deny := seccomp.ActErrno.SetReturnCode(int16(unix.EPERM))
	f, err := seccomp.NewFilter(deny)
	if err != nil {
		return fmt.Errorf("new filter: %w", err)
	}
	defer f.Release()
	for _, name := range allowed {
		if err := allow(f, name); err != nil {
			return err
		}
	}
	pid := uint64(unix.Getpid())
	for _, r := range []struct {
		name string
		cond seccomp.ScmpCondition
	}{
		// Memory may not become executable.
		{"mmap", seccomp.ScmpCondition{Argument: 2, Op: seccomp.CompareMaskedEqual, Operand1: unix.PROT_EXEC, Operand2: 0}},
		{"mprotect", seccomp.ScmpCondition{Argument: 2, Op: seccomp.CompareMaskedEqual, Operand1: unix.PROT_EXEC, Operand2: 0}},
		// Threads, no processes.
		{"clone", seccomp.ScmpCondition{Argument: 0, Op: seccomp.CompareMaskedEqual, Operand1: unix.CLONE_THREAD, Operand2: unix.CLONE_THREAD}},
		// Signals to this process only.
		{"tgkill", seccomp.ScmpCondition{Argument: 0, Op: seccomp.CompareEqual, Operand1: pid}},
		{"fcntl", seccomp.ScmpCondition{Argument: 1, Op: seccomp.CompareEqual, Operand1: unix.F_GETFL}},
	} {
		if err := allow(f, r.name, r.cond); err != nil {
			return err
		}
	}
	// glibc asks for clone3 first and takes clone when there is none; clone3's flags lie in memory, where a filter cannot see them.
	call, err := seccomp.GetSyscallFromName("clone3")
	if err != nil {
		return fmt.Errorf("name clone3: %w", err)
	}
	if err := f.AddRule(call, seccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS))); err != nil {
		return fmt.Errorf("rule for clone3: %w", err)
	}
	if err := f.Load(); err != nil {
		return fmt.Errorf("load the filter: %w", err)
	}
	return nil
}

func allow(f *seccomp.ScmpFilter, name string, conds ...seccomp.ScmpCondition) error {
	call, err := seccomp.GetSyscallFromName(name)
	if err != nil {
		return fmt.Errorf("name %s: %w", name, err)
	}
	if len(conds) == 0 {
		err = f.AddRule(call, seccomp.ActAllow)
	} else {
		err = f.AddRuleConditional(call, seccomp.ActAllow, conds)
	}
	if err != nil {
		return fmt.Errorf("rule for %s: %w", name, err)
	}
	return nil
}
