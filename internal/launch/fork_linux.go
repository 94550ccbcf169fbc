package launch

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime's hooks around a fork, which package syscall uses for its own:
// beforeFork blocks all signals on this thread and forbids stack growth,
// afterFork undoes that in the parent, afterForkInChild resets signal handlers
// in the child and sets the signal mask that the process was started with.
// Their signatures are promised (go.dev/issue/67401).

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// A child is all that the forked process needs, so that it neither allocates
// nor looks anything up.
type child struct {
	parent             uintptr
	path, argv, envp   uintptr
	noNewPrivs         bool
	traced             bool
	listens            bool // the filter has a listener, which would have to answer exit_group
	filterFlags        uintptr
	filter             *unix.SockFprog // nil: none
	report             *report         // in memory shared with the parent
	nowhere            *report         // nil
	forkFlag, forkZero uintptr         // clone's first two arguments
}

// A report is how far the child came. After a failed execve it cannot make the
// calls that a pipe would take: the filter holds. It stores a word instead.
type report struct {
	step     step
	errno    uint32 // 0: the step did not fail
	listener uint32 // descriptor that the installation returned, where the flags ask for one
}

func newChild() *child {
	// CLONE_VFORK, but not CLONE_VM: the parent waits until the child has
	// executed the program or died, and the child works on a copy of memory.
	c := &child{forkFlag: uintptr(syscall.SIGCHLD) | syscall.CLONE_VFORK}
	if runtime.GOARCH == "s390x" { // takes the stack first (clone(2))
		c.forkFlag, c.forkZero = 0, c.forkFlag
	}
	return c
}

// listen has the child share this process's table of descriptors, in which the
// listener then is: no other way to hand it over is without a call that the filter
// might leave to the listener. The execve gives the program a table of its own,
// without the listener, which is close-on-exec.
func (c *child) listen() {
	c.listens = true
	if c.forkZero != 0 {
		c.forkZero |= syscall.CLONE_FILES
	} else {
		c.forkFlag |= syscall.CLONE_FILES
	}
}

// forkExec forks, and in the child installs the filter and executes the
// program. The child's part makes raw system calls only, on a stack that must
// not grow, like syscall.forkAndExecInChild1. Between the installation of the
// filter and execve lie no other calls: a policy need not allow any.
//
//go:noinline
//go:norace
//go:nosplit
func (c *child) forkExec() (pid uintptr, errno syscall.Errno) {
	var fd uintptr
	beforeFork()
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, c.forkFlag, c.forkZero, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		afterFork()
		return pid, errno
	}
	afterForkInChild()

	c.report.step = stepParent
	_, _, errno = syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0, 0)
	if errno != 0 {
		goto failed
	}
	// A parent that died before the call above sends no signal any more.
	if ppid, _, _ := syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0); ppid != c.parent {
		errno = syscall.ESRCH
		goto failed
	}
	if c.noNewPrivs {
		c.report.step = stepPrivileges
		_, _, errno = syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
		if errno != 0 {
			goto failed
		}
	}
	if c.traced {
		c.report.step = stepTrace
		_, _, errno = syscall.RawSyscall6(syscall.SYS_PTRACE, syscall.PTRACE_TRACEME, 0, 0, 0, 0, 0)
		if errno != 0 {
			goto failed
		}
	}
	if c.filter != nil {
		c.report.step = stepFilter
		fd, _, errno = syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, c.filterFlags, uintptr(unsafe.Pointer(c.filter)))
		if errno != 0 {
			c.listens = false
			goto failed
		}
		c.report.listener = uint32(fd)
	}
	c.report.step = stepExecve
	_, _, errno = syscall.RawSyscall(syscall.SYS_EXECVE, c.path, c.argv, c.envp)

failed:
	c.report.errno = uint32(errno)
	if !c.listens { // it would wait for an answer, and this process for it
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 1, 0, 0)
	}
	// The filter may deny even that; a fault needs no call.
	for {
		c.nowhere.errno = 0
	}
}
