package profile

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// loadedBy builds a position-independent hello that names a dynamic loader.
func loadedBy(t *testing.T, loader string) string {
	t.Helper()
	return build(t, "./testdata/hello", nil, "-buildmode=pie", "-ldflags=-I "+loader)
}

// TestLoader checks what a position-independent program gets from the dynamic
// loader: implicit calls, but not the right to start programs.
func TestLoader(t *testing.T) {
	r := mustProfile(t, build(t, "./testdata/hello", nil, "-buildmode=pie"))
	requireSound(t, r)
	for _, name := range []string{"brk", "set_tid_address", "access", "mprotect"} {
		i := slices.IndexFunc(r.Set.Calls, func(c observe.Call) bool { return c.Name == name })
		if i < 0 {
			t.Errorf("%s is missing", name)
		} else if c := r.Set.Calls[i]; name != "mprotect" && (c.Class != observe.Implicit || !strings.Contains(c.Evidence, "dynamic loader")) {
			t.Errorf("%s: %v, %q", name, c.Class, c.Evidence)
		}
	}
	if r.StartsPrograms {
		t.Errorf("starts programs by %v", r.Starts)
	}
	if len(r.Set.Sources) != 2 || !strings.Contains(strings.Join(r.Set.Assumptions, "\n"), "preloaded") {
		t.Errorf("sources %q, assumptions %q", r.Set.Sources, r.Set.Assumptions)
	}
}

// TestLoaderOnly checks what does not count of a loader's calls, and that it counts
// where the program makes it, or where the loader is also the C library.
func TestLoaderOnly(t *testing.T) {
	needGCC(t)
	for _, tt := range []struct {
		cc, text   string
		found, not []string
	}{
		{"gcc", "int main() { return 0; }", []string{"brk"}, []string{"execve", "setitimer"}},
		{"gcc", "#include <sys/time.h>\nint main(int c, char **v) { return setitimer(0, 0, 0) + execve(v[0], v, 0); }", []string{"execve", "setitimer"}, nil},
		{"musl-gcc", "#include <sys/time.h>\n#include <unistd.h>\nint main(int c, char **v) { return setitimer(0, 0, 0) + execve(v[0], v, 0); }", []string{"execve", "setitimer"}, []string{"ptrace"}},
	} {
		t.Run(tt.cc, func(t *testing.T) {
			r := mustProfile(t, buildC(t, tt.cc, tt.text))
			requireSound(t, r)
			for _, name := range tt.found {
				if !names(r)[name] {
					t.Errorf("%s is missing", name)
				}
			}
			for _, name := range tt.not {
				if names(r)[name] {
					t.Errorf("%s is there: %v", name, r.Path(name))
				}
			}
		})
	}
}

// TestLoaders profiles programs whose dynamic loaders are made to hide calls.
func TestLoaders(t *testing.T) {
	needGCC(t)
	for _, tt := range []struct {
		name, text string
		found      []string // names that must be there
		reason     string   // of an undetermined site
	}{
		{"constant", "static long call(void) { long r; asm volatile(\"syscall\" : \"=a\"(r) : \"0\"(105L)); return r; }\nvoid _start(void) { call(); for (;;); }", []string{"setuid"}, ""},
		{"choice", "void _start(long x) { long r; asm volatile(\"mov $105, %%eax; test %1, %1; je 1f; mov $106, %%eax; 1: syscall\" : \"=&a\"(r) : \"r\"(x)); for (;;); }", []string{"setuid", "setgid"}, ""},
		{"parameter", "__attribute__((noinline)) long call(long n) { long r; asm volatile(\"syscall\" : \"=a\"(r) : \"0\"(n)); return r; }\nvoid _start(void) { call(105); for (;;); }", []string{"setuid"}, ""},
		{"variable", "long n = 105;\nvoid _start(void) { long r; asm volatile(\"syscall\" : \"=a\"(r) : \"0\"(n)); for (;;); }", nil, ""},
		{"legacy", "void _start(void) { long r; asm volatile(\"int $0x80\" : \"=a\"(r) : \"0\"(23L)); for (;;); }", nil, "32-bit system call"},
		{"without unwind data", "asm(\".globl _start\\n_start: mov $105, %eax\\nsyscall\\njmp _start\");\nvoid other(void) {}", []string{"setuid"}, ""},
		{"behind data", "asm(\".globl _start\\n_start: jmp 1f\\n.byte 0xe8\\n1: mov $105, %eax\\nsyscall\\njmp _start\");\nvoid other(void) {}", []string{"setuid"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			src, out := filepath.Join(dir, "l.c"), filepath.Join(dir, "l.so")
			if err := os.WriteFile(src, []byte(tt.text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("gcc", "-O1", "-shared", "-nostdlib", "-fPIC", "-fno-stack-protector", "-Wl,--eh-frame-hdr", "-o", out, src)
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, msg)
			}
			r := mustProfile(t, loadedBy(t, out))
			for _, name := range tt.found {
				if !names(r)[name] {
					t.Errorf("%s is missing", name)
				}
			}
			if len(tt.found) > 0 {
				if !r.Set.Sound {
					t.Errorf("not sound: %v", r.Undetermined)
				}
				return
			}
			if len(r.Undetermined) == 0 || r.Set.Sound || !strings.HasPrefix(r.Undetermined[0].Func, "l.so") || !strings.Contains(r.Undetermined[0].Reason, tt.reason) {
				t.Errorf("sound %v, undetermined %v", r.Set.Sound, r.Undetermined)
			}
		})
	}
}

// TestNoLoader checks that a program without its loader is an error that says
// so, and so is a loader that cannot be looked at.
func TestNoLoader(t *testing.T) {
	if _, err := File(loadedBy(t, "/nonexistent/ld.so"), Options{}); err == nil || !strings.Contains(err.Error(), "its dynamic loader") {
		t.Errorf("a missing loader: %v", err)
	}
	refused := new(image.RefusedError)
	for _, loader := range []string{"/bin/sh", "/etc/passwd", build(t, "./testdata/hello", nil)} {
		if _, err := File(loadedBy(t, loader), Options{}); !errors.As(err, &refused) {
			t.Errorf("%s as a loader: %v", loader, err)
		}
	}
}
