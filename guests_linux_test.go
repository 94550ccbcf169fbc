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
// process, on a kernel of a distribution.
type guest struct {
	name    string
	arch    string // of Go
	compat  string // a further one that the kernel runs; "" for none
	kernel  kernelPackage
	qemu    []string
	console string
	needs   string // Debian's package of qemu
}

var (
	qemuAMD64 = []string{"qemu-system-x86_64", "-M", "q35", "-cpu", "max"}
	qemuARM64 = []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"}
	qemuS390X = []string{"qemu-system-s390x", "-M", "s390-ccw-virtio", "-cpu", "max"}
)

// guests are other processors, with a current kernel: arm64, which has a 32-bit ABI
// beside it, and s390x, whose byte order is the other one. And there are older
// kernels, as they were when they came out: one before kill_process and log, one
// before user_notify, one before tsync and listeners went together.
var guests = []guest{
	{"arm64", "arm64", "arm", debianPackage{"arm64", "linux-image-cloud-arm64"}, qemuARM64, "ttyAMA0", "qemu-system-arm"},
	{"s390x", "s390x", "", debianPackage{"s390x", "linux-image-s390x"}, qemuS390X, "ttysclp0", "qemu-system-misc"},
	{"amd64 Linux 4.4", "amd64", "386", ubuntuPackage{
		"pool/main/l/linux/linux-image-4.4.0-21-generic_4.4.0-21.37_amd64.deb",
		"be0b48760d001839a8625e8de33011700a495255e3b258511ec4ffdab43c06ff",
	}, qemuAMD64, "ttyS0", "qemu-system-x86"},
	{"amd64 Linux 4.15", "amd64", "386", ubuntuPackage{
		"pool/main/l/linux-signed/linux-image-4.15.0-20-generic_4.15.0-20.21_amd64.deb",
		"b92991dc7c21f0212978f17e043d32a7551fc12dd1d9365434f803a25cd1adf8",
	}, qemuAMD64, "ttyS0", "qemu-system-x86"},
	{"amd64 Linux 5.4", "amd64", "386", ubuntuPackage{
		"pool/main/l/linux-signed/linux-image-5.4.0-26-generic_5.4.0-26.30_amd64.deb",
		"5f619f3d9123f40603a164c6358fdcb1485b742c9bf497099bcc642076e0e782",
	}, qemuAMD64, "ttyS0", "qemu-system-x86"},
}

// TestGuests is TestScenarios on other kernels. It takes qemu, Debian's package
// tools and the distributions' archives; kernels are kept in the user's cache
// directory.
func TestGuests(t *testing.T) {
	needGuests(t)
	for _, g := range guests {
		t.Run(g.name, func(t *testing.T) {
			vmlinuz := g.vmlinuz(t)
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

// needGuests skips the test outside of make test-long.
func needGuests(t *testing.T) {
	t.Helper()
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("boots other kernels under qemu: set SYSGATE_LONG=1 (make test-long)")
	}
}

// vmlinuz returns the file of g's kernel. It skips the test where qemu is missing.
func (g guest) vmlinuz(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath(g.qemu[0]); err != nil {
		t.Skipf("needs %s (Debian: %s)", g.qemu[0], g.needs)
	}
	return cachedKernel(t, g.kernel)
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
		case strings.Contains(said, " skip: "):
			t.Logf("%s: %s", family, said)
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
// its console. Options are for the kernel's command line.
func (g guest) boot(t *testing.T, kernel, initrd string, options ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	options = append([]string{"console=" + g.console, "quiet", "panic=-1"}, options...)
	args := []string{"-accel", "tcg", "-smp", "2", "-m", "512", "-nographic", "-no-reboot", "-nic", "none"}
	args = append(args, g.qemu[1:]...) // which win
	args = append(args, "-kernel", kernel, "-initrd", initrd, "-append", strings.Join(options, " "))
	out, err := exec.CommandContext(ctx, g.qemu[0], args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", errors.Join(ctx.Err(), err), out)
	}
	return string(out)
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
	for _, dir := range []string{"dev", "lib", "proc", "sys", "tmp"} {
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
