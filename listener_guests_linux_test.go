package sysgate_test

import (
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

// runTests runs those tests of a package that pattern matches on the guest, and
// returns what its console shows.
func (g guest) runTests(t *testing.T, pkg, pattern string) string {
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
	if err := os.WriteFile(image, initramfs(t, files), 0o644); err != nil {
		t.Fatal(err)
	}
	return g.boot(t, vmlinuz, image, "tests="+pattern)
}
