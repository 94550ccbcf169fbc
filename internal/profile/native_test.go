package profile

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// nativeHead is in front of every C program of the tests. raw(n) is a system call
// without libc's help.
const nativeHead = `
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <signal.h>
#include <sys/syscall.h>
#define INLINE static inline __attribute__((always_inline))
#define APART __attribute__((noinline, noclone, noipa))
#ifdef __aarch64__
INLINE long raw(long n) { register long x8 asm("x8") = n; register long x0 asm("x0") = 0; asm volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory"); return x0; }
#elif defined __riscv
INLINE long raw(long n) { register long a7 asm("a7") = n; register long a0 asm("a0") = 0; asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory"); return a0; }
#elif defined __arm__
INLINE long raw(long n) { register long r0 asm("r0") = 0; asm volatile("push {r7}; mov r7, %1; svc 0; pop {r7}" : "+r"(r0) : "r"(n) : "memory"); return r0; }
#elif defined __i386__
INLINE long raw(long n) { long r; asm volatile("int $0x80" : "=a"(r) : "0"(n) : "memory"); return r; }
#else
INLINE long raw(long n) { long r; asm volatile("syscall" : "=a"(r) : "0"(n) : "rcx", "r11", "memory"); return r; }
#endif
`

// functions are three that make a call each, and that only data names.
const functions = `static long f(void) { return raw(SYS_setuid); } static long g(void) { return raw(SYS_setgid); } static long h(void) { return raw(SYS_setreuid); } `

// section are three objects that are found by the section that they are in.
const section = functions + `
#define IN __attribute__((used, section("set")))
IN static long (*a)(void) = f; IN static long (*b)(void) = g; IN static long (*c)(void) = h; extern long (*__start_set[])(void), (*__stop_set[])(void); `

// distances is a table of how far three functions are from what the macro FROM says.
const distances = `APART __attribute__((used)) long f(void) { return raw(SYS_setuid); } APART __attribute__((used)) long g(void) { return raw(SYS_setgid); } APART __attribute__((used)) long h(void) { return raw(SYS_setreuid); }
extern const int table[]; typedef long (*call)(void); void origin(void);
asm(".section .rodata\n.p2align 2\ntable: .long f - " FROM ", g - " FROM ", h - " FROM "\n.text");
`

// cell is a struct with a number.
const cell = `struct s { long pad, nr; }; `

// mangled loads the address of syscall(), does something with it and gives it back.
const mangled = `#define hidden(how) ({ void *f; asm("movq syscall@GOTPCREL(%%rip), %%r12; " how "; movq %%r12, %0; xorl %%r12d, %%r12d" : "=r"(f) :: "r12", "xmm0"); f; })
`

// auxiliary is what a program needs to read the auxiliary vector.
const auxiliary = "#include <elf.h>\n#include <link.h>\n"

// fallbacks are the calls that the vDSO falls back to.
var fallbacks = []string{"clock_getres", "clock_gettime", "gettimeofday", "getrandom"}

