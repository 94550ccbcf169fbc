//go:build linux && amd64

package abi

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A probe is a call that succeeds, and goes on doing so when every bit outside
// the read masks of its arguments is set: the kernel does not look at them.
type probe struct {
	abi  ABI
	call string
	args [6]string // numbers or buffers of testdata/probe.c
	ptr  string    // digits of the arguments that are buffers
}

var ignoredBits = []probe{
	{abi: AMD64, call: "ioctl", args: [6]string{"3", "0x5421", "space"}, ptr: "2"}, // FIONBIO
	{abi: AMD64, call: "clone", args: [6]string{"17"}},
	{abi: AMD64, call: "fchmod", args: [6]string{"3", "0640"}},
	{abi: AMD64, call: "socket", args: [6]string{"1", "1", "0"}},
	{abi: AMD64, call: "socketpair", args: [6]string{"1", "2", "0", "space"}, ptr: "3"},
	{abi: AMD64, call: "personality", args: [6]string{"0xffffffff"}},
	{abi: AMD64, call: "prctl", args: [6]string{"3"}}, // PR_GET_DUMPABLE
	{abi: AMD64, call: "fcntl", args: [6]string{"3", "1"}},
	{abi: AMD64, call: "openat", args: [6]string{"0xffffff9c", "dot", "0x10000", "0"}, ptr: "1"},
	{abi: AMD64, call: "readv", args: [6]string{"3", "space", "0"}, ptr: "1"},
	{abi: AMD64, call: "mmap", args: [6]string{"0", "4096", "1", "2", "3", "0"}},
	{abi: AMD64, call: "mbind", args: [6]string{"0", "0", "0", "0", "0", "0"}},
	{abi: AMD64, call: "lseek", args: [6]string{"3", "0", "1"}},
	{abi: AMD64, call: "kill", args: [6]string{"0", "0"}},
	{abi: AMD64, call: "umask", args: [6]string{"022"}},
	{abi: AMD64, call: "setpriority", args: [6]string{"0", "0", "0"}},
	{abi: AMD64, call: "memfd_create", args: [6]string{"dot", "1"}, ptr: "0"},
	{abi: AMD64, call: "membarrier", args: [6]string{"0", "0", "0"}},

	{abi: I386, call: "ioctl", args: [6]string{"3", "0x5421", "space"}, ptr: "2"},
	{abi: I386, call: "clone", args: [6]string{"17"}},
	{abi: I386, call: "fchmod", args: [6]string{"3", "0640"}},
	{abi: I386, call: "socket", args: [6]string{"1", "1", "0"}},
	{abi: I386, call: "socketcall", args: [6]string{"1", "socketargs"}, ptr: "1"},
	{abi: I386, call: "ipc", args: [6]string{"13", "0", "0600"}}, // MSGGET, IPC_PRIVATE
	{abi: I386, call: "personality", args: [6]string{"0xffffffff"}},
	{abi: I386, call: "openat", args: [6]string{"0xffffff9c", "dot", "0x10000", "0"}, ptr: "1"},
	{abi: I386, call: "mmap2", args: [6]string{"0", "4096", "1", "2", "3", "0"}},
	{abi: I386, call: "setuid", args: [6]string{"1000"}},
	{abi: I386, call: "setuid32", args: [6]string{"1000"}},
	{abi: I386, call: "_llseek", args: [6]string{"3", "0", "0", "space", "1"}, ptr: "3"},
}

// readBits are calls with nothing to do that fail for a bit that the mask must
// therefore have.
var readBits = []struct {
	probe
	arg int
	bit uint64
}{
	{probe{abi: AMD64, call: "unshare"}, 0, 1 << 40},
	{probe{abi: AMD64, call: "process_vm_readv"}, 5, 1 << 40},
	{probe{abi: AMD64, call: "fchmod", args: [6]string{"3", "0640"}}, 0, 1 << 31},
	{probe{abi: AMD64, call: "socket", args: [6]string{"1", "1", "0"}}, 0, 1 << 31},
	{probe{abi: AMD64, call: "openat", args: [6]string{"0xffffff9c", "dot", "0x10000", "0"}, ptr: "1"}, 0, 1},
	{probe{abi: AMD64, call: "mbind"}, 2, 1 << 30},
	{probe{abi: I386, call: "ipc", args: [6]string{"13", "0", "0600"}}, 0, 1 << 15},
	{probe{abi: I386, call: "socketcall", args: [6]string{"1", "socketargs"}, ptr: "1"}, 0, 1 << 31},
}

