package convert

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// installedSystemd returns the sets of the machine's own systemd.
func installedSystemd(t *testing.T, l *libseccomp) systemdVersion {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "syscall-filter").Output()
	if err != nil {
		t.Skipf("systemd-analyze is not installed: %v", err)
	}
	direct := map[string][]string{}
	set := ""
	for line := range strings.Lines(string(out)) {
		name := strings.TrimSpace(line)
		switch {
		case name == "" || strings.HasPrefix(name, "#"):
		case !strings.HasPrefix(line, " "):
			set = name
		default:
			direct[set] = append(direct[set], name)
		}
	}
	if len(direct) < 25 {
		t.Fatalf("%d sets in %s", len(direct), out)
	}
	var expand func(name string) []string
	expand = func(name string) []string {
		var all []string
		for _, m := range direct[name] {
			if strings.HasPrefix(m, "@") {
				all = append(all, expand(m)...)
				continue
			}
			all = append(all, m)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	known := map[string]bool{}
	return systemdVersion{
		set: func(name string) ([]string, bool) { return expand(name), direct[name] != nil },
		knows: func(name string) bool {
			if _, ok := known[name]; !ok {
				known[name] = l.known(t, name)
			}
			return known[name]
		},
	}
}

// seccompFilters returns the filters of a process, the newest first.
func seccompFilters(t *testing.T, pid int) []bpf.Program {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ptrace := func(request, addr, data uintptr) (int, error) {
		n, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, request, uintptr(pid), addr, data, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
	if _, err := ptrace(unix.PTRACE_SEIZE, 0, 0); err != nil {
		t.Fatalf("seize %d: %v", pid, err)
	}
	defer ptrace(unix.PTRACE_DETACH, 0, 0)
	if _, err := ptrace(unix.PTRACE_INTERRUPT, 0, 0); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil {
		t.Fatal(err)
	}
	var all []bpf.Program
	for i := uintptr(0); ; i++ {
		n, err := ptrace(unix.PTRACE_SECCOMP_GET_FILTER, i, 0)
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EINVAL) && i == 0 {
			return all
		}
		if err != nil {
			t.Fatalf("filter %d of %d: %v", i, pid, err)
		}
		data := make([]byte, 8*n)
		if _, err := ptrace(unix.PTRACE_SECCOMP_GET_FILTER, i, uintptr(unsafe.Pointer(&data[0]))); err != nil {
			t.Fatal(err)
		}
		p, err := bpf.FromBytes(data, false)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// sameAsStack sees that p is what the filters (the newest first) do together, for
// the ABIs of the machine, and with outside for other architectures.
func sameAsStack(t *testing.T, p *policy.Policy, filters []bpf.Program, outside bool, text string) {
	t.Helper()
	resolved := resolve(t, p, abi.AMD64)
	s := proof.NewSpace(proof.Budget{})
	ours, err := s.Policy(resolved)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := s.Policy(&policy.Resolved{ABIs: []policy.ResolvedABI{{ABI: abi.AMD64, Default: abi.Allow, Unknown: abi.Allow}}, BadArch: abi.Allow, X32: abi.Allow})
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range slices.Backward(filters) {
		f, err := s.Program(program, false)
		if err != nil {
			t.Fatal(err)
		}
		theirs = s.Combine(theirs, f, proof.Stack)
	}
	regions, err := s.Diff(s.Effects(ours), s.Effects(theirs), []abi.ABI{abi.AMD64, abi.I386, abi.X32}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range regions {
		if r.ABI == abi.None && !outside {
			continue
		}
		t.Errorf("%s: the policy says %v, the filters %v\n%s", policy.FormatCall(r.Witness), r.A, r.B, text)
	}
}

// TestSystemd has the machine's systemd start units and compares the filters of
// their processes with the policies that the units are read as, by proof.
func TestSystemd(t *testing.T) {
	const manager = "/lib/systemd/systemd"
	if _, err := os.Stat(manager); err != nil {
		t.Skip("systemd is not installed")
	}
	if os.Geteuid() != 0 || runtime.GOARCH != "amd64" {
		t.Skip("needs root, to mount, and amd64")
	}
	if out, err := exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run").CombinedOutput(); err != nil {
		t.Skipf("needs a mount namespace: %v\n%s", err, out)
	}
	testkit.NeedFilters(t)
	l := newLibseccomp(t)
	version := installedSystemd(t, l)

	dir := t.TempDir()
	config := filepath.Join(dir, "config/systemd/user")
	if err := os.MkdirAll(config, 0o755); err != nil {
		t.Fatal(err)
	}
	pause := buildPause(t, filepath.Join(dir, "pause"))
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	target := "[Unit]\nDefaultDependencies=no\n"
	// What is written means to systemd what it means to the reader.
	units := slices.Clone(systemdUnits)
	for _, unit := range []string{systemdUnits[0], systemdUnits[4], systemdUnits[10]} {
		p, _, err := readSystemd("x.service", []byte("[Service]\n"+unit), Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Export(format(t, "systemd"), p, Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		_, written, _ := strings.Cut(string(e.Data), "[Service]\n")
		units = append(units, written)
	}
	var texts []string
	for i, unit := range units {
		exe := fmt.Sprintf("%s-%d", pause, i)
		if err := os.Link(pause, exe); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart="+exe+"\n"+unit+"\n")
		write(fmt.Sprintf("unit%d.service", i), texts[i])
		target += fmt.Sprintf("Wants=unit%d.service\n", i)
	}
	write("all.target", target)

	// A user's manager: it makes the same filters, and nothing of the machine is its
	// business.
	script := `mount -t tmpfs none /run && mkdir -p /run/systemd/system /run/user && exec env -i XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME="$1/config" HOME="$1" PATH="$PATH" ` + manager + ` --user --unit=all.target --log-target=console`
	var log bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", dir)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.Signal(34 + 24)) // SIGRTMIN+24: exit, with the services
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		timer.Stop()
		if t.Failed() {
			t.Logf("%s", log.String())
		}
	})
	for i, text := range texts {
		pid := waitForExe(t, fmt.Sprintf("%s-%d", pause, i))
		if pid == 0 {
			t.Errorf("systemd has not started\n%s", text)
			continue
		}
		filters := seccompFilters(t, pid)
		p, _, err := version.read("x.service", []byte(text), Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		sameAsStack(t, p, filters, true, text)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

// buildPause makes a program that waits, with no other system call, at file.
func buildPause(t *testing.T, file string) string {
	t.Helper()
	build := exec.Command("gcc", "-static", "-nostdlib", "-x", "c", "-o", file, "-")
	build.Stdin = strings.NewReader(`__asm__(".globl _start\n_start: mov $34, %eax\nsyscall\njmp _start");`)
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("gcc is not installed: %v\n%s", err, out)
	}
	return file
}

// waitForExe returns the process that executes a file, 0 if none does in time.
func waitForExe(t *testing.T, exe string) int {
	t.Helper()
	for range 400 {
		links, err := filepath.Glob("/proc/[0-9]*/exe")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && target == exe {
				pid, err := strconv.Atoi(strings.Split(link, "/")[2])
				if err != nil {
					t.Fatal(err)
				}
				return pid
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0
}

// The sets of systemd 255 have what those of the installed one have.
func TestSystemdSets(t *testing.T) {
	l := newLibseccomp(t)
	version := installedSystemd(t, l)
	for _, name := range policy.SetNames() {
		short, ok := strings.CutPrefix(name, "@systemd/")
		if !ok || short == "known" {
			continue
		}
		installed, ok := version.set("@" + short)
		if !ok {
			t.Logf("the installed systemd has no @%s", short)
			continue
		}
		ours, _ := policy.Set(name)
		for _, call := range installed {
			if call == "uretprobe" { // Debian's systemd has it from a later release
				continue
			}
			if abi.Known(call) && !slices.Contains(ours, call) {
				t.Errorf("@%s: %s is missing", short, call)
			}
		}
	}
}
