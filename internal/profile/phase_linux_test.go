package profile

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// A program whose constructor leaves things behind, and whose main says where it
// begins: by a call that nothing else makes.
const phaseProgram = `
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void handler(int s) { syscall(SYS_getpgid, 0); }
static void bye(void) { syscall(SYS_getsid, 0); }
static void stored(void) { syscall(SYS_getppid); }
static void copied(void) { syscall(SYS_getegid); }
static void passed(void) { syscall(SYS_getpgrp); }
static void early(void) { syscall(SYS_getresuid, 0, 0, 0); }
static void callback(void) { syscall(SYS_getresgid, 0, 0, 0); }
static void (*const constants[])(void) = {0, copied};
static volatile int one = 1;
static void (*table[3])(void), (*kept)(void);
__attribute__((noinline)) static void keep(void (*f)(void)) { kept = f; }
__attribute__((noinline)) static void run(void (*f)(void)) { f(); }
__attribute__((constructor)) static void init(void) {
	signal(SIGUSR1, handler);
	atexit(bye);
	early();
	run(callback);
	syscall(SYS_iopl, -1);
	table[1] = stored;
	table[2] = constants[one];
	keep(passed);
}
__attribute__((destructor)) static void fini(void) { syscall(SYS_getuid); }
int main(int argc, char **argv) {
	syscall(SYS_sched_rr_get_interval, 0, 0);
	raise(SIGUSR1);
	table[argc]();
	table[argc + 1]();
	kept();
	puts("done");
	return 0;
}
`

const phaseMark = "sched_rr_get_interval"

