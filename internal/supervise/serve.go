package supervise

import (
	"fmt"

	"github.com/sysgate/sysgate/internal/kernel"
)

// Serve answers each call with what answer says, one after the other, until the last
// process under the filter has ended. A call that does not wait any more, because its
// thread ended or a signal took it back, is passed over.
func Serve(l *kernel.Listener, answer func(kernel.Notification) kernel.Reply) error {
	// The thread that calls waits anyway. Only a hint: kernels before 6.6 do not know it.
	_ = l.SetSyncWakeUp(true)
	if err := l.Serve(answer); err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	return nil
}
