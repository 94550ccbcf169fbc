package cli

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
)

// denials reads the records that the kernel logs about seccomp while a program
// runs. Only who may read the kernel's log gets any, and only where no audit
// daemon takes them away: an explanation, never a decision.
type denials struct{ log int }

// watchDenials starts at the end of the kernel's log.
func watchDenials() denials {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return denials{-1}
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		unix.Close(fd)
		return denials{-1}
	}
	return denials{fd}
}

func (d denials) close() {
	if d.log >= 0 {
		unix.Close(d.log)
	}
}

// of returns the calls that process pid died of, "bind" or "386:socketcall", and
// ends the reading.
func (d denials) of(pid int) []string {
	defer d.close()
	var calls []string
	buf := make([]byte, 8192) // larger than a record (/dev/kmsg cuts at 8 KiB)
	for d.log >= 0 {
		n, err := unix.Read(d.log, buf)
		if err == unix.EPIPE || err == unix.EINTR {
			continue // records were overwritten before they were read
		}
		if err != nil || n <= 0 {
			break
		}
		if call, ok := deathOf(pid, buf[:n]); ok {
			calls = append(calls, call)
		}
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

// deathOf returns the call that a line of the log says process pid died of.
func deathOf(pid int, line []byte) (call string, ok bool) {
	e, err := audit.NewReader(bytes.NewReader(line), audit.Options{}).Next()
	if v := e.Violation; err == nil && v != nil && v.PID == pid && v.Signal == int(unix.SIGSYS) {
		return v.Call(abi.Native()), true
	}
	return "", false
}
