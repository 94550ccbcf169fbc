package testkit

import (
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A Judge asks the running kernel whether it takes programs, without installing
// any: it asks with TSYNC while another thread has a filter of its own, so that
// the kernel checks and translates the program and then gives up. It works in
// the process of the test, where one thread keeps a filter that allows
// everything; a question takes a few microseconds, and a millisecond more if the
// kernel takes the program (see pace).
type Judge struct {
	questions chan bpf.Program
	answers   chan syscall.Errno
}

// NewJudge returns a judge, which ends with the test. It skips the test as
// [NeedFilters] does.
func NewJudge(t testing.TB) *Judge {
	t.Helper()
	NeedFilters(t)
	Need(t, Filter)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: this is the thread with a filter of its own
		err := kernel.NoNewPrivs()
		if err == nil {
			err = kernel.SetFilter(allowAll, 0)
		}
		started <- err
		if err == nil {
			select {}
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("judge: %v", err)
	}
	j := &Judge{make(chan bpf.Program), make(chan syscall.Errno)}
	go j.serve(started)
	if err := <-started; err != nil {
		t.Fatalf("judge: %v", err)
	}
	t.Cleanup(func() { close(j.questions) })
	if errno := j.Ask(allowAll); errno != 0 {
		t.Fatalf("judge: the kernel refuses a filter that allows everything: %v", errno)
	}
	return j
}

var allowAll = bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}

// Ask returns the errno of seccomp(2) for p, 0 if the kernel takes it.
func (j *Judge) Ask(p bpf.Program) syscall.Errno {
	j.questions <- p
	return <-j.answers
}

// serve answers on a thread of its own, which ends with it.
func (j *Judge) serve(started chan<- error) {
	runtime.LockOSThread()
	started <- kernel.NoNewPrivs()
	refused := 0
	for p := range j.questions {
		errno := ask(p)
		if errno != 0 {
			refused++
		}
		// A refused program has no machine code, but is freed by a work item too.
		if errno == 0 || refused%64 == 0 {
			pace()
		}
		j.answers <- errno
	}
}

func ask(p bpf.Program) syscall.Errno {
	// The program is not validated first: it is the kernel's word that counts.
	var prog unix.SockFprog
	if len(p) > 0 {
		prog = unix.SockFprog{Len: uint16(len(p)), Filter: (*unix.SockFilter)(unsafe.Pointer(&p[0]))}
	}
	tid, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno == 0 && tid == 0 {
		panic("the kernel installed a filter that it was to judge")
	}
	return errno
}
