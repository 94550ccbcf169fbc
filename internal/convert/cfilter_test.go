package convert

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// cFilters are C files with a filter, of forms that people write.
var cFilters = map[string]string{
	"statements": `
static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offsetof(struct seccomp_data, arch))),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), /* { wrong } */
	BPF_STMT(BPF_LD + BPF_W + BPF_ABS, offsetof(struct seccomp_data, nr)), // }
	BPF_JUMP(BPF_JMP + BPF_JGE + BPF_K, __X32_SYSCALL_BIT, 2, 0),
	BPF_JUMP(BPF_JMP+BPF_JEQ+BPF_K, __NR_mkdir, 0, 1),
	BPF_STMT(BPF_RET+BPF_K, SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA)),
	BPF_STMT(BPF_RET+BPF_K, SECCOMP_RET_ALLOW),
};
`,
	"macros": `
#define syscall_nr (offsetof(struct seccomp_data, nr))
#define VALIDATE_ARCHITECTURE \
	BPF_STMT(BPF_LD+BPF_W+BPF_ABS, offsetof(struct seccomp_data, arch)), \
	BPF_JUMP(BPF_JMP+BPF_JEQ+BPF_K, ARCH_NR, 1, 0), \
	BPF_STMT(BPF_RET+BPF_K, SECCOMP_RET_KILL)
#define ARCH_NR AUDIT_ARCH_X86_64
#define EXAMINE_SYSCALL BPF_STMT(BPF_LD+BPF_W+BPF_ABS, syscall_nr)
#define ALLOW_SYSCALL(name) \
	BPF_JUMP(BPF_JMP+BPF_JEQ+BPF_K, __NR_##name, 0, 1), \
	BPF_STMT(BPF_RET+BPF_K, SECCOMP_RET_ALLOW)
#define ONE(code, k) { (unsigned short)(code), 0, 0, k }
#define ARG_LO(n) offsetof(struct seccomp_data, args[n])
int main(void) {
	struct sock_filter f[] = {
		VALIDATE_ARCHITECTURE,
		EXAMINE_SYSCALL,
		ALLOW_SYSCALL(read),
		ALLOW_SYSCALL(exit_group),
		ONE(BPF_LD|BPF_W|BPF_ABS, ARG_LO(1)),
		{ .code = BPF_ALU|BPF_AND|BPF_K, .k = ~0x3u },
		{ .k = O_CREAT << 1, .code = BPF_JMP|BPF_JSET|BPF_K, .jt = 0, .jf = 1 },
		BPF_STMT(BPF_RET+BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET|BPF_K, (__u32)0x80000000),
	};
	return sizeof(f) != 8 * (sizeof(f) / 8) || "{"[0] == '}';
}
`,
	"numbers": "struct sock_filter x[2] __attribute__((unused)) = { { 0x20, 0, 0, 0x4 }, { 06, 0, 0, 0X7fff0000UL } };\n",
}

// What is read from C is what a C compiler makes of it.
func TestCFilters(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	for name, text := range cFilters {
		t.Run(name, func(t *testing.T) {
			p, bigEndian, err := format(t, "c").Filter("p", []byte(text), Options{Native: abi.AMD64})
			if err != nil || bigEndian {
				t.Fatal(err)
			}
			if f, _ := Detect("p", []byte(text)); f.Name != "c" {
				t.Errorf("taken for %q", f.Name)
			}
			// The compiler puts the array, which is the file's or main's, on its output.
			text = strings.Replace(text, "\treturn sizeof(f)", "\tfwrite(f, sizeof f, 1, stdout);\n\treturn sizeof(f)", 1)
			if !strings.Contains(text, "main") {
				array := "filter"
				if name == "numbers" {
					array = "x"
				}
				text += "int main(void) { return fwrite(" + array + ", sizeof " + array + ", 1, stdout) != 1; }\n"
			}
			dir := t.TempDir()
			source, program := filepath.Join(dir, "f.c"), filepath.Join(dir, "f")
			text = "#include <errno.h>\n#include <fcntl.h>\n#include <stddef.h>\n#include <stdio.h>\n#include <linux/audit.h>\n#include <linux/filter.h>\n" +
				"#include <linux/seccomp.h>\n#include <sys/syscall.h>\n#ifndef __X32_SYSCALL_BIT\n#define __X32_SYSCALL_BIT 0x40000000\n#endif\n" + text
			if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("gcc", "-o", program, source).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.Command(program).Output()
			if err != nil {
				t.Fatal(err)
			}
			if want := p.Bytes(false); !bytes.Equal(out, want) {
				q, err := bpf.FromBytes(out, false)
				t.Errorf("read as\n%v\ngcc has %v\n%v", p, err, q)
			}
		})
	}
}

// FuzzC reads anything as C: it is a valid filter, or an error with its place.
func FuzzC(f *testing.F) {
	for _, text := range cFilters {
		f.Add(text)
	}
	f.Add("#define A(x) x##x A(A)\n#define B B, A(B)\nstruct sock_filter f[] = { A(B), BPF_STMT((1<<2)|~-3, __NR_read) }")
	f.Fuzz(func(t *testing.T, text string) {
		p, _, err := parseC([]byte(text), abi.AMD64)
		if err == nil && p.Validate() != nil {
			t.Errorf("%q: an invalid filter", text)
		}
	})
}
