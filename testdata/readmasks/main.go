// Command readmasks asks the running kernel about the read masks of package abi:
// it makes calls that have nothing to do, once as they are and once with every bit
// set that the masks leave out, which must change nothing; and some with a bit
// that a mask has, which must. It prints a line for each call, after "guest: ".
//
// As process 1 it runs /compat as well, the same program for another ABI, and
// switches the machine off.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/sysgate/sysgate/abi"
)

func main() {
	runtime.LockOSThread() // clone and personality are about threads
	if os.Getpid() == 1 {
		fmt.Println("guest: started")
		defer finish()
	}
	if err := probe(); err != nil {
		fmt.Println("guest: error:", err)
	}
}

func finish() {
	if p, err := os.StartProcess("/compat", []string{"/compat"}, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}}); err == nil {
		if state, err := p.Wait(); err != nil || !state.Success() {
			fmt.Println("guest: error: /compat:", state, err)
		}
	}
	fmt.Println("guest: done")
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

type arguments [6]uintptr

// A call that has nothing to do; check looks whether it did that.
type call struct {
	name  string
	args  arguments
	check func(result uintptr) bool
}

// A reading is a call that fails with one bit more, which its mask has.
type reading struct {
	name string
	args arguments
	arg  int
	bit  int
}

var native = abi.Native()

// Memory that calls may point at; package variables do not move.
var (
	space  [4096]byte
	vector [2]uintptr
	path   = []byte("/file\x00")
	dot    = []byte(".\x00")
)

func probe() error {
	for i := range space {
		space[i] = byte(i)
	}
	f, err := os.Create("/file")
	if err != nil {
		return err
	}
	if _, err := f.Write(space[:]); err != nil {
		return err
	}
	for _, c := range calls(f) {
		nr, ok := native.Lookup(c.name)
		if !ok {
			fmt.Printf("guest: %v %s: error: no such call\n", native, c.name)
			continue
		}
		stray := c.args
		args, _ := native.Args(nr)
		for i, arg := range args {
			stray[i] |= ^uintptr(arg.Mask)
			if arg.Name == "unused" {
				stray[i] = ^uintptr(0)
			}
		}
		_, clean := invoke(nr, c.args)
		result, dirty := invoke(nr, stray)
		if clean != 0 || dirty != 0 || c.check != nil && !c.check(result) {
			fmt.Printf("guest: %v %s: error: %v, with stray bits %v\n", native, c.name, clean, dirty)
			continue
		}
		fmt.Printf("guest: %v %s: ok\n", native, c.name)
	}
	for _, r := range readings(f.Fd()) {
		nr, _ := native.Lookup(r.name)
		more := r.args
		more[r.arg] ^= 1 << r.bit
		_, clean := invoke(nr, r.args)
		_, dirty := invoke(nr, more)
		if native.ReadMask(nr, r.arg)>>r.bit&1 == 0 || clean != 0 || dirty == 0 {
			fmt.Printf("guest: %v %s, argument %d: error: %v, with bit %d %v\n", native, r.name, r.arg, clean, r.bit, dirty)
			continue
		}
		fmt.Printf("guest: %v %s, argument %d, bit %d: ok\n", native, r.name, r.arg, r.bit)
	}
	return nil
}

