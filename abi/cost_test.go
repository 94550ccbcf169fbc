package abi

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		AMD64.Lookup("openat")
	}
}

func BenchmarkSyscallName(b *testing.B) {
	for b.Loop() {
		AMD64.SyscallName(257)
	}
}

func BenchmarkReadMask(b *testing.B) {
	for b.Loop() {
		AMD64.ReadMask(257, 3)
	}
}

func BenchmarkConstant(b *testing.B) {
	for b.Loop() {
		AMD64.Constant("O_CLOEXEC")
	}
}

// TestNoAllocation checks what filters and loops call.
func TestNoAllocation(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		nr, _ := AMD64.Lookup("openat")
		AMD64.SyscallName(nr)
		AMD64.ReadMask(nr, 3)
		AMD64.Since(nr)
		AMD64.Constant("O_CLOEXEC")
		AMD64.ErrnoName(38)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNoStartup checks that a program that imports the package does nothing for
// it before main: the compiler has laid everything out, and made no initializer.
func TestNoStartup(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	text := `package main

import "github.com/sysgate/sysgate/abi"

func main() {
	a, _ := abi.Parse("x86_64")
	nr, _ := a.Lookup("read")
	v, _ := a.Constant("AF_UNIX")
	n, _ := a.Errno("EPERM")
	args, _ := a.Args(nr)
	println(nr, v, n, len(args), a.SyscallName(1), abi.Suggest("opne"), a.Group("read")[0], abi.Latest.String())
}
`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "main")
	if out, err := exec.Command("go", "build", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("go", "tool", "nm", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	symbols := string(out)
	if !strings.Contains(symbols, "sysgate/abi.ABI.Lookup") {
		t.Fatal("the program does not have the package")
	}
	for l := range strings.Lines(symbols) {
		if strings.Contains(l, "sysgate/abi.init") {
			t.Errorf("initializer: %s", l)
		}
	}
}
