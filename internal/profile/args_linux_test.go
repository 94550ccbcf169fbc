package profile

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

const open = "open"

// What must be found of the arguments of ./testdata/modes: values in hexadecimal,
// or that they are open.
var modes = []struct{ call, arg, want string }{
	{"socket", "domain", "0x1 0x2"},
	{"socket", "type", "0x80002"},
	{"socket", "protocol", "0x0"},
	{"personality", "persona", "0x8 0xffffffff"},
	{"prctl", "option", ""}, // the runtime's own besides
	{"prlimit64", "resource", "0x7"},
	{"timerfd_create", "flags", "0x80000 0x80800"},
	{"timerfd_create", "clockid", "0x0 0x1"},
	{"clone", "flags", "0x5100 0x50f00 0xd0f00"},
	{"flock", "operation", open},
	{"getitimer", "which", open},
	{"inotify_init1", "flags", "0x80000"},
	{"epoll_create1", "flags", "0x80000"},
	{"futex", "futex_op", "0x80 0x81"},

	{"umask", "mask", open},
	{"getpriority", "which", open},
	{"mlockall", "flags", open},
	{"unshare", "flags", open},
	{"ioprio_get", "which", open},
	{"msync", "flags", open},
	{"clock_gettime", "which_clock", open},
}

func TestArgs(t *testing.T) {
	for _, flags := range [][]string{{stripped}, {"-gcflags=all=-N -l"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			r := profileArgs(t, build(t, "./testdata/modes", nil, flags...))
			for _, m := range modes {
				got := argOf(r, m.call, m.arg)
				if m.want == "" && got != open && strings.Contains(got, "0x3") && strings.Contains(got, "0x7") || got == m.want {
					continue
				}
				if m.want != open && got == open && flags[0] != stripped {
					continue // less is known of code that is not optimised
				}
				t.Errorf("%s of %s: %s, want %s", m.arg, m.call, got, m.want)
			}
		})
	}
}

