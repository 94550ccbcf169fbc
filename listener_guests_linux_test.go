package sysgate_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listenerGuests are kernels that are older than what Linux 6.6 and 6.11 changed about
// notifications, one with the other byte order, and one without wait_killable_recv.
var listenerGuests = []guest{
	{"arm64", "arm64", "", debianPackage{"arm64", "linux-image-cloud-arm64"}, qemuARM64, "ttyAMA0", "qemu-system-arm"},
	{"s390x", "s390x", "", debianPackage{"s390x", "linux-image-s390x"}, qemuS390X, "ttysclp0", "qemu-system-misc"},
	{"amd64 Linux 5.15", "amd64", "", ubuntuPackage{
		"pool/main/l/linux-signed/linux-image-5.15.0-25-generic_5.15.0-25.25_amd64.deb",
		"ad56f8c442a54d4f5ff2dff010d00321d53e32b543f3a92f3ba4e042d20a71da",
	}, qemuAMD64, "ttyS0", "qemu-system-x86"},
}

// TestListenerGuests runs the tests of the listener on other kernels.
func TestListenerGuests(t *testing.T) {
	needGuests(t)
	for _, g := range listenerGuests {
		t.Run(g.name, func(t *testing.T) {
			start := time.Now()
			out := g.runTests(t, ".", "^Test(New)?Listener")
			t.Logf("%v with the build", time.Since(start).Round(time.Millisecond))
			passed := regexp.MustCompile(`(?m)^--- PASS: TestListener\w+`).FindAllString(out, -1)
			if !strings.Contains(out, "guest: ended: <nil>") || len(passed) < 9 {
				t.Errorf("%d tests passed\n%s", len(passed), out)
			}
			for _, line := range passed {
				t.Log(line)
			}
		})
	}
}

// TestHoldGuest has a supervisor hold threads on another machine.
func TestHoldGuest(t *testing.T) {
	needGuests(t)
	out := listenerGuests[0].runTests(t, "./internal/supervise", "^Test(Leave|Marks)$")
	if !strings.Contains(out, "guest: ended: <nil>") || !strings.Contains(out, "--- PASS: TestLeave/trap") || !strings.Contains(out, "--- PASS: TestLeave/kill") {
		t.Error(out)
	}
}

// TestStackGuest reads stacks on another machine: of programs of Go and of C, static and
// with that machine's C library.
func TestStackGuest(t *testing.T) {
	needGuests(t)
	g := listenerGuests[0]
	cc, err := exec.LookPath("aarch64-linux-gnu-gcc")
	if err != nil {
		t.Skip("aarch64-linux-gnu-gcc is not installed (Debian: gcc-aarch64-linux-gnu)")
	}
	dir := t.TempDir()
	const pattern = "^TestStackOf(Go|C)$"
	build := exec.Command("go", "test", "-count=1", "-run", pattern, "./internal/supervise")
	build.Env = append(os.Environ(), "SYSGATE_BUILD="+dir, "SYSGATE_BUILD_GOARCH=arm64", "CC="+cc)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files := map[string]string{}
	programs, err := os.ReadDir(dir)
	if err != nil || len(programs) != 9 {
		t.Fatalf("%d programs: %v", len(programs), err)
	}
	for _, p := range programs {
		files["tmp/"+p.Name()] = filepath.Join(dir, p.Name())
	}
	for _, name := range []string{"ld-linux-aarch64.so.1", "libc.so.6"} {
		out, err := exec.Command(cc, "-print-file-name="+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		files["lib/"+name] = strings.TrimSpace(string(out))
	}
	out := g.runTestsWith(t, "./internal/supervise", pattern, files, "SYSGATE_PROGRAMS=/tmp")
	if !strings.Contains(out, "guest: ended: <nil>") || strings.Count(out, "    --- PASS: TestStackOf") != len(programs) {
		t.Error(out)
	}
}

// runTests runs those tests of a package that pattern matches on the guest, and
// returns what its console shows.
func (g guest) runTests(t *testing.T, pkg, pattern string) string {
	t.Helper()
	return g.runTestsWith(t, pkg, pattern, nil)
}

// runTestsWith has further files on the guest, by their paths there without the first
// slash; options are further ones of its kernel's command line, which become environment.
func (g guest) runTestsWith(t *testing.T, pkg, pattern string, further map[string]string, options ...string) string {
	t.Helper()
	vmlinuz := g.vmlinuz(t)
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"init": {"build", "-o", filepath.Join(dir, "init"), "./testdata/guest"},
		"test": {"test", "-c", "-o", filepath.Join(dir, "test"), pkg},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+g.arch, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	image := filepath.Join(dir, "initrd")
	files := map[string]string{"init": filepath.Join(dir, "init"), "test": filepath.Join(dir, "test")}
	maps.Copy(files, further)
	if err := os.WriteFile(image, initramfs(t, files), 0o644); err != nil {
		t.Fatal(err)
	}
	return g.boot(t, vmlinuz, image, append(options, "tests="+pattern)...)
}
