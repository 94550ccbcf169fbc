package sysgate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maskGuests are further architectures: ppc64le, and mips, whose o32 ABI hands over
// 64-bit arguments in pairs of registers.
var maskGuests = []guest{
	{"ppc64le", "ppc64le", "", debianPackage{"ppc64el", "linux-image-powerpc64le"}, []string{"qemu-system-ppc64", "-M", "pseries", "-cpu", "power9"}, "hvc0", "qemu-system-ppc"},
	{"mips64le", "mips64le", "mipsle", debianPackage{"mips64el", "linux-image-5kc-malta"}, []string{"qemu-system-mips64el", "-M", "malta", "-cpu", "MIPS64R2-generic", "-smp", "1"}, "ttyS0", "qemu-system-mips"},
}

// TestGuestReadMasks asks kernels of other architectures which bits of arguments
// they read. It needs what TestGuests needs.
func TestGuestReadMasks(t *testing.T) {
	needGuests(t)
	for _, g := range append(slices.Clone(guests), maskGuests...) {
		if g.arch == "amd64" {
			continue // package abi asks the running kernel
		}
		t.Run(g.name, func(t *testing.T) {
			vmlinuz := g.vmlinuz(t)
			image := filepath.Join(t.TempDir(), "initrd")
			files := map[string]string{"init": readmasks(t, g.arch)}
			if g.compat != "" {
				files["compat"] = readmasks(t, g.compat)
			}
			if err := os.WriteFile(image, initramfs(t, files), 0o644); err != nil {
				t.Fatal(err)
			}
			out := g.boot(t, vmlinuz, image)
			ok, done := map[string]int{}, false
			for line := range strings.Lines(out) {
				said, isGuest := strings.CutPrefix(strings.TrimSpace(line), "guest: ")
				arch, _, _ := strings.Cut(said, " ")
				switch {
				case !isGuest || said == "started":
				case said == "done":
					done = true
				case strings.HasSuffix(said, ": ok"):
					ok[arch]++
				default:
					t.Error(said)
				}
			}
			const least = 35
			if !done || ok[g.arch] < least || g.compat != "" && ok[g.compat] < least {
				t.Errorf("done: %v, calls that passed: %v, want at least %d each\n%s", done, ok, least, out)
			}
			t.Logf("calls that passed: %v", ok)
		})
	}
}

// readmasks builds testdata/readmasks for an architecture.
func readmasks(t *testing.T, arch string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "readmasks-"+arch)
	build := exec.Command("go", "build", "-o", program, "./testdata/readmasks")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOARM=7", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}
