package kernel

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// ReadMemory reads from the memory of another thread until p is full, and returns
// how much it has read; less only with an error. It needs the right to trace the
// thread (PTRACE_MODE_ATTACH_REALCREDS of ptrace(2)).
//
// The thread is named by its ID, which may be another's by now: what was read
// counts only after [Listener.Valid].
func ReadMemory(tid int, addr uint64, p []byte) (int, error) {
	if tid <= 0 {
		return 0, fmt.Errorf("read memory: the thread is not visible in this PID namespace: %w", unix.ESRCH)
	}
	done := 0
	for done < len(p) {
		n, err := readMemory(tid, addr+uint64(done), p[done:])
		if err != nil {
			return done, fmt.Errorf("read memory of thread %d at %#x: %w", tid, addr+uint64(done), err)
		}
		done += n
	}
	return done, nil
}

// readMemory reads at least one byte.
func readMemory(tid int, addr uint64, p []byte) (int, error) {
	if uint64(uintptr(addr)) == addr {
		local := unix.Iovec{Base: &p[0]}
		local.SetLen(len(p))
		n, err := unix.ProcessVMReadv(tid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(p)}}, 0)
		switch {
		case err == nil && n > 0:
			return n, nil
		case err == nil:
			return 0, io.ErrUnexpectedEOF
		// Kernels without CONFIG_CROSS_MEMORY_ATTACH and filters of container
		// runtimes lack this call.
		case !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM):
			return 0, err
		}
	}
	if addr > math.MaxInt64 {
		return 0, unix.EFAULT
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", tid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(p, int64(addr))
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, unix.EIO): // how this file says that nothing is mapped there
		return 0, unix.EFAULT
	}
	return 0, err
}