// invoke makes the call; a process that it starts ends at once.
//
//go:nosplit
func invoke(nr uint32, a arguments) (uintptr, syscall.Errno) {
	result, _, errno := syscall.RawSyscall6(uintptr(nr), a[0], a[1], a[2], a[3], a[4], a[5])
	if nr == syscall.SYS_CLONE && errno == 0 && result == 0 {
		for {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return result, errno
}

func calls(f *os.File) []call {
	fd, memory := f.Fd(), address(&space[0])
	status := func() *syscall.Stat_t {
		var s syscall.Stat_t
		_ = syscall.Fstat(int(fd), &s)
		return &s
	}
	list := []call{
		{name: "dup3", args: arguments{fd, 100, constant("O_CLOEXEC")}},
		{name: "epoll_create1"},
		{name: "eventfd2"},
		{name: "fchmod", args: arguments{fd, 0o640}, check: func(uintptr) bool { return status().Mode&0o7777 == 0o640 }},
		{name: "fchmodat", args: arguments{constant("AT_FDCWD"), address(&path[0]), 0o600}, check: func(uintptr) bool { return status().Mode&0o7777 == 0o600 }},
		{name: "fchown", args: arguments{fd, 7, 8}, check: func(uintptr) bool { return status().Uid == 7 && status().Gid == 8 }},
		{name: "fcntl", args: arguments{fd, constant("F_GETFD")}},
		{name: "ftruncate", args: arguments{fd, uintptr(len(space))}},
		{name: "getpriority"},
		{name: "ioctl", args: arguments{fd, constant("FIONBIO"), address(&vector[0])}},
		{name: "kill", args: arguments{uintptr(os.Getpid())}},
		{name: "lseek", args: arguments{fd, 0, 1}},
		{name: "membarrier"},
		{name: "memfd_create", args: arguments{address(&dot[0]), constant("MFD_CLOEXEC")}},
		{name: "openat", args: arguments{constant("AT_FDCWD"), address(&dot[0]), constant("O_DIRECTORY")}},
		{name: "personality", args: arguments{0xffffffff}},
		{name: "prctl", args: arguments{constant("PR_GET_DUMPABLE")}},
		{name: "readv", args: arguments{fd, address(&vector[0]), 0}},
		{name: "sched_getscheduler"},
		{name: "setpriority"},
		{name: "setresgid"},
		{name: "setuid"},
		{name: "socket", args: arguments{constant("AF_UNIX"), constant("SOCK_STREAM")}},
		{name: "socketpair", args: arguments{constant("AF_UNIX"), constant("SOCK_DGRAM"), 0, memory}},
		{name: "umask", args: arguments{0o22}},
		{name: "unshare"},
	}
	read := func(result uintptr) bool { return result == 1 && space[0] == 7 }
	one := address(&space[0])
	switch native {
	case abi.ARM, abi.MIPSLE: // a 64-bit argument in two registers, the first of them even
		return append(list,
			call{name: "clone", args: arguments{constant("SIGCHLD")}},
			call{name: "ftruncate64", args: arguments{fd, 0, 5000}, check: func(uintptr) bool { return status().Size == 5000 }},
			call{name: "mmap2", args: arguments{0, 4096, constant("PROT_READ"), constant("MAP_PRIVATE"), fd}},
			call{name: "pread64", args: arguments{fd, one, 1, 0, 7}, check: read})
	case abi.S390X: // the stack first, and mmap's arguments behind a pointer
		return append(list,
			call{name: "clone", args: arguments{0, constant("SIGCHLD")}},
			call{name: "ipc", args: arguments{13, 0, 0o600}}, // MSGGET, IPC_PRIVATE
			call{name: "pread64", args: arguments{fd, one, 1, 7}, check: read})
	}
	return append(list,
		call{name: "clone", args: arguments{constant("SIGCHLD")}},
		call{name: "mmap", args: arguments{0, 4096, constant("PROT_READ"), constant("MAP_PRIVATE"), fd}},
		call{name: "pread64", args: arguments{fd, one, 1, 7}, check: read})
}

func readings(fd uintptr) []reading {
	list := []reading{
		{"epoll_create1", arguments{}, 0, 31},
		{"fchmod", arguments{fd, 0o640}, 0, 31},
		{"membarrier", arguments{}, 0, 31},
		{"memfd_create", arguments{address(&dot[0])}, 1, 31},
		{"openat", arguments{constant("AT_FDCWD"), address(&dot[0]), constant("O_DIRECTORY")}, 0, 1},
		{"socket", arguments{constant("AF_UNIX"), constant("SOCK_STREAM")}, 0, 31},
	}
	if native == abi.S390X {
		list = append(list, reading{"ipc", arguments{13, 0, 0o600}, 0, 31})
	}
	if native.Bits() == 32 {
		return append(list, reading{"pread64", arguments{fd, address(&space[0]), 1, 0, 7}, 5, 31})
	}
	return append(list, reading{"unshare", arguments{}, 0, 40}, reading{"process_vm_readv", arguments{}, 5, 40})
}

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func constant(name string) uintptr {
	v, ok := native.Constant(name)
	if !ok {
		panic("no constant " + name)
	}
	return uintptr(v)
}
