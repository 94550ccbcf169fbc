package audit

import (
	"errors"
	"time"
)

// ErrIdle is the error of [Listener.Next] when nothing has come for a while.
var ErrIdle = errors.New("nothing has come")

// idle is how long Next waits.
const idle = 100 * time.Millisecond

// ErrNotAllowed is wrapped by the error of [Listen] for who may not hear the kernel.
var ErrNotAllowed = errors.New("needs CAP_AUDIT_READ in the initial user namespace")

// ErrDeaf is wrapped by the error of [SelfTest] where the record did not arrive.
var ErrDeaf = errors.New("a record of this process's own making did not arrive")

// ErrUntestable is wrapped by the error of [SelfTest] where the administrator lets
// the kernel log nothing that the test could do.
var ErrUntestable = errors.New("the kernel is told not to log what a test could do")
