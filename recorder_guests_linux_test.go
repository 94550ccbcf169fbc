package sysgate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recorderGuests are another processor, and a kernel on which programs of the recorder
// cannot wait (Linux 5.17).
var recorderGuests = []guest{listenerGuests[0], listenerGuests[2]}

// TestRecorderGuests runs the recorders on other kernels.
func TestRecorderGuests(t *testing.T) {
	needGuests(t)
	for _, g := range recorderGuests {
		t.Run(g.name, func(t *testing.T) {
			vmlinuz := g.vmlinuz(t)
			dir := t.TempDir()
			for name, args := range map[string][]string{
				"init": {"build", "-o", filepath.Join(dir, "init"), "./testdata/guest"},
				"test": {"test", "-c", "-o", filepath.Join(dir, "test"), "./internal/record"},
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
			out := g.boot(t, vmlinuz, image, "tests=^TestOwnCalls$")
			for _, recorder := range []string{"ebpf", "notify", "ptrace"} {
				if !strings.Contains(out, "--- PASS: TestOwnCalls/"+recorder+" ") {
					t.Errorf("%s did not pass\n%s", recorder, out)
				}
			}
		})
	}
}
