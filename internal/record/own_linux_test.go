package record

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/testkit"
)

// ownArg makes the test binary a program whose calls are known.
const ownArg = "make-calls"

const ownParents, ownSockets, ownDenied = 1000, 3, 2

func makeCalls() error {
	for range ownParents {
		unix.Getppid()
	}
	for range ownSockets {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	mkdirat, _ := abi.Native().Lookup("mkdirat")
	var a bpf.Assembler
	same, other := a.NewLabel(), a.NewLabel()
	a.Stmt(bpf.LdAbs, bpf.OffsetNR)
	a.If(bpf.JeqK, mkdirat, same, other)
	a.Bind(same)
	a.Stmt(bpf.RetK, uint32(abi.Errno)|uint32(unix.EXDEV))
	a.Bind(other)
	a.Stmt(bpf.RetK, uint32(abi.Allow))
	program, err := a.Assemble()
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(program))
	for i, in := range program {
		code[i] = unix.SockFilter{Code: in.Code, Jt: in.JT, Jf: in.JF, K: in.K}
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	for range ownDenied {
		if err := unix.Mkdirat(unix.AT_FDCWD, "/", 0); !errors.Is(err, unix.EXDEV) {
			return fmt.Errorf("mkdirat: %w", err)
		}
	}
	return nil
}

// TestOwnCalls needs nothing but the kernel: it also runs on others (TestRecorderGuests).
func TestOwnCalls(t *testing.T) {
	testkit.NeedFilters(t)
	for _, r := range Recorders() {
		t.Run(r.Name(), func(t *testing.T) {
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			result := recordedInTime(t, r, &Target{Command: command(t, exe, ownArg)})
			if code := result.Status.ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			native := abi.Native()
			c := madeName(t, result.Run, native, "getppid")
			if flags, err := NotifyFlags(); err != nil || r.Name() == "notify" && flags&kernel.WaitKillableRecv == 0 {
				c.Count = min(c.Count, ownParents) // a signal has it start again
			}
			if c.Count != ownParents || c.Denied != 0 || c.Exe != exe && c.Exe != "" {
				t.Errorf("getppid: %+v", c)
			}
			if c := madeName(t, result.Run, native, "execve"); c.Count != 0 {
				t.Errorf("execve: %+v", c)
			}
			socket := madeName(t, result.Run, native, "socket")
			want := observe.Value{Args: [6]uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, Count: ownSockets}
			if len(socket.Values) != 1 || socket.Values[0] != want {
				t.Errorf("socket: %+v, want %+v", socket, want)
			}
			made, denied := uint64(ownDenied), uint64(0)
			switch r.Name() {
			case "ebpf":
				denied = made
			case "notify": // a stricter action hides the call
				made = 0
			}
			if c := madeName(t, result.Run, native, "mkdirat"); c.Count != made || c.Denied != denied {
				t.Errorf("mkdirat: %+v, want %d, %d denied", c, made, denied)
			}
			for _, c := range result.Run.Calls {
				if c.Denied > 0 && c.Name != "mkdirat" {
					t.Errorf("denied: %+v", c)
				}
			}
		})
	}
}
