package image

import (
	"strings"
	"testing"
)

func TestARM64(t *testing.T) {
	const root = "/usr/aarch64-linux-gnu"
	if !exists(root + "/lib/libc.so.6") {
		t.Skip("no libc for arm64: libc6-dev-arm64-cross is not installed")
	}
	const program = `
#include <stdio.h>
#include <string.h>
extern char **environ;
int main(int n, char **v) { puts(v[0]); return strlen(v[0]) > 0 && environ != 0; }
`
	for _, flags := range [][]string{{"-pie", "-fPIE"}, {"-no-pie", "-fno-pie"}, {"-static"}, {"-static-pie"}, {"-mbranch-protection=standard", "-Wl,-z,force-bti"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			dir := t.TempDir()
			path := compileWith(t, "aarch64-linux-gnu-gcc", dir, "program", program, append(flags, "-O1")...)
			p := load(t, path, LoadOptions{Root: root})
			static := strings.HasPrefix(flags[0], "-static")
			if got := len(p.Modules); static && got != 1 || !static && got != 3 {
				t.Fatalf("%d modules", got)
			}
			if _, err := Load(path, LoadOptions{}); !static && (err == nil || !strings.Contains(err.Error(), "dynamic loader")) {
				t.Errorf("without its root: %v", err)
			}
			main := p.Depths(function(t, p, "main"))
			if len(main) < 3 || main[0].Depth != 0 || main[1].Depth < 16 {
				t.Errorf("the depths of main: %v", main)
			}
			bad, svc := 0, 0
			for i := range p.Funcs {
				if p.Unknown(i) {
					t.Errorf("%s is not understood", p.Name(i))
				}
				addr, code := p.Code(i)
				for at := 0; at < len(code); at += 4 {
					switch p.Decode(code[at:], addr+uint64(at)).Op {
					case OpBad:
						bad++
					case OpSyscall:
						svc++
					}
				}
			}
			if bad > 0 || svc < 50 {
				t.Errorf("%d bad instructions, %d system calls", bad, svc)
			}
			if static {
				return
			}
			s := slotOf(t, p, "puts@GLIBC_2.17")
			if n := nameOf(p, s.Target); n != "libc.so.6:puts" {
				t.Errorf("puts is %s", n)
			}
			if i := function(t, p, "puts@plt"); true {
				if slot, ok := p.Stub(i); !ok {
					t.Error("puts@plt is no stub")
				} else if got, _ := p.Slot(slot); got != s {
					t.Errorf("puts@plt goes through %+v, not %+v", got, s)
				}
			}
		})
	}
}

func TestLoad386(t *testing.T) {
	if !exists("/lib32/libc.so.6") || !exists("/lib/ld-linux.so.2") {
		t.Skip("no 32-bit libc: libc6-dev-i386 is not installed")
	}
	needAMD64(t)
	const program = `
int puts(const char *);
int (*pointer)(const char *) = puts;
int main(int n, char **v) { puts(v[0]); return pointer(v[0]) < 0; }
void _start(void) { main(0, 0); }
`
	for _, flags := range [][]string{{"-pie", "-fPIC"}, {"-no-pie", "-fno-pie"}, {"-pie", "-fPIC", "-Wl,-z,now"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			path := compile(t, t.TempDir(), "program", program, append(flags, "-m32", "-O1", "-nostartfiles", "-nostdlib", "/lib32/libc.so.6")...)
			p := load(t, path, LoadOptions{})
			s := slotOf(t, p, "puts@GLIBC_2.0")
			if n := nameOf(p, s.Target); n != "libc.so.6:puts" {
				t.Errorf("puts is %s", n)
			}
			slot, ok := p.Stub(function(t, p, "puts@plt"))
			if got, _ := p.Slot(slot); !ok || got != s {
				t.Errorf("puts@plt goes through %+v, not %+v", got, s)
			}
			for sym := range p.Modules[0].Symbols {
				if sym.Name == "pointer" {
					if w, _ := p.Word(sym.Addr); nameOf(p, w) != "libc.so.6:puts" && nameOf(p, w) != "puts@plt" {
						t.Errorf("pointer leads to %#x", w)
					}
				}
			}
			for i := range p.Funcs {
				if p.Unknown(i) {
					t.Errorf("%s is not understood", p.Name(i))
				}
			}
		})
	}
}
