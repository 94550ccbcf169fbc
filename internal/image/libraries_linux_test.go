package image

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A tree is a folder that stands for the root of a file system. Its programs
// and libraries have everything but a C library.
type tree struct {
	t    *testing.T
	dir  string
	root string
}

func newTree(t *testing.T) *tree {
	t.Helper()
	needAMD64(t)
	dir := t.TempDir()
	x := &tree{t, dir, filepath.Join(dir, "root")}
	x.library("/lib64/ld.so", "loader")
	return x
}

// path returns where p is on this system.
func (x *tree) path(p string) string { return filepath.Join(x.root, p) }

func (x *tree) folder(p string) {
	x.t.Helper()
	if err := os.MkdirAll(filepath.Dir(x.path(p)), 0o700); err != nil {
		x.t.Fatal(err)
	}
}

// file writes a file of the tree.
func (x *tree) file(p, text string) {
	x.t.Helper()
	x.folder(p)
	if err := os.WriteFile(x.path(p), []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *tree) link(target, p string) {
	x.t.Helper()
	x.folder(p)
	if err := os.Symlink(target, x.path(p)); err != nil {
		x.t.Fatal(err)
	}
}

// library makes a library that defines a function name; its soname is that of
// the file. It needs what is named by flags.
func (x *tree) library(p, name string, flags ...string) {
	x.t.Helper()
	x.folder(p)
	args := append([]string{"-shared", "-fPIC", "-nostdlib", "-fno-stack-protector", "-Wl,--no-as-needed", "-Wl,-soname," + filepath.Base(p)}, flags...)
	compile(x.t, x.root, p, "int "+name+"(void) { return 1; }", args...)
}

// program makes the program /bin/program, which needs what is named by flags.
func (x *tree) program(flags ...string) string {
	x.t.Helper()
	x.folder("/bin/program")
	args := append([]string{"-nostdlib", "-fno-stack-protector", "-Wl,--no-as-needed", "-Wl,--dynamic-linker=/lib64/ld.so", "-Wl,--allow-shlib-undefined"}, flags...)
	return compile(x.t, x.root, "bin/program", "void _start(void) { for (;;) ; }", args...)
}

// modules loads the program and returns the paths of its modules but for itself
// and the loader.
func (x *tree) modules(path string, o LoadOptions) ([]string, *Program, error) {
	x.t.Helper()
	o.Root = x.root
	p, err := Load(path, o)
	if err != nil {
		return nil, nil, err
	}
	x.t.Cleanup(func() { p.Close() })
	checkFuncs(x.t, p)
	var out []string
	for _, m := range p.Modules[1:] {
		if !m.Loader {
			out = append(out, m.Path)
		}
	}
	return out, p, nil
}

// TestLibraries checks where libraries are looked for.
func TestLibraries(t *testing.T) {
	const newTags, oldTags = "-Wl,--enable-new-dtags", "-Wl,--disable-new-dtags"
	for _, tt := range []struct {
		name    string
		make    func(x *tree) string
		o       LoadOptions
		want    []string // paths in order
		missing string   // or the name that the error has in it
		note    string   // in the assumptions
	}{
		{name: "default folder", make: func(x *tree) string {
			x.library("/usr/lib/x86_64-linux-gnu/liba.so", "a")
			return x.program(x.path("/usr/lib/x86_64-linux-gnu/liba.so"))
		}, want: []string{"/usr/lib/x86_64-linux-gnu/liba.so"}},
		{name: "lib64", make: func(x *tree) string {
			x.library("/lib64/liba.so", "a")
			x.library("/lib/liba.so", "a")
			return x.program(x.path("/lib/liba.so"))
		}, want: []string{"/lib64/liba.so"}},
		{name: "runpath", make: func(x *tree) string {
			x.library("/opt/lib/liba.so", "a")
			x.library("/lib/liba.so", "a")
			return x.program(x.path("/lib/liba.so"), newTags, "-Wl,-rpath,/nowhere:$ORIGIN/../opt/lib")
		}, want: []string{"/bin/../opt/lib/liba.so"}},
		{name: "runpath with braces and lib", make: func(x *tree) string {
			x.library("/opt/lib64/liba.so", "a")
			return x.program(x.path("/opt/lib64/liba.so"), newTags, "-Wl,-rpath,${ORIGIN}/../opt/$LIB")
		}, want: []string{"/bin/../opt/lib64/liba.so"}},
		{name: "runpath relative to the working folder", make: func(x *tree) string {
			x.library("/lib/liba.so", "a")
			return x.program(x.path("/lib/liba.so"), newTags, "-Wl,-rpath,lib")
		}, want: []string{"/lib/liba.so"}, note: "the folder that the program is started in"},
		{name: "runpath is not for others", make: func(x *tree) string {
			x.library("/opt/lib/libb.so", "b")
			x.library("/opt/lib/liba.so", "a", x.path("/opt/lib/libb.so"))
			return x.program(x.path("/opt/lib/liba.so"), newTags, "-Wl,-rpath,/opt/lib")
		}, missing: "the library libb.so is not found, which liba.so needs"},
		{name: "rpath is", make: func(x *tree) string {
			x.library("/opt/lib/libb.so", "b")
			x.library("/opt/lib/liba.so", "a", x.path("/opt/lib/libb.so"))
			return x.program(x.path("/opt/lib/liba.so"), oldTags, "-Wl,-rpath,/opt/lib")
		}, want: []string{"/opt/lib/liba.so", "/opt/lib/libb.so"}},
		{name: "rpath of who has a runpath", make: func(x *tree) string {
			x.library("/opt/lib/libb.so", "b")
			x.library("/opt/lib/liba.so", "a", x.path("/opt/lib/libb.so"), newTags, "-Wl,-rpath,/nowhere")
			return x.program(x.path("/opt/lib/liba.so"), oldTags, "-Wl,-rpath,/opt/lib")
		}, missing: "libb.so"},
		{name: "breadth first, once", make: func(x *tree) string {
			x.library("/lib/libc.so", "c")
			x.library("/lib/liba.so", "a", x.path("/lib/libc.so"))
			x.library("/lib/libb.so", "b", x.path("/lib/libc.so"))
			return x.program(x.path("/lib/liba.so"), x.path("/lib/libb.so"))
		}, want: []string{"/lib/liba.so", "/lib/libb.so", "/lib/libc.so"}},
		{name: "configured", make: func(x *tree) string {
			x.library("/opt/one/liba.so", "a")
			x.library("/opt/two/libb.so", "b")
			x.file("/etc/ld.so.conf", "# comment\ninclude ld.so.conf.d/*.conf\n/opt/two # behind\n")
			x.file("/etc/ld.so.conf.d/one.conf", "/opt/one\n")
			return x.program(x.path("/opt/one/liba.so"), x.path("/opt/two/libb.so"))
		}, want: []string{"/opt/one/liba.so", "/opt/two/libb.so"}},
		{name: "cached", make: func(x *tree) string {
			x.library("/opt/one/liba.so", "a")
			x.library("/opt/one/glibc-hwcaps/x86-64-v3/liba.so", "a")
			x.file("/etc/ld.so.conf", "/opt/one\n")
			if out, err := exec.Command("/sbin/ldconfig", "-r", x.root).CombinedOutput(); err != nil {
				t.Skipf("ldconfig: %v: %s", err, out)
			}
			x.file("/etc/ld.so.conf", "")
			return x.program(x.path("/opt/one/liba.so"))
		}, want: []string{"/opt/one/liba.so"}, note: "liba.so is the variant for every processor"},
		{name: "links", make: func(x *tree) string {
			x.library("/data/real.so", "a", "-Wl,-soname,liba.so")
			x.link("/data", "/usr/lib")
			x.link("../../../../../data/real.so", "/data/liba.so")
			return x.program(x.path("/data/real.so"))
		}, want: []string{"/usr/lib/liba.so"}},
		{name: "a circle of links", make: func(x *tree) string {
			x.library("/data/liba.so", "a")
			x.link("liba.so", "/usr/lib/liba.so")
			return x.program(x.path("/data/liba.so"))
		}, missing: "too many symbolic links"},
		{name: "other machines", make: func(x *tree) string {
			x.library("/usr/lib/liba.so", "a")
			x.library("/lib/liba.so", "a")
			header, err := os.ReadFile(x.path("/lib/liba.so"))
			if err != nil {
				t.Fatal(err)
			}
			header[18] = 183 // EM_AARCH64
			x.file("/lib/liba.so", string(header))
			return x.program(x.path("/usr/lib/liba.so"))
		}, want: []string{"/usr/lib/liba.so"}},
		{name: "preloaded", make: func(x *tree) string {
			x.library("/lib/liba.so", "a")
			x.library("/opt/libp.so", "p")
			x.file("/etc/ld.so.preload", "/opt/libp.so\n")
			return x.program(x.path("/lib/liba.so"))
		}, want: []string{"/opt/libp.so", "/lib/liba.so"}, note: "/etc/ld.so.preload"},
		{
			name: "preloaded by the environment", make: func(x *tree) string {
				x.library("/lib/liba.so", "a")
				x.library("/opt/libp.so", "p")
				x.library("/lib/libq.so", "q")
				x.library("/lib/libr.so", "r")
				x.file("/etc/ld.so.preload", "libr.so\n")
				return x.program(x.path("/lib/liba.so"))
			}, o: LoadOptions{Environment: []string{"LD_PRELOAD=/lib/liba.so", "LD_PRELOAD=/opt/libp.so:/none.so libq.so", "XLD_PRELOAD=x"}},
			want: []string{"/opt/libp.so", "/lib/libq.so", "/lib/libr.so", "/lib/liba.so"}, note: "/none.so, which LD_PRELOAD names, is not there",
		},
		{name: "put before", make: func(x *tree) string {
			x.library("/lib/liba.so", "a")
			x.library("/opt/liba.so", "a")
			x.library("/two/libb.so", "b")
			return x.program(x.path("/lib/liba.so"), x.path("/two/libb.so"))
		}, o: LoadOptions{Environment: []string{"LD_LIBRARY_PATH=/none:/opt;/two"}}, want: []string{"/opt/liba.so", "/two/libb.so"}, note: "LD_LIBRARY_PATH is /none:/opt;/two"},
		{name: "put where it is started", make: func(x *tree) string {
			x.library("/lib/liba.so", "a")
			return x.program(x.path("/lib/liba.so"))
		}, o: LoadOptions{Environment: []string{"LD_LIBRARY_PATH=/none:"}}, want: []string{"/lib/liba.so"}, note: "in the folder that the program is started in"},
		{name: "put between", make: func(x *tree) string {
			for _, dir := range []string{"/rpath", "/path"} {
				x.library(dir+"/liba.so", "a")
			}
			return x.program(x.path("/path/liba.so"), oldTags, "-Wl,-rpath,/rpath")
		}, o: LoadOptions{Environment: []string{"LD_LIBRARY_PATH=/path"}}, want: []string{"/rpath/liba.so"}},
		{name: "put before a runpath", make: func(x *tree) string {
			for _, dir := range []string{"/runpath", "/path"} {
				x.library(dir+"/liba.so", "a")
			}
			return x.program(x.path("/path/liba.so"), newTags, "-Wl,-rpath,/runpath")
		}, o: LoadOptions{Environment: []string{"LD_LIBRARY_PATH=/path"}}, want: []string{"/path/liba.so"}},
		{name: "the environment of musl", make: func(x *tree) string {
			x.library("/lib/ld-musl-x86_64.so.1", "loader", "-Wl,-soname,libc.musl-x86_64.so.1")
			for _, dir := range []string{"/rpath", "/path"} {
				x.library(dir+"/liba.so", "a")
			}
			x.library("/opt/libp.so", "p")
			x.library("/opt/libr.so", "r")
			x.file("/etc/ld.so.preload", "/opt/libr.so\n") // glibc's alone
			return x.program(x.path("/rpath/liba.so"), x.path("/lib/ld-musl-x86_64.so.1"), oldTags, "-Wl,-rpath,/rpath", "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1")
		}, o: LoadOptions{Environment: []string{"LD_LIBRARY_PATH=/none::/path", "LD_PRELOAD=/opt/libp.so"}}, want: []string{"/opt/libp.so", "/path/liba.so"}},
		{name: "a path", make: func(x *tree) string {
			x.library("/opt/liba.so", "a", "-Wl,-soname,/opt/liba.so")
			return x.program(x.path("/opt/liba.so"))
		}, want: []string{"/opt/liba.so"}},
		{name: "loaded later", make: func(x *tree) string {
			x.library("/lib/libn.so", "n")
			x.library("/lib/libm.so", "m", x.path("/lib/libn.so"))
			x.library("/opt/plugin.so", "p", "-Wl,-rpath,/lib")
			return x.program()
		}, o: LoadOptions{Libraries: []string{"libm.so", "/opt/plugin.so"}}, want: []string{"/lib/libm.so", "/opt/plugin.so", "/lib/libn.so"}},
		{name: "loaded later, missing", make: func(x *tree) string { return x.program() }, o: LoadOptions{Libraries: []string{"libm.so"}}, missing: "libm.so is not found"},
		{name: "no loader", make: func(x *tree) string {
			if err := os.Remove(x.path("/lib64/ld.so")); err != nil {
				t.Fatal(err)
			}
			return x.program()
		}, missing: "its dynamic loader /lib64/ld.so cannot be read"},
		{name: "musl", make: func(x *tree) string {
			x.library("/lib/ld-musl-x86_64.so.1", "loader", "-Wl,-soname,libc.musl-x86_64.so.1")
			x.library("/opt/liba.so", "a")
			x.file("/etc/ld-musl-x86_64.path", "/nowhere\n/opt")
			return x.program(x.path("/opt/liba.so"), x.path("/lib/ld-musl-x86_64.so.1"), "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1")
		}, want: []string{"/opt/liba.so"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newTree(t)
			got, p, err := x.modules(tt.make(x), tt.o)
			if tt.missing != "" {
				refused := new(RefusedError)
				if !errors.As(err, &refused) || !strings.Contains(refused.Reason, tt.missing) || refused.Hint == "" {
					t.Fatalf("error %v, want one with %q and a hint", err, tt.missing)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("have %v, want %v", got, tt.want)
			}
			if !strings.Contains(strings.Join(p.Assumptions, "\n"), tt.note) {
				t.Errorf("assumptions %q, want one with %q", p.Assumptions, tt.note)
			}
			for _, m := range p.Modules {
				extra := slices.Contains(tt.o.Libraries, m.Path) || slices.Contains(tt.o.Libraries, m.Soname) || m.Soname == "libn.so"
				if m.Extra != extra {
					t.Errorf("%s: extra %v", m.Path, m.Extra)
				}
			}
		})
	}
}

// TestNotLoaded checks that what is no program is refused with a reason.
func TestNotLoaded(t *testing.T) {
	x := newTree(t)
	relocatable := compile(t, x.root, "object.o", "int x;", "-c")
	static := compile(t, x.root, "static", "void _start(void) { for (;;) ; }", "-nostdlib", "-static", "-no-pie")
	data, err := os.ReadFile(static)
	if err != nil {
		t.Fatal(err)
	}
	core := slices.Clone(data)
	core[16] = 4 // ET_CORE
	for name, tt := range map[string]struct {
		data   []byte
		path   string
		o      LoadOptions
		reason string
	}{
		"a library":             {path: x.path("/lib64/ld.so"), reason: "a shared library"},
		"a relocatable file":    {path: relocatable, reason: "ET_REL"},
		"a core file":           {data: core, reason: "ET_CORE"},
		"packed":                {data: append(slices.Clone(data), "UPX!"...), reason: "packed with UPX"},
		"cut short":             {data: data[:len(data)/2], reason: "truncated"},
		"libraries of a static": {path: static, o: LoadOptions{Libraries: []string{"liba.so"}}, reason: "linked statically"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.data != nil {
				_, err = LoadBytes("data", tt.data, tt.o)
			} else {
				_, err = Load(tt.path, tt.o)
			}
			if refused := new(RefusedError); !errors.As(err, &refused) || !strings.Contains(refused.Reason, tt.reason) {
				t.Errorf("%v, want a reason with %q", err, tt.reason)
			}
		})
	}
	if _, err := Load(filepath.Join(x.dir, "none"), LoadOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Load(x.dir, LoadOptions{}); err == nil {
		t.Error("a directory is loaded")
	}
}

// TestGoLibrary checks that a library of Go is told.
func TestGoLibrary(t *testing.T) {
	x := newTree(t)
	source := filepath.Join(x.dir, "lib.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"C\"\n\n//export f\nfunc f() {}\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.folder("/opt/libgo.so")
	build := exec.Command(goTool(t, "go"), "build", "-buildmode=c-shared", "-o", x.path("/opt/libgo.so"), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=1", "CGO_LDFLAGS=-Wl,-soname,libgo.so")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	path := compile(t, x.root, "program", "void f(void); int main(void) { f(); return 0; }", x.path("/opt/libgo.so"), "-Wl,-rpath,"+x.path("/opt"))
	_, err := Load(path, LoadOptions{})
	if refused := new(RefusedError); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "c-shared") {
		t.Errorf("%v, want a refusal that says c-shared", err)
	}
}