func profileArgs(t *testing.T, bin string) *Result {
	t.Helper()
	r, err := File(bin, Options{Args: true, Sites: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func argOf(r *Result, call, arg string) string {
	for _, c := range r.Set.Calls {
		if c.Name != call {
			continue
		}
		for _, a := range c.Args {
			if a.Name == arg {
				var values []string
				for _, v := range a.Values {
					values = append(values, fmt.Sprintf("%#x", v.N))
				}
				return strings.Join(values, " ")
			}
		}
		for _, o := range c.Open {
			if o.Name == arg {
				return open
			}
		}
		return "not looked at"
	}
	return "not called"
}

// TestArgsTruth compares what is known of arguments with what programs pass.
func TestArgsTruth(t *testing.T) {
	needStrace(t)
	for _, on := range targets {
		if on.abi != abi.AMD64 && on.abi != abi.I386 || on.long {
			continue // qemu shows no raw arguments
		}
		for _, pkg := range []string{"./testdata/modes", "./testdata/files", "./testdata/serve", "./testdata/fetch", "./testdata/children", "./testdata/setid"} {
			if pkg == "./testdata/modes" && on.abi != abi.AMD64 {
				continue // its numbers are amd64's
			}
			t.Run(on.name+"/"+filepath.Base(pkg), func(t *testing.T) {
				bin := build(t, pkg, on.env, "-buildmode="+on.mode, stripped)
				r := profileArgs(t, bin)
				conditions := 0
				for _, c := range r.Set.Calls {
					conditions += len(c.Args)
					if c.Class == observe.Certain && len(c.Sites) == 0 {
						t.Errorf("%s has no site", c.Name)
					}
				}
				if conditions < 10 {
					t.Errorf("only %d arguments are known", conditions)
				}
				checkArgs(t, r, bin)
			})
		}
	}
}

// TestArgsTruthNative is TestArgsTruth for programs of the distribution, with
// their libraries and dynamic loader.
func TestArgsTruthNative(t *testing.T) {
	needStrace(t)
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"a": "b\na\n", "sub/c": "c"})
	for _, command := range [][]string{
		{"/bin/cat", "a"},
		{"/bin/ls", "-laR", "--color=always", "."},
		{"/usr/bin/sort", "-R", "a"},
		{"/bin/cp", "-a", "sub", "other"},
		{"/usr/bin/find", ".", "-newer", "a", "-ls"},
		{"/bin/tar", "cf", "x.tar", "sub"},
		{"/bin/grep", "-r", "a", "."},
		{"/usr/bin/id"},
		{"/bin/date"},
		{"/usr/bin/env", "true"},
		{"/bin/sleep", "0.01"},
		{"/usr/bin/sha256sum", "a"},
		{"/usr/bin/timeout", "5", "/bin/true"},
	} {
		t.Run(filepath.Base(command[0]), func(t *testing.T) {
			if _, err := os.Stat(command[0]); err != nil {
				t.Skip(command[0] + " is not installed")
			}
			r, err := File(command[0], Options{Args: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			checkArgs(t, r, command[0], command[1:]...)
		})
	}
}

// TestArgsLookedUp checks that a function which is called by its name, too, has no
// arguments that are known.
func TestArgsLookedUp(t *testing.T) {
	const text = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>
int main(void) { int (*f)(int, int, int) = dlsym(RTLD_DEFAULT, "socket"); return socket(AF_UNIX, SOCK_STREAM, 0) + f(AF_NETLINK, SOCK_RAW, 0); }
`
	r := profileArgs(t, compileC(t, t.TempDir(), "named", text, "-ldl"))
	for _, arg := range []string{"domain", "type", "protocol"} {
		if got := argOf(r, "socket", arg); got != open {
			t.Errorf("%s of socket: %s, want %s", arg, got, open)
		}
	}
}

// checkArgs runs a program and looks whether what it passes is known.
func checkArgs(t *testing.T, r *Result, bin string, args ...string) {
	t.Helper()
	checked := 0
	traceArgs(t, bin, args, func(nr uint32, args []uint64, line string) {
		for _, c := range r.Set.Calls {
			if c.NR != nr || c.Name == "socketcall" { // strace shows what that is for
				continue
			}
			for _, a := range c.Args {
				if a.Index >= len(args) {
					continue
				}
				checked++
				n := args[a.Index] & a.Mask
				if !slices.ContainsFunc(a.Values, func(v observe.ArgValue) bool { return v.N == n }) {
					t.Errorf("%s: %s is %#x, which is not known", line, a.Name, n)
				}
			}
		}
	})
	if checked < 5 {
		t.Errorf("only %d arguments were seen", checked)
	}
}

var rawLine = regexp.MustCompile(`^(\d+) +\[ *(\d+)\] [a-z0-9_]+\(([^)]*?)\)? *(?:=|<unfinished)`)

// traceArgs runs a program under strace and yields the calls that it makes itself
// after its start, with their arguments.
func traceArgs(t *testing.T, bin string, args []string, yield func(nr uint32, args []uint64, line string)) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command("strace", "-f", "-n", "-qq", "-e", "raw=all", "-e", "signal=none", "-o", log, bin)
	cmd.Args = append(cmd.Args, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", bin, err, out)
	}
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	executed := regexp.MustCompile(`^(\d+) +\[ *\d+\] (execve\(.* = 0$|<\.\.\. execve resumed>.* = 0$)`)
	foreign := map[string]bool{}
	started := false
	for s := bufio.NewScanner(file); s.Scan(); {
		line := s.Text()
		if m := executed.FindStringSubmatch(line); m != nil {
			foreign[m[1]] = started
			started = true
			continue
		}
		m := rawLine.FindStringSubmatch(line)
		if m == nil || foreign[m[1]] || !started {
			continue
		}
		nr, err := strconv.ParseUint(m[2], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		var args []uint64
		for text := range strings.SplitSeq(m[3], ", ") {
			n, err := strconv.ParseUint(strings.TrimSpace(text), 0, 64)
			if err != nil {
				break
			}
			args = append(args, n)
		}
		yield(uint32(nr), args, line)
	}
}
