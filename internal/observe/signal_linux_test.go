package observe

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSignalNumber(t *testing.T) {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		t.Skip("MIPS has numbers of its own")
	}
	for n := range 32 {
		if name := unix.SignalName(unix.Signal(n)); name != "" && SignalNumber(name) != n {
			t.Errorf("%s: %d, want %d", name, SignalNumber(name), n)
		}
	}
	for name, want := range map[string]int{"SIGIOT": 6, "SIGPOLL": 29, "SIG": 0, "": 0, "SYS": 0, "SIGRTMIN": 0} {
		if got := SignalNumber(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
