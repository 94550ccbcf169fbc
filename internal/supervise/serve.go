package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sysgate/sysgate/internal/kernel"
)

// Serve answers each call with what answer says, one after the other, until the last
// process under the filter has ended or l is closed. A call that does not wait any
// more, because its thread ended or a signal took it back, is passed over.
func Serve(l *kernel.Listener, answer func(kernel.Notification) kernel.Reply) error {
	for {
		n, err := l.Receive()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("supervise: %w", err)
		}
		err = l.Send(n.ID, answer(n))
		if err != nil && !errors.Is(err, kernel.ErrNotifyGone) && !errors.Is(err, kernel.ErrNotifyAnswered) {
			return fmt.Errorf("supervise: %w", err)
		}
	}
}