// compilePhase builds phaseProgram.
func compilePhase(t *testing.T, compiler string, flags ...string) string {
	t.Helper()
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("%s is not installed", compiler)
	}
	src, out := filepath.Join(t.TempDir(), "p.c"), filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(src, []byte(phaseProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(compiler, append(flags, "-o", out, src)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// TestPhaseMain checks what of a program falls away before main, and that what
// constructors leave behind does not.
func TestPhaseMain(t *testing.T) {
	needGCC(t)
	needStrace(t)
	for _, tt := range []struct {
		name, compiler string
		flags          []string
		before         []string
	}{
		{"dynamic", "gcc", []string{"-O2"}, []string{"access", "arch_prctl", "set_tid_address", "rseq"}},
		{"lazy", "gcc", []string{"-O1", "-Wl,-z,lazy", "-no-pie"}, []string{"access", "arch_prctl", "set_tid_address", "rseq"}},
		{"static, stripped", "gcc", []string{"-O2", "-static", "-s"}, []string{"access", "arch_prctl", "set_tid_address", "rseq"}},
		{"static, position-independent", "gcc", []string{"-O2", "-static-pie", "-s"}, []string{"access", "arch_prctl", "set_tid_address", "rseq"}},
		{"musl, static", "musl-gcc", []string{"-O2", "-static", "-s"}, []string{"arch_prctl", "set_tid_address"}},
		{"musl", "musl-gcc", []string{"-O2"}, []string{"arch_prctl", "set_tid_address"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program := compilePhase(t, tt.compiler, tt.flags...)
			whole := mustProfile(t, program)
			r, err := File(program, Options{Phase: PhaseMain})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range r.Undetermined {
				t.Errorf("undetermined: %s: %s", s.Func, s.Reason)
			}
			has, all := names(r), names(whole)
			for _, name := range []string{"getpgid", "getsid", "getppid", "getegid", "getpgrp", "getuid", phaseMark} {
				if !has[name] {
					t.Errorf("%s is missing", name)
				}
			}
			for _, name := range append(tt.before, "iopl", "getresuid", "getresgid") {
				if has[name] || !all[name] || !slices.Contains(r.Before, name) {
					t.Errorf("%s: in %v, in the whole life %v, before %v; %v", name, has[name], all[name], r.Before, r.Path(name))
				}
			}
			for _, name := range slices.Sorted(maps.Keys(traceAfter(t, phaseMark+"(", program))) {
				if !has[name] {
					t.Errorf("missed: %s", name)
				}
			}
		})
	}
}

// traceAfter returns the calls that a run makes behind the first line with mark.
func traceAfter(t *testing.T, mark string, program string, args ...string) map[string]bool {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	msg, err := exec.Command("strace", append([]string{"-f", "-qq", "-o", out, program}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), mark)
	if !ok {
		t.Fatalf("no %q in\n%s", mark, text)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(rest) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if name, _, ok := strings.Cut(fields[1], "("); ok {
			if _, known := abi.AMD64.Lookup(name); known {
				seen[name] = true
			}
		}
	}
	return seen
}

// TestPhaseMainTruth compares profiles from main on with what programs do behind the
// last call of glibc's start, which the constructors of their libraries precede or
// follow.
func TestPhaseMainTruth(t *testing.T) {
	needStrace(t)
	for _, run := range nativeTruths {
		if !slices.Contains([]string{"cat", "ls", "sort", "find", "grep", "sqlite3", "curl", "id", "openssl"}, filepath.Base(run[0])) {
			continue // others start programs, or are linked statically
		}
		t.Run(filepath.Base(run[0]), func(t *testing.T) {
			if _, err := os.Stat(run[0]); err != nil {
				t.Skipf("%s is not installed", run[0])
			}
			r, err := File(run[0], Options{NoLibraries: true, Phase: PhaseMain})
			if err != nil {
				t.Fatal(err)
			}
			args := slices.Clone(run[1:])
			for i, a := range args {
				if a == "OUT" {
					args[i] = filepath.Join(t.TempDir(), "out")
				}
			}
			for name := range traceAfter(t, "prlimit64(0, RLIMIT_STACK", run[0], args...) {
				if !names(r)[name] {
					t.Errorf("missed: %s", name)
				}
			}
		})
	}
}

// TestPhaseMainGo checks that of a Go program only what its runtime's entry alone leads
// to falls away, and that this is made before main.main.
func TestPhaseMainGo(t *testing.T) {
	program := build(t, "./testdata/hello", nil)
	whole := mustProfile(t, program)
	r, err := File(program, Options{Phase: PhaseMain})
	if err != nil {
		t.Fatal(err)
	}
	requireSound(t, r)
	if len(r.Set.Calls)+len(r.Before) != len(whole.Set.Calls) {
		t.Errorf("%d calls, before %v, in the whole life %d", len(r.Set.Calls), r.Before, len(whole.Set.Calls))
	}
	for _, name := range []string{"futex", "clone", "mmap", "rt_sigaction", "tgkill", "exit_group", "write"} {
		if !names(r)[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestPhaseWithoutMain checks that a program whose main is not known is refused.
func TestPhaseWithoutMain(t *testing.T) {
	needGCC(t)
	src, out := filepath.Join(t.TempDir(), "p.c"), filepath.Join(t.TempDir(), "p")
	text := "void _start(void) { asm volatile(\"mov $60, %eax; syscall\"); __builtin_unreachable(); }\n"
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command("gcc", "-O2", "-nostdlib", "-static", "-o", out, src).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	if _, err := File(out, Options{Phase: PhaseMain}); err == nil || !strings.Contains(err.Error(), "main") {
		t.Errorf("err = %v", err)
	}
}

// TestPhaseLeftBehind checks every way in which a constructor can leave a function
// behind, and some in which it does not.
func TestPhaseLeftBehind(t *testing.T) {
	const head = `
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#define KEEP __attribute__((noinline, noipa))
typedef void (*func)(void);
static void left(void) { syscall(SYS_getsid, 0); }
static volatile uintptr_t kept;
static volatile struct pair { func a, b; } pair;
static func *heap;
`
	for _, tt := range []struct {
		name, code string
		left       bool
	}{
		{"stored", "func volatile v; __attribute__((constructor)) static void init(void) { v = left; }", true},
		{"mangled", "__attribute__((constructor)) static void init(void) { uintptr_t x = (uintptr_t)left; asm volatile(\"\" : \"+r\"(x)); kept = x ^ 0x5555; }", true},
		{"computed with", "KEEP static void keep(uintptr_t x) { kept = x + 3; }\n__attribute__((constructor)) static void init(void) { keep((uintptr_t)left); }", true},
		{"two at once", "__attribute__((constructor)) static void init(void) { pair.a = left; pair.b = left; }", true},
		{"returned", "KEEP static func get(void) { return left; }\n__attribute__((constructor)) static void init(void) { kept = (uintptr_t)get(); }", true},
		{"through a pointer", "KEEP static void put(func *p) { *p = left; }\n__attribute__((constructor)) static void init(void) { static func cell[2]; heap = cell; put(heap + 1); }", true},
		{"the seventh argument", "KEEP static void put(long a, long b, long c, long d, long e, long f, func g) { kept = (uintptr_t)g; }\n__attribute__((constructor)) static void init(void) { put(1, 2, 3, 4, 5, 6, left); }", true},
		{"in a struct on the stack", "KEEP static void put(struct pair *p) { kept = (uintptr_t)p->b; }\n__attribute__((constructor)) static void init(void) { struct pair p = {0, left}; put(&p); }", true},
		{"by four calls", "KEEP static void d(func f) { kept = (uintptr_t)f; }\nKEEP static void c(int x, func f) { d(f); }\nKEEP static void b(func f) { c(1, f); }\n__attribute__((constructor)) static void init(void) { b(left); }", true},
		{"exchanged", "__attribute__((constructor)) static void init(void) { __atomic_exchange_n(&kept, (uintptr_t)left, __ATOMIC_SEQ_CST); }", true},
		{"copied from constants", "static func const list[] = {0, left, 0};\nstatic volatile int one = 1;\n__attribute__((constructor)) static void init(void) { kept = (uintptr_t)list[one]; }", true},
		{"called", "__attribute__((constructor)) static void init(void) { left(); }", false},
		{"called back", "KEEP static void run(func f) { f(); }\n__attribute__((constructor)) static void init(void) { run(left); }", false},
	} {
		for _, flags := range [][]string{{"-O0"}, {"-O1"}, {"-O2", "-no-pie"}} {
			if tt.name == "called back" && flags[0] == "-O0" {
				continue // near where arguments on the stack are
			}
			dir := t.TempDir()
			r, err := File(compileC(t, dir, "p", head+tt.code+"\nint main(void) { return kept != 0; }\n", append(flags, "-w")...), Options{Phase: PhaseMain})
			if err != nil {
				t.Fatal(err)
			}
			if has := names(r)["getsid"]; has != tt.left {
				t.Errorf("%s, %v: left behind %v", tt.name, flags, has)
			}
		}
	}
}
