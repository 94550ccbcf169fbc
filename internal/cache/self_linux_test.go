package cache

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSelf builds programs with and without the linker's identity.
func TestSelf(t *testing.T) {
	a, ok := Self()
	if b, _ := Self(); !ok || a != b || a == [32]byte{} {
		t.Errorf("%x, %v, then %x", a, ok, b)
	}
	dir := t.TempDir()
	note := func(text string, flags ...string) string {
		t.Helper()
		source, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "out")
		if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println("+text+") }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), source)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		f, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return string(goBuildID(f))
	}
	one, other := note("1"), note("2")
	if one == "" || one == other {
		t.Errorf("two programs: %q and %q", one, other)
	}
	if got := note("1", "-ldflags=-s -w"); got == "" || got == one {
		t.Errorf("built in another way: %q and %q", got, one)
	}
	for _, flag := range []string{"-ldflags=-buildid=", "-ldflags=-buildid=redacted"} {
		if got := note("1", flag); got != "" {
			t.Errorf("%s: %q", flag, got)
		}
	}
}
