package supervise

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// Serve answers each call with what answer says, one after the other, until the last
// process under the filter has ended. A call that does not wait any more, because its
// thread ended or a signal took it back, is passed over. g, if not nil, is the guard
// that goes on when this process cannot.
func Serve(l *kernel.Listener, g *Guard, answer func(kernel.Notification) kernel.Reply) error {
	// The thread that calls waits anyway. Only a hint: kernels before 6.6 do not know it.
	_ = l.SetSyncWakeUp(true)
	var buffer []byte
	if g != nil {
		buffer = g.slot()
	}
	// The guard takes over when its pipe is closed, and garbage collection would close it.
	defer runtime.KeepAlive(g)
	if err := l.Serve(buffer, answer); err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	return nil
}

// Explainable reports whether a supervisor can do what a filter's action does: let the
// call go on, have it fail, or end its process. A signal to the thread alone, or with
// the data of seccomp, only the kernel can send.
func Explainable(a abi.Action) bool {
	switch a.Kind() {
	case abi.Errno, abi.KillProcess:
		return true
	}
	return false
}

// Do returns the answer that gives a call the action: errno as the filter would,
// allow and log by letting it go on. Other actions end its process, by SIGKILL: of
// SIGSYS a program could take hold.
func Do(l *kernel.Listener, n kernel.Notification, a abi.Action) kernel.Reply {
	switch a.Kind() {
	case abi.Allow, abi.Log:
		return kernel.Reply{Continue: true}
	case abi.Errno:
		return kernel.Reply{Errno: unix.Errno(min(a.Data(), abi.MaxErrno))}
	}
	// Its number is that of another thread if the call does not wait any more.
	if l.Valid(n.ID) == nil && n.TID > 0 {
		_ = unix.Kill(n.TID, unix.SIGKILL) // it may be gone by now
	}
	return kernel.Reply{Errno: unix.EPERM} // not that it comes to see it
}
