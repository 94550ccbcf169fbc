package sysgate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A guest is a machine under qemu that runs testdata/installer as its only
// process, on a Debian kernel.
type guest struct {
	arch    string
	compat  string // a further architecture of Go that the kernel runs; "" for none
	kernel  string // Debian's package, which depends on the current one
	debian  string // Debian's name of the architecture
	qemu    []string
	console string
	packed  string // what qemu comes with in Debian, for the reason of a skip
}

var guests = []guest{
	{
		arch: "arm64", compat: "arm", kernel: "linux-image-cloud-arm64", debian: "arm64",
		qemu: []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"}, console: "ttyAMA0", packed: "qemu-system-arm",
	},
	{
		arch: "s390x", kernel: "linux-image-s390x", debian: "s390x",
		qemu: []string{"qemu-system-s390x", "-M", "s390-ccw-virtio", "-cpu", "max"}, console: "ttysclp0", packed: "qemu-system-misc",
	},
}

// TestGuests is TestScenarios on kernels for other processors: arm64, where a
// 32-bit ABI is beside it, and s390x, whose byte order is the other one. It takes
// qemu, Debian's package tools and its archive; kernels are kept in the user's
// cache directory.
func TestGuests(t *testing.T) {
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("boots foreign kernels under qemu: set SYSGATE_LONG=1 (make test-long)")
	}
	for _, g := range guests {
		t.Run(g.arch, func(t *testing.T) {
			if _, err := exec.LookPath(g.qemu[0]); err != nil {
				t.Skipf("needs %s (Debian: %s)", g.qemu[0], g.packed)
			}
			vmlinuz := g.downloadKernel(t)
			image := filepath.Join(t.TempDir(), "initrd")
			files := map[string]string{"init": variant{arch: g.arch}.installer(t)}
			if g.compat != "" {
				files["installer-compat"] = variant{arch: g.compat}.installer(t)
			}
			if err := os.WriteFile(image, initramfs(t, files), 0o644); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			out := g.boot(t, vmlinuz, image)
			t.Logf("%v from boot to power-off", time.Since(start).Round(time.Millisecond))
			g.judge(t, out)
		})
	}
}

// judge reads what the guest says: one line a scenario.
func (g guest) judge(t *testing.T, out string) {
	ok := map[string]int{}
	done := false
	for line := range strings.Lines(out) {
		said, isGuest := strings.CutPrefix(strings.TrimSpace(line), "guest: ")
		if !isGuest {
			continue
		}
		family := g.arch
		if rest, compat := strings.CutPrefix(said, "compat/"); compat {
			family, said = g.compat, rest
		}
		name, passed := strings.CutSuffix(said, " ok")
		switch {
		case said == "started":
		case said == "done":
			done = true
		case strings.HasPrefix(said, "Linux "):
			t.Log(said)
		case passed:
			ok[family]++
			t.Logf("%s: %s: ok", family, name)
		default:
			t.Errorf("%s: %s", family, said)
		}
	}
	const least = 20
	if !done || ok[g.arch] < least || g.compat != "" && ok[g.compat] < least {
		t.Errorf("done: %v, scenarios that passed: %v, want at least %d each\n%s", done, ok, least, out)
	}
}

// boot runs the machine until it switches itself off and returns what it writes to
// its console.
func (g guest) boot(t *testing.T, kernel, initrd string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	args := append(g.qemu[1:len(g.qemu):len(g.qemu)],
		"-accel", "tcg", "-smp", "2", "-m", "512", "-nographic", "-no-reboot", "-nic", "none",
		"-kernel", kernel, "-initrd", initrd, "-append", "console="+g.console+" quiet panic=-1")
	out, err := exec.CommandContext(ctx, g.qemu[0], args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", errors.Join(ctx.Err(), err), out)
	}
	return string(out)
}

// downloadKernel returns the file of Debian's current kernel for g. Package lists
// of the foreign architecture stay apart from the machine's own.
func (g guest) downloadKernel(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s, to download a kernel of Debian", tool)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	dir := filepath.Join(cache, "sysgate-test-guests", g.arch)
	if found, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*")); len(found) == 1 {
		return found[0]
	}
	work := t.TempDir()
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	status := filepath.Join(work, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tool := func(name string, args ...string) string {
		t.Helper()
		if strings.HasPrefix(name, "apt-") {
			for _, o := range []string{
				"Dir::State=" + filepath.Join(work, "state"), "Dir::State::status=" + status, "Dir::Cache=" + filepath.Join(work, "cache"),
				"APT::Architecture=" + g.debian, "APT::Architectures=" + g.debian, "APT::Sandbox::User=",
			} {
				args = append(args, "-o", o)
			}
		}
		cmd := exec.Command(name, args...)
		cmd.Dir = work
		out, err := cmd.CombinedOutput()
		if err != nil && name == "apt-get" {
			t.Skipf("needs Debian's archive: %s %v: %v\n%s", name, args, err, out)
		}
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	tool("apt-get", "-qq", "update")
	var current string
	for line := range strings.Lines(tool("apt-cache", "depends", g.kernel)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			current = "linux-image-" + name
			break
		}
	}
	if current == "" {
		t.Fatalf("%s depends on no kernel", g.kernel)
	}
	tool("apt-get", "-qq", "download", current)
	packages, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	if len(packages) != 1 {
		t.Fatalf("downloaded %v, want one package", packages)
	}
	tool("dpkg-deb", "-x", packages[0], filepath.Join(work, "tree"))
	found, _ := filepath.Glob(filepath.Join(work, "tree", "boot", "vmlinuz-*"))
	if len(found) != 1 {
		t.Fatalf("kernels %v in %s", found, packages[0])
	}
	kernel, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, "boot", filepath.Base(found[0]))
	if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o755), os.WriteFile(kept, kernel, 0o644)); err != nil {
		t.Fatal(err)
	}
	return kept
}

// initramfs returns an archive (cpio, "newc": Documentation/driver-api/early-userspace/buffer-format.rst)
// of programs and of what a kernel wants to start one.
func initramfs(t *testing.T, programs map[string]string) []byte {
	t.Helper()
	const (
		directory = 0o040755
		character = 0o020600
		regular   = 0o100755
	)
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	inode := 0
	entry := func(name string, mode, major, minor int, data []byte) {
		inode++
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
		b.WriteString(name + "\x00")
		pad()
		b.Write(data)
		pad()
	}
	for _, dir := range []string{"dev", "proc", "sys", "tmp"} {
		entry(dir, directory, 0, 0, nil)
	}
	entry("dev/console", character, 5, 1, nil)
	for name, file := range programs {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		entry(name, regular, 0, 0, data)
	}
	entry("TRAILER!!!", 0, 0, 0, nil)
	return b.Bytes()
}
