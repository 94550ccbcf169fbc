package profile

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// A crossed is a machine for which programs of C are built here.
type crossed struct {
	on   abi.ABI
	arch string // GOARCH
	cc   string
}

var crossedMachines = []crossed{
	{abi.AMD64, "amd64", "gcc"},
	{abi.I386, "386", "i686-linux-gnu-gcc"},
	{abi.ARM64, "arm64", "aarch64-linux-gnu-gcc"},
	{abi.ARM, "arm", "arm-linux-gnueabihf-gcc"},
	{abi.RISCV64, "riscv64", "riscv64-linux-gnu-gcc"},
}

// need skips the test where programs of the machine cannot be built or run.
func (m crossed) need(t *testing.T) {
	t.Helper()
	needStrace(t)
	needEmulator(t, m.on)
	if _, err := exec.LookPath(m.cc); err != nil {
		t.Skipf("%s is not installed: no C program can be built", m.cc)
	}
	t.Setenv("QEMU_LD_PREFIX", roots[m.on])
}

// require profiles a program, which is not to be left with undetermined sites, and
// checks that it can make the calls that it makes when it runs, and those in has,
// but none of what it has no use for.
func (m crossed) require(t *testing.T, bin string, has, not []string) {
	t.Helper()
	r, err := File(bin, Options{NoLibraries: true, Root: roots[m.on]})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Undetermined {
		t.Errorf("undetermined: %s at %#x: %s", s.Func, s.Addr, s.Reason)
	}
	found := names(r)
	for _, name := range has {
		if !found[name] {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range not {
		if found[name] {
			t.Errorf("%s is there: %v", name, r.Path(name))
		}
	}
	seen := trace(t, m.on, bin)
	for name := range seen {
		if !found[name] {
			t.Errorf("missed: %s", name)
		}
	}
	t.Logf("found %d, seen %d", len(found), len(seen))
}

// TestEveryday compares the profiles of a program in C with what it does, on every
// machine.
func TestEveryday(t *testing.T) {
	text, err := os.ReadFile("testdata/everyday/main.c")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range crossedMachines {
		t.Run(m.arch, func(t *testing.T) {
			m.need(t)
			for name, flags := range map[string][]string{
				"dynamic":                    {"-O2"},
				"dynamic stripped":           {"-Os", "-s"},
				"dynamic at a fixed address": {"-O1", "-no-pie", "-fno-pie"},
				"static":                     {"-O0", "-static"},
				"static stripped":            {"-O2", "-s", "-static"},
			} {
				t.Run(name, func(t *testing.T) {
					m.require(t, buildC(t, m.cc, string(text), append(flags, "-pthread")...), nil, []string{"execve", "ptrace", "mount", "reboot"})
				})
			}
		})
	}
}

const cgoText = `package main

// #include <unistd.h>
// #include <sys/syscall.h>
// static long viaC(void) { return syscall(SYS_getpgid, 0) + getsid(0); }
import "C"

import (
	"net"
	"os/user"
)

func main() {
	C.viaC()
	user.Current()
	net.LookupHost("localhost")
}
`

// TestCgo compares the profiles of a program of Go and C with what it does, on
// every machine.
func TestCgo(t *testing.T) {
	src := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(src, []byte(cgoText), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range crossedMachines {
		t.Run(m.arch, func(t *testing.T) {
			m.need(t)
			for name, flags := range map[string][]string{
				"dynamic": nil, "position-independent": {"-buildmode=pie", "-ldflags=-s -w"}, "static": {"-ldflags=-linkmode=external -extldflags=-static"},
				"linked by the C compiler": {"-ldflags=-linkmode=external"}, "race detector": {"-race"},
			} {
				if name == "race detector" && m.arch != "amd64" {
					continue // its objects are for few machines
				}
				t.Run(name, func(t *testing.T) {
					out := filepath.Join(t.TempDir(), "m")
					cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), src)...)
					cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "CC="+m.cc, "GOARCH="+m.arch)
					if msg, err := cmd.CombinedOutput(); err != nil {
						t.Fatalf("%v\n%s", err, msg)
					}
					m.require(t, out, []string{"getpgid", "getsid"}, []string{"ptrace", "mount", "reboot"})
				})
			}
		})
	}
}

// TestConstantsAmongCode checks that addresses of functions are found where linkers
// put constants into the segment of the code.
func TestConstantsAmongCode(t *testing.T) {
	const text = nativeHead + functions + `static long (*const t[])(void) = {f, g, h}; int main(int c, char **v) { puts(""); return t[c % 3](); }`
	for _, m := range crossedMachines {
		t.Run(m.arch, func(t *testing.T) {
			m.need(t)
			for name, flags := range map[string][]string{"dynamic": nil, "static": {"-s", "-static"}} {
				t.Run(name, func(t *testing.T) {
					m.require(t, buildC(t, m.cc, text, append(flags, "-O1", "-no-pie", "-fno-pie")...), []string{"setuid", "setgid", "setreuid"}, []string{"execve", "ptrace"})
				})
			}
		})
	}
}
