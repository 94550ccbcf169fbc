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

// compileC writes and compiles a C file in dir.
func compileC(t *testing.T, dir, out, text string, flags ...string) string {
	t.Helper()
	needGCC(t)
	src := filepath.Join(dir, out+".c")
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(dir, out)
	if msg, err := exec.Command("gcc", append([]string{"-O1", "-o", out, src}, flags...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// TestLibrary profiles shared libraries by what they export.
func TestLibrary(t *testing.T) {
	const head = "#include <unistd.h>\n#include <sys/syscall.h>\n"
	for _, tt := range []struct {
		name, text   string
		has, hasNot  []string
		undetermined string
	}{
		{
			"exports", "static void hidden(void) { sethostname(0, 0); }\nstatic void own(void) { getsid(0); }\n" +
				"__attribute__((constructor)) static void init(void) { getpgid(0); }\nvoid api(void) { own(); }\n" +
				"__attribute__((used)) static void (*const nobody[])(void) = {hidden};\nvoid (*const table[])(void) = {own};\n",
			[]string{"getsid", "getpgid"},
			[]string{"sethostname"},
			"",
		},
		{"an exported wrapper", "long api(long n) { return syscall(n); }\n", nil, nil, "whose address is taken"},
		{"an exported variable", "int number = SYS_getsid;\nlong api(void) { return syscall(number, 0); }\n", nil, nil, "the library exports"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := mustProfile(t, compileC(t, t.TempDir(), "lib.so", head+tt.text, "-shared", "-fPIC"))
			for _, name := range tt.has {
				if !names(r)[name] {
					t.Errorf("%s is missing", name)
				}
			}
			for _, name := range tt.hasNot {
				if names(r)[name] {
					t.Errorf("%s is there: %v", name, r.Path(name))
				}
			}
			if tt.undetermined == "" {
				requireSound(t, r)
			} else if len(r.Undetermined) == 0 || !strings.Contains(r.Undetermined[0].Reason, tt.undetermined) {
				t.Errorf("undetermined: %v", r.Undetermined)
			}
		})
	}
}

const goLibrary = `package main

import "C"

import (
	"net"
	"os"
	"syscall"
)

//export Work
func Work() C.int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	l.Close()
	os.ReadDir("/etc")
	syscall.Getpgid(0)
	return 0
}

func main() {}
`

// TestGoLibrary compares the profiles of libraries of Go, shared and static, with what
// programs of C that use them do.
func TestGoLibrary(t *testing.T) {
	needGCC(t)
	needStrace(t)
	for _, mode := range []string{"c-shared", "c-archive"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			src, lib := filepath.Join(dir, "lib.go"), filepath.Join(dir, "libwork.so")
			if err := os.WriteFile(src, []byte(goLibrary), 0o600); err != nil {
				t.Fatal(err)
			}
			if mode == "c-archive" {
				lib = filepath.Join(dir, "libwork.a")
			}
			cmd := exec.Command("go", "build", "-buildmode="+mode, "-o", lib, src)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, msg)
			}
			has := map[string]bool{}
			add := func(path string, o Options) {
				r, err := File(path, o)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range r.Undetermined {
					t.Errorf("undetermined: %s: %s", s.Func, s.Reason)
				}
				maps.Copy(has, names(r))
			}
			var host string
			if mode == "c-archive" {
				host = compileC(t, dir, "host", "extern int Work(void);\nint main(void) { return Work(); }\n", lib, "-lpthread")
			} else {
				host = compileC(t, dir, "host", "#include <dlfcn.h>\nint main(void) { void *h = dlopen(\""+lib+"\", RTLD_NOW); return ((int (*)(void))dlsym(h, \"Work\"))(); }\n", "-ldl")
				alone := mustProfile(t, host)
				if len(alone.Undetermined) != 1 || !alone.Undetermined[0].Opens || !strings.Contains(alone.Undetermined[0].Reason, "opens the Go library") {
					t.Errorf("the host alone: %v", alone.Undetermined)
				}
				add(lib, Options{NoLibraries: true})
			}
			add(host, Options{NoLibraries: true})
			for _, name := range slices.Sorted(maps.Keys(trace(t, abi.AMD64, host))) {
				if !has[name] {
					t.Errorf("missed: %s", name)
				}
			}
			if !has["getpgid"] || !has["listen"] {
				t.Errorf("found %v", slices.Sorted(maps.Keys(has)))
			}
		})
	}
}

// TestPlugin checks that a program which can load plugins is flagged, and that a plugin
// is refused.
func TestPlugin(t *testing.T) {
	needGCC(t)
	dir := t.TempDir()
	goBuild := func(name, text string, flags ...string) string {
		src, out := filepath.Join(dir, name+".go"), filepath.Join(dir, name)
		if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), src)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		return out
	}
	host := goBuild("host", "package main\n\nimport (\n\t\"os\"\n\t\"plugin\"\n)\n\nfunc main() { plugin.Open(os.Args[1]) }\n")
	r := mustProfile(t, host)
	if r.Set.Sound || len(r.Undetermined) == 0 || slices.ContainsFunc(r.Undetermined, func(s Site) bool { return !s.Opens }) {
		t.Errorf("a program that loads plugins: sound %v, undetermined %v", r.Set.Sound, r.Undetermined)
	}
	if r, err := File(host, Options{NoLibraries: true}); err != nil || !r.Set.Sound {
		t.Errorf("without plugins: %v, %v", r, err)
	}
	plugin := goBuild("plugin", "package main\n\nfunc Hello() {}\n", "-buildmode=plugin")
	if _, err := File(plugin, Options{}); err == nil || !strings.Contains(err.Error(), "plugin") {
		t.Errorf("a plugin: %v", err)
	}
}