func TestProbeReadMasks(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: setuid has to succeed")
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	binary := filepath.Join(t.TempDir(), "probe")
	build := exec.Command(gcc, "-Wall", "-O1", "-mno-red-zone", "-no-pie", "-fno-pie", "-o", binary, "testdata/probe.c")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, p := range ignoredBits {
		t.Run(p.abi.String()+"/"+p.call, func(t *testing.T) {
			p.mayRun(t, binary)
			clean := p.run(t, binary, p.args)
			if clean.failed() {
				t.Fatalf("without stray bits: %s", syscall.Errno(-clean.ret))
			}
			nr, _ := p.abi.Lookup(p.call)
			stray := p.args
			args, _ := p.abi.Args(nr)
			for i := range args {
				stray[i] = p.with(i, ^p.abi.ReadMask(nr, i))
			}
			got := p.run(t, binary, stray)
			if got.failed() {
				t.Errorf("with stray bits %v: %s", stray, syscall.Errno(-got.ret))
			}
			if got.uid != clean.uid || got.mode != clean.mode {
				t.Errorf("with stray bits %v: %+v, without: %+v", stray, got, clean)
			}
		})
	}
	for _, p := range readBits {
		t.Run(fmt.Sprintf("%s/%s/%d", p.abi, p.call, p.arg), func(t *testing.T) {
			p.mayRun(t, binary)
			if clean := p.run(t, binary, p.args); clean.failed() {
				t.Fatalf("without the bit: %s", syscall.Errno(-clean.ret))
			}
			changed := p.args
			changed[p.arg] = p.with(p.arg, p.bit)
			if got := p.run(t, binary, changed); !got.failed() {
				t.Errorf("with %v: %d", changed, got.ret)
			}
			if nr, _ := p.abi.Lookup(p.call); p.abi.ReadMask(nr, p.arg)&p.bit == 0 {
				t.Errorf("the read mask %#x lacks %#x", p.abi.ReadMask(nr, p.arg), p.bit)
			}
		})
	}
}

// with returns argument i with further bits.
func (p probe) with(i int, bits uint64) string {
	if strings.Contains(p.ptr, fmt.Sprint(i)) {
		return fmt.Sprintf("%s+%#x", p.args[i], bits)
	}
	var v uint64
	if p.args[i] != "" {
		fmt.Sscan(p.args[i], &v)
	}
	return fmt.Sprintf("%#x", v|bits)
}

// mayRun skips what the kernel was built without.
func (p probe) mayRun(t *testing.T, binary string) {
	t.Helper()
	if p.abi == I386 {
		getpid := probe{abi: I386, call: "getpid"}
		if out, err := getpid.command(binary, getpid.args).Output(); err != nil {
			t.Skipf("no 386 ABI on this kernel: %v %s", err, out)
		}
	}
	if clean := p.run(t, binary, p.args); clean.ret == -int64(syscall.ENOSYS) {
		t.Skip("this kernel is built without the call")
	}
}

// An outcome is what a probe did.
type outcome struct {
	ret  int64
	uid  int
	mode os.FileMode // of the file that is descriptor 3
}

// failed reports whether the kernel returned an error: a negative number may also
// be an address of 386.
func (o outcome) failed() bool { return o.ret < 0 && o.ret >= -MaxErrno }

func (p probe) command(binary string, args [6]string) *exec.Cmd {
	how := "native"
	if p.abi == I386 {
		how = "int80"
	}
	nr, _ := p.abi.Lookup(p.call)
	argv := []string{how, fmt.Sprint(nr)}
	for _, a := range args {
		if a == "" {
			a = "0"
		}
		argv = append(argv, a)
	}
	return exec.Command(binary, argv...)
}

func (p probe) run(t *testing.T, binary string, args [6]string) outcome {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	cmd := p.command(binary, args)
	cmd.ExtraFiles = []*os.File{file}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("probe %v: %v", cmd.Args[1:], err)
	}
	var o outcome
	if _, err := fmt.Sscan(string(out), &o.ret, &o.uid); err != nil {
		t.Fatalf("probe printed %q: %v", out, err)
	}
	if p.call == "ipc" && !o.failed() {
		if _, _, errno := syscall.Syscall(syscall.SYS_MSGCTL, uintptr(o.ret), 0, 0); errno != 0 { // IPC_RMID
			t.Errorf("removing message queue %d: %v", o.ret, errno)
		}
	}
	stat, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	o.mode = stat.Mode()
	return o
}
