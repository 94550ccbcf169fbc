package launch

import (
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that people and supervisors send to a process.
// Realtime signals follow in [catch].
var forwarded = [...]syscall.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGTERM, syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGWINCH,
}

// The realtime signals that are free for programs: the first are the C
// libraries' own, and Go's.
const firstRealtime, lastRealtime = 35, 64

// signals passes on what this process gets.
type signals struct {
	incoming chan os.Signal
	done     chan struct{}
	running  sync.WaitGroup
}

// catch starts to hold signals back, so that none is lost between the start of
// the program and [signals.forwardTo]. Signals that are ignored stay so, here
// and in the program.
func catch() *signals {
	s := &signals{incoming: make(chan os.Signal, 64), done: make(chan struct{})}
	list := make([]os.Signal, 0, len(forwarded)+lastRealtime-firstRealtime+1)
	for _, sig := range forwarded {
		if !ignored(sig) {
			list = append(list, sig)
		}
	}
	for sig := syscall.Signal(firstRealtime); sig <= lastRealtime; sig++ {
		list = append(list, sig)
	}
	signal.Notify(s.incoming, list...)
	return s
}

// forwardTo passes signals on to the program until stop.
func (s *signals) forwardTo(program *os.Process) {
	s.running.Go(func() {
		for {
			select {
			case <-s.done:
				return
			case sig := <-s.incoming:
				s.handle(program, sig.(syscall.Signal))
			}
		}
	})
}

func (s *signals) handle(program *os.Process, sig syscall.Signal) {
	if !fromTerminal(sig) {
		// The program may be gone: then there is nobody to tell.
		_ = program.Signal(sig)
	}
	if sig == syscall.SIGTSTP {
		// Caught, it has not stopped this process, and the shell waits for
		// that.
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	}
}

func (s *signals) stop() {
	signal.Stop(s.incoming)
	close(s.done)
	s.running.Wait()
}

// fromTerminal reports whether the program got sig already: what the terminal
// sends goes to its whole foreground process group, of which the program is a
// member like this process, and a second interrupt means "at once" to many
// programs. A signal does not say who sent it, so one of these that somebody
// sends to this process alone while it is in the foreground counts as the
// terminal's.
func fromTerminal(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH, syscall.SIGHUP, syscall.SIGCONT:
		return inForeground()
	}
	return false
}

func inForeground() bool {
	terminal, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // no controlling terminal
	}
	defer unix.Close(terminal)
	group, err := unix.IoctlGetInt(terminal, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// ignored reports whether sig's disposition is SIG_IGN. Package signal does not
// know it for signals that the runtime has no handler for.
func ignored(sig syscall.Signal) bool {
	const sigIgn = 1
	var action [16]uintptr // larger than any kernel's struct sigaction
	handler := 0
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		handler = 1 // after the flags
	}
	setSize := uintptr(8)
	if handler == 1 {
		setSize = 16
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&action)), setSize, 0, 0)
	return errno == 0 && action[handler] == sigIgn
}
