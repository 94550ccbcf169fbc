// Modes makes calls with constants that reach the argument in many ways; see
// args_linux_test.go for what must be found.
package main

import (
	"os"
	"strconv"
	"syscall"
)

func main() {
	known()
	open()
}

// The arguments of these are known.
func known() {
	for _, domain := range []int{0, 1} { // a parameter that two callers set
		if domain == 0 {
			closeIt(socket(syscall.AF_UNIX))
		} else {
			closeIt(socket(syscall.AF_INET))
		}
	}
	two(syscall.SYS_PERSONALITY, 0xffffffff, false)
	two(syscall.SYS_PERSONALITY, 0xffffffff, true)
	kind := uintptr(syscall.PR_GET_DUMPABLE)
	if len(os.Args) > 7 {
		kind = syscall.PR_GET_KEEPCAPS
	}
	syscall.RawSyscall(syscall.SYS_PRCTL, kind, 0, 0)
	deep(3)
	syscall.Syscall(syscall.SYS_SHUTDOWN, ^uintptr(0), uintptr(how), 0)
	syscall.Syscall6(syscall.SYS_PRLIMIT64, 0, uintptr(uint8(limit())), 0, 0, 0, 0)
	timer(0)
	timer(syscall.O_NONBLOCK)
	syscall.Syscall(syscall.SYS_FLOCK, ^uintptr(0), uintptr(small(-4)), 0)
}

var how = 1 // set nowhere else

//go:noinline
func socket(domain int) (int, error) {
	return syscall.Socket(domain, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
}

func closeIt(fd int, err error) {
	if err == nil {
		syscall.Close(fd)
	}
}

// The number is asked for at two places of one function.
//
//go:noinline
func two(nr, persona uintptr, fixed bool) {
	if fixed {
		syscall.RawSyscall(nr, 8, 0, 0)
		return
	}
	syscall.Syscall(nr, persona, 0, 0)
}

//go:noinline
func deep(n int) { deeper(n, syscall.IN_CLOEXEC) }

//go:noinline
func deeper(_ int, flags int) {
	if fd, err := syscall.InotifyInit1(flags); err == nil {
		syscall.Close(fd)
	}
}

// A parameter with bits added, and a result that branches choose.
//
//go:noinline
func timer(flags int) {
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clock(flags), uintptr(flags|syscall.O_CLOEXEC), 0)
	if errno == 0 {
		syscall.Close(int(fd))
	}
}

//go:noinline
func clock(flags int) uintptr {
	if flags == 0 {
		return 1
	}
	return 0
}

//go:noinline
func limit() int { return 7 }

//go:noinline
func small(n int8) int32 { return int32(n) }

// The arguments of these are not, or not to the end.
func open() {
	n, _ := strconv.Atoi(os.Getenv("NOTHING"))
	syscall.RawSyscall(syscall.SYS_UMASK, uintptr(n+0o22), 0, 0)    // computed
	syscall.RawSyscall(syscall.SYS_GETPRIORITY, table[n&1], 0, 0)   // a table
	syscall.RawSyscall(syscall.SYS_GETRUSAGE, value(), buffer(), 0) // a function value
	syscall.AllThreadsSyscall(syscall.SYS_MLOCKALL, 0x80, 0, 0)     // repeated by the runtime
	rotate(syscall.SYS_UNSHARE, 0, 1<<40, 3)
	syscall.RawSyscall(syscall.SYS_GETITIMER, deferred(), 0, 0)
	var m mode = which(n)
	syscall.RawSyscall(syscall.SYS_IOPRIO_GET, m.mode(), 0, 0) // a method
	syscall.RawSyscall(syscall.SYS_MSYNC, 0, 0, uintptr(changing))
	changing++
}

var (
	table    = []uintptr{0, 1}
	value    = func() uintptr { return 0 }
	changing = 3
	space    [200]byte
)

func buffer() uintptr { return uintptr(len(space)) & 0 }

type mode interface{ mode() uintptr }

type which int

func (w which) mode() uintptr { return uintptr(w) + 1 }

// A parameter comes round through another.
//
//go:noinline
func rotate(nr, a, b uintptr, n int) {
	if n > 0 {
		rotate(nr, b, a, n-1)
		return
	}
	syscall.RawSyscall(nr, a&0, b, 0)
}

// A result that is changed when it has been returned.
//
//go:noinline
func deferred() (n uintptr) {
	defer func() { n = 2 }()
	return 1
}