// natives are C programs in which a number gets to its instruction in every way
// that compilers make. None of the calls is one that libc's start makes.
var natives = []nativeProgram{
	{name: "constant", text: `int main() { return raw(SYS_setuid); }`, found: []string{"setuid"}, not: []string{"setgid", "execve", "ptrace"}},
	{name: "nothing", text: `int main() { return 0; }`, not: []string{"execve", "ptrace", "socket", "setuid", "unlink", "kill", "fork"}},
	{name: "wrapper", text: `APART long call(long n) { return raw(n); } int main() { return call(SYS_setuid) + call(SYS_setgid); }`, found: []string{"setuid", "setgid"}},
	{name: "wrapper of a wrapper", text: `APART long call(long n) { return raw(n); } APART long more(int a, long n) { return a + call(n); } int main(int c, char **v) { return more(c, SYS_setuid) + more(1, SYS_setgid); }`, found: []string{"setuid", "setgid"}},
	{name: "seventh argument", text: `APART long call(int a, int b, int c, int d, int e, int f, long n) { return raw(n) + a; } int main(int c, char **v) { return call(c, 1, 2, 3, 4, 5, SYS_setuid); }`, found: []string{"setuid"}},
	{name: "syscall()", text: `int main() { return syscall(SYS_setuid) + syscall(SYS_ptrace, 0, 0, 0, 0); }`, found: []string{"setuid", "ptrace"}},
	{name: "choice", text: `int main(int c, char **v) { return raw(c > 1 ? SYS_setuid : SYS_setgid); }`, found: []string{"setuid", "setgid"}},
	{name: "switch", text: `APART long pick(int c) { switch (c) { case 0: return SYS_setuid; case 1: return SYS_setgid; case 2: return SYS_setreuid; case 3: return SYS_setregid; case 4: return SYS_setresuid; case 5: return SYS_setresgid; } __builtin_unreachable(); }
int main(int c, char **v) { long n = SYS_setuid; switch (c) { case 0: n = SYS_setuid; break; case 1: n = SYS_setgid; break; case 2: n = SYS_setreuid; break; case 3: n = SYS_setregid; break; case 4: puts("x"); n = SYS_setresuid; break; case 5: n = SYS_setresgid; break; } return raw(n); }`, found: []string{"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"}},
	{name: "loop", text: `APART int more(void) { return getpid() & 1; } int main() { int r = 0; do r += raw(SYS_setuid); while (more()); return r; }`, found: []string{"setuid"}},
	{name: "variable", symbols: true, text: `static volatile long n = SYS_setuid; APART void set(void) { n = SYS_setgid; } int main(int c, char **v) { if (c > 1) set(); return raw(n); }`, found: []string{"setuid"}},
	{name: "function pointer", text: `static long f(void) { return raw(SYS_setuid); } static long g(void) { return raw(SYS_setgid); } long (*volatile p)(void) = f; int main(int c, char **v) { if (c > 1) p = g; return p(); }`, found: []string{"setuid", "setgid"}},
	{name: "table of functions", text: `static long f(void) { return raw(SYS_setuid); } static long g(void) { return raw(SYS_setgid); } static long h(void) { return raw(SYS_setreuid); } static long (*const t[])(void) = {f, g, h}; int main(int c, char **v) { return t[c % 3](); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "nested table", text: `static long f(void) { return raw(SYS_setuid); } struct op { const char *name; long (*f)(void); }; static struct op one = {"x", f}; static struct op *all[] = {&one, 0}; int main(int c, char **v) { for (struct op **p = all; *p; p++) if (!strcmp(v[0], (*p)->name)) return (*p)->f(); return 1; }`, found: []string{"setuid"}},
	{name: "table from an offset", text: functions + `static long (*t[])(void) = {f, g, h}; APART long at(long i) { return t[i - 100](); } int main(int c, char **v) { return at(c + 100) + at(c + 99); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "constant table from an offset", text: functions + `static long (*const t[])(void) = {f, g, h}; APART long at(long i) { return t[i - 300](); } int main(int c, char **v) { return at(c + 300) + at(c + 299); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "table from its end", text: functions + `static long (*t[])(void) = {f, g, h}; APART int count(void) { return getpid() % 4; } int main(int c, char **v) { long (**p)(void) = t + 2, r = 0; for (int i = count(); i > 0; i--) r += (*p--)(); return r; }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "table backwards", text: functions + `static long (*t[])(void) = {f, g, h}; int main(int c, char **v) { long (**p)(void) = t + 3, r = 0; while (p != t) r += (*--p)(); return r; }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "table from one", on: abi.AMD64, text: functions + `static long (*t[])(void) = {f, g, h}; static long (**volatile one)(void) = t - 1; int main(int c, char **v) { return one[c](); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "table from one, in the handle of the module", on: abi.AMD64, text: functions + `static long (*t[])(void) = {f, g, h}; long (**volatile one)(void) = t - 1; int main(int c, char **v) { return one[c](); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "constant table from one", on: abi.AMD64, text: functions + `static long (*const t[])(void) = {f, g, h}; static long (*const *volatile one)(void) = t - 1; int main(int c, char **v) { return one[c](); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "table from a pointer to its end", on: abi.AMD64, text: functions + `static long (*t[])(void) = {f, g, h}; static long other[40] = {1}; long (**volatile end)(void) = t + 3; int main(int c, char **v) { return end[-c]() + other[c]++; }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "table of structures from an offset", text: functions + `static struct { long n; long (*f)(void); } t[] = {{1, f}, {2, g}, {3, h}}; APART long at(long i) { return t[i - 100].f(); } int main(int c, char **v) { return at(c + 100) + at(c + 99); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "distances", text: `#define FROM "table"` + "\n" + distances + `int main(int c, char **v) { return ((call)((char *)table + table[c]))(); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "distances from each", text: `#define FROM "."` + "\n" + distances + `int main(int c, char **v) { return ((call)((char *)&table[c] + table[c]))(); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "distances from a function", text: `#define FROM "origin"` + "\n" + distances + `APART __attribute__((used)) void origin(void) {} int main(int c, char **v) { return ((call)((char *)origin + table[c]))(); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "distances behind a pointer", text: `#define FROM "table"` + "\n" + distances + `APART long at(const int *t, int c) { long r = ((call)((char *)t + t[c]))(); return r + 1; } int main(int c, char **v) { return at(table, c); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "distances looked up apart", text: `#define FROM "table"` + "\n" + distances + `APART call at(int c) { return (call)((char *)table + table[c]); } int main(int c, char **v) { return at(c)(); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "section", text: section + `int main() { long r = 0; for (long (**p)(void) = __start_set; p < __stop_set; p++) r += (*p)(); return r; }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "section from its end", text: section + `long (**volatile end)(void) = __stop_set; int main() { long r = 0; for (int i = 1; i <= 3; i++) r += end[-i](); return r; }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "objects between labels", on: abi.AMD64, text: `__attribute__((used)) static long f(void) { return raw(SYS_setuid); } __attribute__((used)) static long g(void) { return raw(SYS_setgid); } asm(".data\n.balign 8\nfirst:\n.type a, @object\n.size a, 8\na: .quad f\n.type b, @object\n.size b, 8\nb: .quad g\nlast: .quad 0\n.text"); extern long (*first[])(void), (*last[])(void); int main() { long r = 0; for (long (**p)(void) = first; p < last; p++) r += (*p)(); return r; }`, found: []string{"setuid", "setgid"}},
	{name: "found by its member", text: functions + `struct node { struct node *next; }; struct op { long (*f)(void); const char *name; struct node in; }; static struct op one = {f, "one"}, two = {g, "two"}; struct node *volatile head; APART void add(struct node *n) { n->next = head; head = n; }
int main(int c, char **v) { long r = 0; add(&one.in); add(&two.in); for (struct node *n = head; n; n = n->next) r += ((struct op *)((char *)n - offsetof(struct op, in)))->f(); return r; }`, found: []string{"setuid", "setgid"}},
	{name: "unused", symbols: true, text: `static long f(void) { return raw(SYS_setuid); } struct op { const char *name; long (*f)(void); } extern_table[] = {{"a", f}}; long unused(void) { return raw(SYS_setgid) + extern_table[0].f(); } int main() { return 0; }`, not: []string{"setuid", "setgid"}},
	{name: "tail call", text: `APART long call(long n) { return raw(n); } APART long more(long n) { return call(n); } int main() { return more(SYS_setuid); }`, found: []string{"setuid"}},
	{name: "constructor", text: `__attribute__((constructor)) static void before(void) { raw(SYS_setuid); } __attribute__((destructor)) static void after(void) { raw(SYS_setgid); } int main() { return 0; }`, found: []string{"setuid", "setgid"}},
	{name: "handler", text: `static void on(int s) { raw(SYS_setuid); } int main() { struct sigaction a = {.sa_handler = on}; return sigaction(SIGUSR1, &a, 0); }`, found: []string{"setuid", "rt_sigaction", "rt_sigreturn"}},
	{name: "atexit", text: `static void on(void) { raw(SYS_setuid); } int main() { return atexit(on); }`, found: []string{"setuid"}},
	{name: "resolver", text: `static long f(void) { return raw(SYS_setuid); } static long g(void) { return raw(SYS_setgid); } static void *pick(void) { return raw(SYS_getpid) & 1 ? (void *)f : (void *)g; } long chosen(void) __attribute__((ifunc("pick"))); int main() { return chosen(); }`, found: []string{"setuid", "setgid"}},
	{name: "struct", text: `struct cmd { int nr; long arg; }; APART long run(struct cmd *c) { long r; asm volatile("syscall" : "=a"(r) : "0"((long)c->nr), "D"(c->arg) : "rcx", "r11", "memory"); return r; } APART long one(void) { struct cmd c = {SYS_setuid, 0}; return run(&c); } int main() { struct cmd c = {SYS_setgid, 0}; return run(&c) + one(); }`, found: []string{"setuid", "setgid"}},
	{name: "low byte", text: `int main() { long r; asm volatile("xorl %%eax, %%eax; movb $105, %%al; syscall" : "=a"(r) :: "rcx", "r11"); return r; }`, found: []string{"setuid"}},
	{name: "callee-saved", text: `int main() { long r; asm volatile("movl $105, %%r12d; call *%1; movq %%r12, %%rax; syscall" : "=a"(r) : "r"(getpid) : "rcx", "r11", "r12", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory"); return r; }`, found: []string{"setuid"}},
	{name: "table of numbers", symbols: true, text: `static const int t[] = {SYS_setuid, SYS_setgid, SYS_setreuid}; int main(int c, char **v) { return raw(t[c % 3]); }`, found: []string{"setuid", "setgid", "setreuid"}},
	{name: "struct result", text: `struct big { long a[4]; }; APART long call(long n) { return raw(n); } APART struct big make(int c) { struct big b = {{c}}; return b; } APART long work(int c) { struct big b = make(c); return call(SYS_setuid) + b.a[1]; } int main(int c, char **v) { return work(c) + call(SYS_setgid); }`, found: []string{"setuid", "setgid"}},
	{name: "place", on: abi.I386, text: `const int number = SYS_setuid; int main() { long r; asm volatile("call 1f; 1: popl %%ecx; addl $number-1b, %%ecx; movl (%%ecx), %%eax; int $0x80" : "=a"(r) :: "ecx", "memory"); return r; }`, found: []string{"setuid"}},
	{name: "memory", text: `int main(int c, char **v) { return raw(atoi(v[c - 1])); }`, reason: "result of a call"},
	{name: "overwritten member", text: `struct s { long pad, nr; }; APART void set(long *p) { p[1] = SYS_setgid; } int main() { struct s s = {1, SYS_setuid}; set(&s.pad); return raw(s.nr); }`, reason: "a stack word"},
	{name: "overwritten member before", text: `struct s { long nr, pad; }; APART void set(long *p) { p[-1] = SYS_setgid; } int main() { struct s s = {SYS_setuid, 1}; set(&s.pad); return raw(s.nr); }`, reason: "a stack word"},
	{name: "overwritten from its end", text: `APART int count(void) { return getpid() % 4; } int main() { long t[4] = {SYS_setuid, SYS_setuid, SYS_setuid, SYS_setuid}, *p = t + 4; for (int i = count(); i > 0; i--) *--p = SYS_setgid; return raw(t[1]); }`, reason: "a stack word"},
	{name: "variable overwritten from the next member", text: `struct s { long nr, pad; }; static struct s s = {SYS_setuid, 1}; APART void set(long *p) { p[-1] = SYS_setgid; } int main() { set(&s.pad); return raw(s.nr); }`, reason: "read from a variable"},
	{name: "variable overwritten from its end", text: `static long t[4] = {SYS_setuid, SYS_setuid, SYS_setuid, SYS_setuid}; APART int count(void) { return getpid() % 4; } int main() { long *p = t + 4; for (int i = count(); i > 0; i--) *--p = SYS_setgid; return raw(t[1]); }`, reason: "read from a variable"},
	{name: "variable overwritten at an offset", text: `static long t[3] = {SYS_setuid, SYS_setuid, SYS_setuid}; APART void put(long i) { t[i - 100] = SYS_setgid; } int main(int c, char **v) { put(c + 100); return raw(t[2]); }`, reason: "read from a variable"},
	{name: "parameter written before", text: cell + `APART long use(struct s *s) { s->nr = SYS_setgid; asm volatile("" ::: "memory"); return raw(s->nr); } int main() { struct s s = {1, SYS_setuid}; return use(&s); }`, reason: "a pointer"},
	{name: "parameter written by another", text: cell + `APART void set(struct s *s) { s->nr = SYS_setgid; } APART long use(struct s *s) { set(s); return raw(s->nr); } int main() { struct s s = {1, SYS_setuid}; return use(&s); }`, reason: "a pointer"},
	{name: "parameter written in a loop", text: cell + `APART long use(struct s *s, int n) { for (int i = 0; i < n; i++) { raw(s->nr); s->nr = SYS_setgid; asm volatile("" ::: "memory"); } return 0; } int main(int c, char **v) { struct s s = {1, SYS_setuid}; return use(&s, c + 1); }`, reason: "a pointer"},
	{name: "parameter's array written in a loop", text: `struct e { long nr, x, y; }; struct s { long n; struct e *list; }; APART long use(struct s *s) { long r = 0; for (int i = 0; i < s->n; i++) { s->list[i].x = 0; r += raw(s->list[i].nr); s->list[i].y = r; } return r; } int main(int c, char **v) { struct s s = {c, calloc(c, sizeof(struct e))}; return use(&s); }`, reason: "read "},
	{name: "parameter of two names", text: cell + `APART long use(struct s *s, long *p) { *p = SYS_setgid; return raw(s->nr); } int main() { struct s s = {1, SYS_setuid}; return use(&s, &s.nr); }`, reason: "a pointer"},
	{name: "parameter written beside", text: cell + `APART long use(struct s *s) { s->pad = 7; asm volatile("" ::: "memory"); return raw(s->nr); } int main() { struct s s; s.nr = SYS_setuid; return use(&s); }`, symbols: true, found: []string{"setuid"}},
	{name: "pointer in a variable", text: cell + `static struct s *p; APART long use(void) { return raw(p->nr); } APART void set(struct s *s) { s->nr = SYS_setgid; } int main() { struct s s = {1, SYS_setuid}; p = &s; set(&s); return use(); }`, reason: "a "},
	{name: "argument", text: `int main(int c, char **v) { return raw(c); }`, reason: "parameter of"},
	{name: "wrapper as a value", text: `APART long call(long n) { return raw(n); } long (*volatile p)(long) = call; int main(int c, char **v) { return p(c); }`, reason: "whose address is taken"},
	{name: "dead wrapper as a value", symbols: true, text: `APART long call(long n) { return raw(n); } struct { long (*f)(long); } table[] = {{call}}; long unused(int i, long n) { return table[i].f(n); } int main() { return call(SYS_setuid); }`, found: []string{"setuid"}},
	{name: "386 call", text: `int main() { long r; asm volatile("int $0x80" : "=a"(r) : "0"(23L)); return r; }`, reason: "32-bit system call"},
	{name: "dlsym", dynamic: true, text: `#include <dlfcn.h>
int main() { long (*f)(void) = dlsym(RTLD_DEFAULT, "setpgrp"); return f(); }`, found: []string{"setpgid"}},
	{name: "dlsym of a wrapper", dynamic: true, text: `#include <dlfcn.h>
int main(int c, char **v) { long (*f)(long) = dlsym(RTLD_DEFAULT, "syscall"); return syscall(SYS_setgid, 0) + f(c); }`, reason: "whose address is taken"},
	{name: "dlopen", dynamic: true, text: `#include <dlfcn.h>
int main() { void *h = dlopen("libcap.so.2", RTLD_NOW); long (*f)(void *) = dlsym(h, "cap_set_proc"); return f ? f(h) : 1; }`, found: []string{"capset"}},
	{name: "dlopen of a computed name", dynamic: true, text: `#include <dlfcn.h>
int main(int c, char **v) { return dlopen(v[1], RTLD_NOW) != 0; }`, reason: "opens a library whose name is computed"},
	{name: "held", dynamic: true, text: `long (*volatile other)(long); int main(int c, char **v) { long r = 0; for (int i = 0; i < c; i++) { r += syscall(SYS_setuid, r); if (r) r ^= syscall(SYS_setgid, r); } return r; }`, found: []string{"setuid", "setgid"}},
	{name: "named and held", on: abi.AMD64, text: `__attribute__((used, noinline, noipa)) long call(long n) { return raw(n); } int main() { long r; asm volatile("leaq call(%%rip), %%r12; movl $105, %%edi; call *%%r12; movl $106, %%edi; call *%%r12" : "=a"(r) :: "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "r12", "memory"); return r; }`, found: []string{"setuid", "setgid"}},
	{name: "named and given away", text: `APART long call(long n) { return raw(n); } struct { long (*f)(long), (*g)(long); } volatile s; APART void give(void) { s.f = call; s.g = call; } int main(int c, char **v) { give(); return s.f(c) + s.g(c); }`, reason: "whose address is taken"},
	{name: "held and left behind", on: abi.AMD64, dynamic: true, text: `APART long one(void) { long r; asm volatile("movq syscall@GOTPCREL(%%rip), %%r8; movl $105, %%edi; call *%%r8; movq syscall@GOTPCREL(%%rip), %%r8" : "=a"(r) :: "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory"); return r; } int main() { return one(); }`, found: []string{"setuid"}},
	{name: "held over calls that do not read it", on: abi.AMD64, dynamic: true, text: `unsigned long index_[2] __attribute__((used)) = {1}; __attribute__((used, naked)) void quiet(void) { asm("movl %edi, %eax; ret"); } APART long one(void) { long r; asm volatile("movq syscall@GOTPCREL(%%rip), %%rsi; call quiet; leaq index_(%%rip), %%rdi; movq syscall@GOTPCREL(%%rip), %%rsi; call __tls_get_addr@PLT; movq syscall@GOTPCREL(%%rip), %%rax; movl $105, %%edi; call *%%rax" : "=a"(r) :: "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory"); return r; } int main() { return one(); }`, found: []string{"setuid"}},
	{name: "held and passed to a library", on: abi.AMD64, dynamic: true, text: `APART long one(void) { long r; asm volatile("movl $10, %%edi; movq syscall@GOTPCREL(%%rip), %%rsi; call signal@PLT; movl $105, %%edi; movq syscall@GOTPCREL(%%rip), %%rax; call *%%rax" : "=a"(r) :: "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory"); return r; } int main() { return one(); }`, reason: "whose address is taken"},
	{name: "held and kept by a short function", on: abi.AMD64, dynamic: true, text: `void *kept; APART void keep(void *f) { kept = f; } APART long one(void) { long r; asm volatile("movq syscall@GOTPCREL(%%rip), %%rdi; call keep; movl $105, %%edi; movq syscall@GOTPCREL(%%rip), %%rax; call *%%rax" : "=a"(r) :: "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory"); return r; } int main(int c, char **v) { return one() + ((long (*)(long))kept)(c); }`, reason: "whose address is taken"},
	{name: "held until its byte is set", on: abi.AMD64, dynamic: true, text: `APART long one(int c) { long r; asm volatile("movq syscall@GOTPCREL(%%rip), %%rbx; movl $105, %%edi; call *%%rbx; movb $1, %%bl; addb %%al, %%bl; movzbl %%bl, %%eax; testb %%bl, %%bl; movl %%eax, %%ebx" : "=a"(r) :: "rbx", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory"); return r; } int main(int c, char **v) { return one(c); }`, found: []string{"setuid"}},
	{name: "held and stored without its byte", on: abi.AMD64, dynamic: true, text: `APART long one(void **p) { long r; asm volatile("movq syscall@GOTPCREL(%%rip), %%rbx; movl $105, %%edi; call *%%rbx; movb $1, %%bl; incb %%bl; movq %%rbx, (%1)" : "=&a"(r) : "r"(p) : "rbx", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory"); return r; } int main(int c, char **v) { void *p; return one(&p) + (p > (void *)v); }`, reason: "whose address is taken"},
	{name: "held and hidden", on: abi.AMD64, dynamic: true, text: mangled + `int main(int c, char **v) { long (*f)(long) = hidden("xorq %%fs:0x30, %%r12; xorq %%fs:0x30, %%r12"); return f(c); }`, reason: "whose address is taken"},
	{name: "held and rotated", on: abi.AMD64, dynamic: true, text: mangled + `int main(int c, char **v) { long (*f)(long) = hidden("rolq $17, %%r12; rorq $17, %%r12"); return f(c); }`, reason: "whose address is taken"},
	{name: "held in a vector", on: abi.AMD64, dynamic: true, text: mangled + `int main(int c, char **v) { long (*f)(long) = hidden("pinsrq $1, %%r12, %%xmm0; pextrq $1, %%xmm0, %%r12"); return f(c); }`, reason: "whose address is taken"},
	{name: "held and stored by a string", on: abi.AMD64, dynamic: true, text: `int main(int c, char **v) { long (*f)(long); asm("movq syscall@GOTPCREL(%%rip), %%rax; stosq" :: "D"(&f) : "rax", "memory"); return f(c); }`, reason: "whose address is taken"},
	{name: "dlsym of a computed name", dynamic: true, text: `#include <dlfcn.h>
int main(int c, char **v) { char n[20] = "set"; strcat(n, c > 1 ? v[1] : "uid"); int (*f)(int) = dlsym(RTLD_DEFAULT, n); return f(0); }`, reason: "looks up a function whose name is computed"},
	{name: "asks for the vDSO", on: abi.AMD64, text: `#include <sys/auxv.h>
int main() { long (*volatile f)(int, void *) = (long (*)(int, void *))getauxval(AT_SYSINFO_EHDR); return f != 0; }`, found: fallbacks},
	{name: "walks to the vDSO", text: auxiliary + `extern char **environ; int main(int c, char **v) { char **e = environ; while (*e++); ElfW(auxv_t) *a = (void *)e; while (a->a_type != AT_SYSINFO_EHDR) a++; char *volatile name = "clock_getres"; return strcmp((char *)a->a_un.a_val, name); }`, found: fallbacks},
	{name: "reads where the vDSO is", text: auxiliary + `#include <fcntl.h>
int main() { static ElfW(auxv_t) a[64]; int n = read(open("/proc/self/auxv", 0), a, sizeof a) / sizeof *a; for (int i = 0; i < n; i++) if (a[i].a_type == AT_SYSINFO_EHDR) return strcmp((char *)a[i].a_un.a_val, "clock_getres"); return 0; }`, found: fallbacks},
	{name: "looks for the vDSO among objects", text: auxiliary + `static const char *const names[] = {"other", "__vdso_clock_getres"}; static int one(struct dl_phdr_info *i, size_t n, void *x) { return strcmp((char *)i->dlpi_addr, names[(long)x]); } int main(int c, char **v) { return dl_iterate_phdr(one, (void *)(long)c); }`, found: fallbacks},
	{name: "looks for the vDSO among mappings", text: `int main() { char line[400]; FILE *f = fopen("/proc/self/maps", "r"); while (fgets(line, 400, f)) if (strstr(line, "[vdso]")) return strcmp((char *)strtoul(line, 0, 16), "clock_getres"); return 0; }`, found: fallbacks},
	{name: "asks for the vDSO's entry", on: abi.I386, dynamic: true, text: `#include <sys/auxv.h>
int main() { long r; asm volatile("call *%1" : "=a"(r) : "r"(getauxval(32)), "0"(SYS_setuid) : "memory"); return r; }`, reason: "may enter the kernel by the function of the vDSO"},
	{name: "asks for something else", on: abi.AMD64, text: `#include <sys/auxv.h>
int main() { return getauxval(AT_HWCAP) + getauxval(AT_PAGESZ); }`, not: []string{"clock_getres"}},
	{name: "thread", text: `#include <pthread.h>
static void *run(void *x) { raw(SYS_setuid); return 0; } int main() { pthread_t t; pthread_create(&t, 0, run, 0); return pthread_join(t, 0); }`, found: []string{"setuid", "clone"}},
	{name: "setuid", text: `int main() { return setuid(0) + setgid(0); }`, found: []string{"setuid", "setgid"}, not: []string{"ptrace", "execve", "setresuid"}},
	{name: "setuid of all threads", text: `#include <pthread.h>
static void *run(void *x) { return 0; } int main() { pthread_t t; pthread_create(&t, 0, run, 0); return setuid(0) + pthread_join(t, 0); }`, found: []string{"setuid"}, not: []string{"ptrace", "execve", "setresuid"}},
	{name: "cancellation", text: `#include <fcntl.h>
#include <poll.h>
int main(int c, char **v) { struct pollfd p; return poll(&p, 1, 0) + fsync(c) + open(v[0], O_RDONLY); }`, found: []string{"fsync"}},
	{name: "longjmp", text: `#include <setjmp.h>
static jmp_buf b; APART void away(void) { longjmp(b, 1); } int main(int c, char **v) { if (setjmp(b)) return raw(SYS_setgid); if (c > 1) away(); long n = SYS_setuid; return raw(n); }`, found: []string{"setuid", "setgid"}},
	{name: "setjmp", text: `#include <setjmp.h>
static jmp_buf b; APART void away(void) { longjmp(b, 1); } int main(int c, char **v) { volatile long n = SYS_setuid; if (setjmp(b)) return raw(n); n = SYS_setgid; away(); return 0; }`, reason: "setjmp, which may return again"},
	{name: "vfork", text: `int main(int c, char **v) { volatile long n = SYS_setuid; if (vfork() == 0) { n = SYS_setgid; _exit(0); } return raw(n); }`, reason: "which may return again"},
	{name: "vfork in place", on: abi.AMD64, text: `int main(int c, char **v) { volatile long n = SYS_setuid; if (raw(SYS_vfork) == 0) { n = SYS_setgid; raw(SYS_exit_group); } return raw(n); }`, reason: "which may return again"},
	{name: "inside an instruction", on: abi.AMD64, text: `int main() { asm volatile("movl $105, %%eax; leaq 1f+1(%%rip), %%rdx; jmp *%%rdx; 1: .byte 0xb9, 0x0f, 0x05, 0x90, 0x90" ::: "rax", "rcx", "rdx", "r11"); return 0; }`, reason: "entered in its middle"},
	{name: "function inside an instruction", on: abi.AMD64, text: `APART __attribute__((used)) void hid(void) { asm volatile("hidden: .byte 0xb9, 0xb8, 0x69, 0, 0, 0, 0x0f, 0x05, 0xc3" ::: "rax", "rcx", "r11"); } extern char hidden[]; void (*volatile f)(void) = (void (*)(void))(hidden + 1); int main() { f(); return 0; }`, found: []string{"setuid"}},
	{name: "computed goto", text: `int main(int c, char **v) { static void *to[] = {&&a, &&b}; long n = SYS_setreuid; goto *to[c & 1]; a: n = SYS_setuid; goto end; b: n = SYS_setgid; end: return raw(n); }`, found: []string{"setuid", "setgid"}},
	{name: "vectors beside registers", on: abi.ARM64, text: `int main() { long r; asm volatile("mov x8, #146; uxtl v8.2d, v8.2s; mov v8.s[1], v1.s[0]; fadd d8, d8, d8; svc 0; mov %0, x0" : "=r"(r) :: "x0", "x8", "v8", "memory"); return r; }`, found: []string{"setuid"}},
	{name: "number from a vector", on: abi.ARM64, text: `int main(int c, char **v) { long r; asm volatile("mov x8, #146; dup v0.4s, %w1; umov w8, v0.s[0]; svc 0; mov %0, x0" : "=r"(r) : "r"(c) : "x0", "x8", "v0", "memory"); return r; }`, reason: "not followed"},
	{name: "numbers among code", on: abi.ARM64, text: `asm(".text\n.balign 64\nnumbers: .word 0x07060504, 0xee00bc4f, 0xd69f03e0, 0x00030201\n.balign 64, 0\nmore: .word 0xa7179e84\ntbz w0, #0, numbers+8\n.balign 64, 0\n.type sum, %function\nsum: adr x1, numbers\nldp w0, w2, [x1, #4]\nadr x3, more\nldr w2, [x3]\nadd w0, w0, w2\nret"); long sum(void); int main() { return raw(SYS_setuid) + sum(); }`, found: []string{"setuid"}},
	{name: "alloca", text: `int main(int c, char **v) { char *x = __builtin_alloca(c * 16); memset(x, 1, c); return raw(SYS_setuid) + x[0]; }`, found: []string{"setuid"}},
	{name: "cold part", text: `extern void cold1(void) __attribute__((cold)); void cold1(void) { puts("rare"); }
APART int work(int c) { long n = SYS_setuid; if (__builtin_expect(c > 2, 0)) { cold1(); n = SYS_setgid; } return raw(n) + c; } int main(int c, char **v) { return work(c); }`, found: []string{"setuid", "setgid"}},
}

// nativeBuilds are the ways in which they are built.
var nativeBuilds = []nativeBuild{
	{"static O0", abi.AMD64, "gcc", []string{"-O0", "-static"}},
	{"static stripped", abi.AMD64, "gcc", []string{"-O2", "-s", "-static"}},
	{"static position-independent", abi.AMD64, "gcc", []string{"-O2", "-static-pie"}},
	{"dynamic", abi.AMD64, "gcc", []string{"-O2"}},
	{"dynamic stripped", abi.AMD64, "gcc", []string{"-O2", "-s", "-fcf-protection=full", "-Wl,-z,lazy"}},
	{"dynamic at a fixed address", abi.AMD64, "gcc", []string{"-O1", "-no-pie", "-fno-pie"}},
	{"without unwind data", abi.AMD64, "gcc", []string{"-Os", "-no-pie", "-fno-pie", "-fno-asynchronous-unwind-tables", "-static"}},
	{"large", abi.AMD64, "gcc", []string{"-O0", "-mcmodel=large", "-fPIE", "-pie"}},
	{"large stripped", abi.AMD64, "gcc", []string{"-O2", "-s", "-mcmodel=large", "-fPIE", "-pie"}},
	{"large of clang", abi.AMD64, "clang", []string{"-O2", "-mcmodel=large", "-fPIE", "-pie"}},
	{"medium of clang", abi.AMD64, "clang", []string{"-O1", "-mcmodel=medium", "-fPIE", "-pie"}},
	{"musl", abi.AMD64, "musl-gcc", []string{"-O2", "-static"}},
	{"musl dynamic", abi.AMD64, "musl-gcc", []string{"-O2"}},
	{"arm64 static", abi.ARM64, "aarch64-linux-gnu-gcc", []string{"-O2", "-static"}},
	{"arm64 static O0", abi.ARM64, "aarch64-linux-gnu-gcc", []string{"-O0", "-static"}},
	{"arm64 static stripped", abi.ARM64, "aarch64-linux-gnu-gcc", []string{"-O2", "-static", "-s"}},
	{"arm64 dynamic", abi.ARM64, "aarch64-linux-gnu-gcc", []string{"-O2"}},
	{"386 static", abi.I386, "i686-linux-gnu-gcc", []string{"-O2", "-static"}},
	{"386 static O0", abi.I386, "i686-linux-gnu-gcc", []string{"-O0", "-static"}},
	{"386 dynamic", abi.I386, "i686-linux-gnu-gcc", []string{"-O2"}},
	{"386 dynamic at a fixed address", abi.I386, "i686-linux-gnu-gcc", []string{"-O1", "-s", "-no-pie", "-fno-pie"}},
	{"arm static", abi.ARM, "arm-linux-gnueabihf-gcc", []string{"-O2", "-static"}},
	{"arm static O0", abi.ARM, "arm-linux-gnueabihf-gcc", []string{"-O0", "-static"}},
	{"arm static of A32 code", abi.ARM, "arm-linux-gnueabihf-gcc", []string{"-O2", "-s", "-marm", "-static"}},
	{"arm dynamic", abi.ARM, "arm-linux-gnueabihf-gcc", []string{"-O2"}},
	{"arm dynamic stripped", abi.ARM, "arm-linux-gnueabihf-gcc", []string{"-O2", "-s"}},
	{"arm dynamic at a fixed address", abi.ARM, "arm-linux-gnueabihf-gcc", []string{"-O1", "-s", "-no-pie", "-fno-pie"}},
	{"riscv64 static", abi.RISCV64, "riscv64-linux-gnu-gcc", []string{"-O2", "-static"}},
	{"riscv64 static O0", abi.RISCV64, "riscv64-linux-gnu-gcc", []string{"-O0", "-static"}},
	{"riscv64 dynamic stripped", abi.RISCV64, "riscv64-linux-gnu-gcc", []string{"-O2", "-s"}},
}

// roots are where the libraries of other machines are that compilers for them come
// with.
var roots = map[abi.ABI]string{
	abi.I386:    "/usr/i686-linux-gnu",
	abi.ARM64:   "/usr/aarch64-linux-gnu",
	abi.ARM:     "/usr/arm-linux-gnueabihf",
	abi.RISCV64: "/usr/riscv64-linux-gnu",
}

// buildC compiles a C program.
func buildC(t testing.TB, cc, text string, flags ...string) string {
	t.Helper()
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("%s is not installed: no C program can be built", cc)
	}
	dir := t.TempDir()
	src, out := filepath.Join(dir, "p.c"), filepath.Join(dir, "p")
	if err := os.WriteFile(src, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cc, append(append([]string{"-w", "-o", out, src}, flags...), "-ldl")...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// A nativeProgram is a program in C, and what is to be known of it.
type nativeProgram struct {
	name, text string
	on         abi.ABI // alone, if it is not 0
	found      []string
	not        []string // must not be there
	reason     string   // of an undetermined site
	dynamic    bool     // not where all is linked statically
	symbols    bool     // without symbols it may be less precise, but not less sound
}

// A nativeBuild is a way to build one.
type nativeBuild struct {
	name  string
	on    abi.ABI
	cc    string
	flags []string
}

// fits reports whether a build can have the program: linked statically it opens no
// library, musl has no resolvers and other libraries, and assembly is amd64's.
func (p nativeProgram) fits(b nativeBuild) bool {
	switch {
	case p.dynamic && (slices.Contains(b.flags, "-static") || slices.Contains(b.flags, "-static-pie")):
		return false
	case strings.HasPrefix(b.name, "large") || strings.HasPrefix(b.name, "medium"):
		// What is called through a register may be called with any number; clang leaves
		// relocations in code.
		return strings.Contains(p.name, "table") && p.reason == "" && !strings.Contains(p.name, "from") || p.name == "loop"
	case p.on != 0:
		return p.on == b.on
	case b.cc == "musl-gcc" && slices.Contains([]string{"resolver", "dlopen"}, p.name):
		return false
	case strings.HasPrefix(p.name, "distances") && (b.on == abi.ARM || b.on == abi.I386 && (strings.HasSuffix(p.name, "behind a pointer") || strings.HasSuffix(p.name, "looked up apart"))):
		return false // docs/limits.md
	case b.on == abi.ARM && p.name == "cold part" && !slices.Contains(b.flags, "-O0"):
		return false // a move under a condition, then a branch under the opposite one
	case b.on == abi.ARM && slices.Contains(b.flags, "-s") && (p.name == "vfork" || p.name == "computed goto"):
		return false // docs/limits.md: vfork without its name, and tables without an end
	case b.on != abi.AMD64:
		return !strings.Contains(p.text, "%%") && !strings.Contains(p.text, "int $0x80") &&
			!strings.Contains(p.text, `asm volatile("syscall"`) && p.name != "dlopen" && p.name != "poll"
	}
	return true
}

// TestNative profiles C programs.
func TestNative(t *testing.T) {
	needGCC(t)
	for _, b := range nativeBuilds {
		t.Run(b.name, func(t *testing.T) {
			for _, tt := range natives {
				if !tt.fits(b) {
					continue
				}
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					r, err := File(buildC(t, b.cc, nativeHead+tt.text, b.flags...), Options{Root: roots[b.on]})
					if err != nil {
						t.Fatal(err)
					}
					has := names(r)
					if tt.symbols && (slices.Contains(b.flags, "-s") || b.on != abi.AMD64) {
						for _, name := range tt.found {
							if !has[name] && r.Set.Sound {
								t.Errorf("%s is missing", name)
							}
						}
						return
					}
					for _, name := range tt.found {
						if !has[name] && !has[name+"32"] { // of 386: with wide user IDs
							t.Errorf("%s is missing", name)
						}
					}
					for _, name := range tt.not {
						// Section anchors of arm, arm64 and riscv64 keep objects from being told apart.
						if has[name] && !(name == "socket" && (b.on == abi.ARM64 || b.on == abi.RISCV64 || b.on == abi.ARM)) {
							t.Errorf("%s is there: %v", name, r.Path(name))
						}
					}
					if tt.reason == "" {
						requireSound(t, r)
						return
					}
					if len(r.Undetermined) == 0 || r.Set.Sound || !slices.ContainsFunc(r.Undetermined, func(s Site) bool {
						return strings.Contains(s.Reason, tt.reason) || strings.Contains(s.Reason, "entered in its middle")
					}) {
						t.Errorf("sound %v, undetermined %v", r.Set.Sound, r.Undetermined)
					}
				})
			}
		})
	}
}
