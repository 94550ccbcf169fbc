package profile

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/image"
)

// patched writes a program with one part of it replaced by bytes of the same
// length, everywhere.
func patched(t *testing.T, path, old, new string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(old) != len(new) || !bytes.Contains(data, []byte(old)) {
		t.Fatalf("cannot replace %q by %q", old, new)
	}
	return written(t, bytes.ReplaceAll(data, []byte(old), []byte(new)))
}

func written(t *testing.T, data []byte) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(out, data, 0o700); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRefused checks that a file without a sound profile is refused with the
// reason, and never yields an empty list.
func TestRefused(t *testing.T) {
	hello := func(t *testing.T, env []string, flags ...string) string {
		return build(t, "./testdata/hello", env, flags...)
	}
	version := func(t *testing.T) string { return mustProfile(t, hello(t, nil)).Build.Version }
	tests := []struct {
		name   string
		make   func(t *testing.T) string
		reason string
	}{
		{"plugin", func(t *testing.T) string { return cgo(t, "-buildmode=plugin") }, "buildmode=plugin"},
		{"mips", func(t *testing.T) string { return hello(t, []string{"GOARCH=mipsle"}) }, "EM_MIPS"},
		{"s390x", func(t *testing.T) string { return hello(t, []string{"GOARCH=s390x"}) }, "EM_S390"},
		{"windows", func(t *testing.T) string { return hello(t, []string{"GOOS=windows"}) }, "Windows"},
		{"darwin", func(t *testing.T) string { return hello(t, []string{"GOOS=darwin"}) }, "macOS"},
		{"shared library", func(t *testing.T) string { return compiled(t, "-shared", "-fPIC") }, "shared library"},
		{"script", func(t *testing.T) string { return written(t, []byte("#!/bin/sh -e\n")) }, "a script"},
		{"text", func(t *testing.T) string { return written(t, []byte("hello\n")) }, "not an ELF"},
		{"empty", func(t *testing.T) string { return written(t, nil) }, "empty file"},
		{"too old", func(t *testing.T) string {
			return patched(t, hello(t, nil), version(t), "go1.15.1"+strings.Repeat(" ", len(version(t))-8))
		}, "Go before 1.16"},
		{"new, with the tables of another release", func(t *testing.T) string {
			return newer(t, hello(t, nil), 37)
		}, "tables are not those"},
		{"obfuscated version", func(t *testing.T) string {
			return patched(t, hello(t, nil), version(t), strings.Repeat("u", len(version(t))))
		}, "unknown Go version"},
		{"no build information", func(t *testing.T) string { return patched(t, hello(t, nil), "\xff Go buildinf:", "\xff No buildinf:") }, "no Go build information"},
		{"packed", func(t *testing.T) string {
			p := patched(t, hello(t, nil), "\xff Go buildinf:", "\xff No buildinf:")
			data, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			return written(t, append(data, "UPX!"...))
		}, "UPX"},
		{"no function table", func(t *testing.T) string {
			return patched(t, hello(t, nil), "\xf1\xff\xff\xff\x00\x00\x01\x08", "\xf3\xff\xff\xff\x00\x00\x01\x08")
		}, "function table"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := File(tt.make(t), Options{})
			var refused *image.RefusedError
			if !errors.As(err, &refused) || r != nil {
				t.Fatalf("%v: not refused", err)
			}
			if !strings.Contains(refused.Reason, tt.reason) {
				t.Errorf("reason %q, want %q", refused.Reason, tt.reason)
			}
		})
	}
}

// newer makes a program look like one of a later release of Go, with the word of
// moduledata changed if it is not 0.
func newer(t *testing.T, path string, word uint64) string {
	t.Helper()
	p, err := image.Load(path, image.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	table := make([]byte, p.WordSize())
	for i := range table {
		table[i] = byte(p.Table.Start >> (8 * i))
	}
	data := bytes.ReplaceAll(p.Contents(), []byte(p.Build.Version), []byte("go1.99.1"+strings.Repeat(" ", len(p.Build.Version)-8)))
	if word != 0 {
		const headers = 4096
		i := bytes.Index(data[headers:], table) // moduledata starts with it
		if i < 0 {
			t.Fatal("no moduledata")
		}
		copy(data[headers+i+int(word*p.WordSize()):], table)
	}
	p.Close()
	return written(t, data)
}

// TestNewer checks that a release newer than those that are verified is taken
// where its tables are what they were, and that the profile says so.
func TestNewer(t *testing.T) {
	for _, arch := range []string{"amd64", "arm", "riscv64"} {
		path := build(t, "./testdata/hello", []string{"GOARCH=" + arch})
		known, r := mustProfile(t, path), mustProfile(t, newer(t, path, 0))
		requireSound(t, r)
		requireSame(t, known, r)
		if !strings.Contains(strings.Join(r.Set.Assumptions, "\n"), "go1.99.1") || strings.Contains(strings.Join(known.Set.Assumptions, "\n"), "go1.") {
			t.Errorf("%s: assumptions %q", arch, r.Set.Assumptions)
		}
	}
}

// TestTruncated checks that a program cut short anywhere is refused.
func TestTruncated(t *testing.T) {
	data, err := os.ReadFile(build(t, "./testdata/hello", nil, stripped))
	if err != nil {
		t.Fatal(err)
	}
	// The end of the last segment is the end of what the program needs.
	for _, n := range []int{1, 16, 63, 64, 100, 400, 4096, 5000, len(data) / 2, len(data) * 9 / 10} {
		if r, err := File(written(t, data[:n]), Options{}); err == nil {
			t.Errorf("%d bytes: %d calls", n, len(r.Set.Calls))
		} else if refused := new(image.RefusedError); !errors.As(err, &refused) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := File(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := File(t.TempDir(), Options{}); err == nil {
		t.Error("a directory is profiled")
	}
}

func needGCC(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed: no C program to refuse")
	}
}

func compiled(t *testing.T, flags ...string) string {
	t.Helper()
	needGCC(t)
	dir := t.TempDir()
	src, out := filepath.Join(dir, "c.c"), filepath.Join(dir, "c")
	if err := os.WriteFile(src, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command("gcc", append(flags, "-o", out, src)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

func cgo(t *testing.T, flags ...string) string {
	t.Helper()
	needGCC(t)
	dir := t.TempDir()
	src, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "m")
	if err := os.WriteFile(src, []byte("package main\n\nimport \"C\"\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), src)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}
