package supervise

import (
	"fmt"
	"runtime"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// Serve answers each call with what answer says, one after the other, until the last
// process under the filter has ended. A call that does not wait any more, because its
// thread ended, a signal took it back or [Hold] did, is passed over. g, if not nil, is the guard
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

// Explainable reports whether a supervisor can give a call the action that a filter has
// for it: see [Marks.Do]. On machines other than amd64 and arm64 the signals of traps and
// the ends of single threads are not among them.
func Explainable(a abi.Action) bool {
	switch a.Kind() {
	case abi.Allow, abi.Log:
		return false // they are not denied
	case abi.Trap, abi.KillThread:
		return canHold
	}
	return true
}
