package profile

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// TestStaticOpens profiles static programs that open libraries.
func TestStaticOpens(t *testing.T) {
	dir := t.TempDir()
	lib := compileC(t, dir, "libown.so", "#include <unistd.h>\nstatic __attribute__((constructor)) void init(void) { acct(0); }\nvoid own(void) { sethostname(0, 0); }\nvoid other(void) { sync(); }\n", "-shared", "-fPIC")
	const head = "#include <dlfcn.h>\n#include <pwd.h>\n#include <unistd.h>\n#include <string.h>\n"
	for _, tt := range []struct {
		name, text string
		found, not []string
		reason     string
	}{
		{"nothing", "int main() { return 0; }", nil, []string{"acct", "execve", "socket"}, ""},
		{"a library", "int main() { void (*f)(void) = dlsym(dlopen(\"" + lib + "\", RTLD_NOW), \"own\"); f(); return 0; }", []string{"acct", "sethostname"}, []string{"sync"}, ""},
		{"a function of its C library", "int main() { void (*f)(char *) = dlsym(dlopen(\"" + lib + "\", RTLD_NOW), \"swapoff\"); f(0); return 0; }", []string{"acct", "swapoff"}, []string{"sethostname"}, ""},
		{"a library in a namespace", "#define _GNU_SOURCE\n" + "#include <link.h>\nextern void *dlmopen(long, const char *, int); int main() { return dlmopen(0, \"" + lib + "\", RTLD_NOW) != 0; }", []string{"acct"}, []string{"sync"}, ""},
		{"a computed library", "int main(int c, char **v) { return dlopen(v[1], RTLD_NOW) != 0; }", nil, nil, "opens a library whose name is computed"},
		{"a computed function", "int main(int c, char **v) { return dlsym(dlopen(\"" + lib + "\", RTLD_NOW), v[1]) != 0; }", []string{"acct", "sethostname", "sync"}, nil, "looks up a function whose name is computed"},
		{"by a pointer", "void *(*volatile f)(const char *, int) = dlopen; int main(int c, char **v) { return f(v[1], RTLD_NOW) != 0; }", nil, nil, "opens a library whose name is computed"},
		{"names", "int main() { return getpwnam(\"nobody\") != 0; }", nil, []string{"acct"}, ""},
	} {
		for _, flags := range []string{"-static", "-static -s", "-static-pie -s -O2"} {
			t.Run(tt.name+" "+flags, func(t *testing.T) {
				bin := compileC(t, dir, fmt.Sprintf("%s%d", strings.ReplaceAll(tt.name, " ", "-"), len(flags)), head+tt.text, append(strings.Fields(flags), "-w")...)
				r := mustProfile(t, bin)
				has := names(r)
				for _, name := range tt.found {
					if !has[name] {
						t.Errorf("%s is missing", name)
					}
				}
				for _, name := range tt.not {
					if has[name] {
						t.Errorf("%s is there: %v", name, r.Path(name))
					}
				}
				if tt.reason == "" {
					requireSound(t, r)
				} else if r.Set.Sound || !slices.ContainsFunc(r.Undetermined, func(s Site) bool { return s.Opens && strings.Contains(s.Reason, tt.reason) }) {
					t.Errorf("sound %v, undetermined %v", r.Set.Sound, r.Undetermined)
				}
			})
		}
	}
}

// TestStaticOpensElsewhere checks that on other machines, too, it is seen what a static
// program opens, and that others do not.
func TestStaticOpensElsewhere(t *testing.T) {
	const head = "#include <dlfcn.h>\nint main(int c, char **v) { return "
	for _, m := range crossedMachines {
		if m.on == abi.AMD64 {
			continue
		}
		t.Run(m.arch, func(t *testing.T) {
			m.need(t)
			for text, opens := range map[string]bool{"0": false, "dlopen(v[1], RTLD_NOW) != 0": true} {
				r, err := File(buildC(t, m.cc, head+text+"; }", "-O2", "-s", "-static"), Options{Root: roots[m.on]})
				if err != nil {
					t.Fatal(err)
				}
				if r.Set.Sound == opens {
					t.Errorf("%s: sound %v, undetermined %v", text, r.Set.Sound, r.Undetermined)
				}
			}
			r, err := File(buildC(t, m.cc, head+"dlsym(dlopen(\"libm.so.6\", RTLD_NOW), \"swapoff\") != 0; }", "-O2", "-s", "-static"), Options{Root: roots[m.on]})
			if err != nil {
				t.Fatal(err)
			}
			requireSound(t, r)
			if !names(r)["swapoff"] || !slices.ContainsFunc(r.Files, func(s Source) bool { return filepath.Base(s.Path) == "libm.so.6" }) {
				t.Errorf("swapoff %v, files %v", names(r)["swapoff"], r.Files)
			}
		})
	}
}
