package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// build386 builds a command of the Go distribution for linux/386.
func build386(t testing.TB, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=386")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, msg)
	}
	return out
}

// Test386Objdump is TestAMD64Objdump for 32-bit code: a Go program, and the C
// library where there is one.
func Test386Objdump(t *testing.T) {
	needObjdump(t)
	pkg := "cmd/gofmt"
	if os.Getenv("SYSGATE_LONG") != "" {
		pkg = "cmd/go"
	}
	paths := []string{build386(t, pkg)}
	for _, path := range []string{"/lib32/libc.so.6", "/lib32/libm.so.6"} {
		if exists(path) {
			paths = append(paths, path)
		}
	}
	total := 0
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			d := differ{decode: Decode386, seen: make(map[*regexp.Regexp]map[string]bool)}
			disassemble(t, "objdump", path, d.compare)
			total += d.count
			d.report(t)
		})
	}
	if want := 400_000; total < want {
		t.Errorf("compared %d instructions, want %d", total, want)
	}
}
