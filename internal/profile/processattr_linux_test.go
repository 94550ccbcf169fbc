package profile

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// childCalls are the calls that a program which starts others may make for a
// child, each only where a field asks for it, and that nothing else of these
// programs makes.
var childCalls = []string{
	"capset", "chroot", "clone3", "getppid", "ioctl", "mount", "ptrace", "setgid", "setgroups", "setpgid", "setsid", "setuid", "unshare",
}

const everything = "everything" // may be called, as far as the profile can tell

// Programs that start a child with attributes, each with the calls of childCalls
// that they need: no other may be certain.
var children = []struct {
	name string
	body string // of main; c is an exec.Cmd
	rest string // declarations
	need string
}{
	{name: "none"},
	{name: "setsid", body: `c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}`, need: "setsid"},
	{name: "setpgid", body: `c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}`, need: "setpgid"},
	{name: "credential", body: `c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}}`, need: "setgid setgroups setuid"},
	{name: "chroot", body: `c.SysProcAttr = &syscall.SysProcAttr{Chroot: os.Args[1]}`, need: "chroot"},
	{name: "ptrace", body: `c.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}`, need: "ptrace"},
	{name: "pdeathsig", body: `c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}`, need: "getppid"},
	{name: "ambient", body: `c.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: []uintptr{10}}`, need: "capset"},
	{name: "unshare", body: `c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}`, need: "mount unshare"},
	{name: "clone", body: `c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}`, need: "clone3"},
	{name: "cgroup", body: `c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: 0}`, need: "clone3"},
	{name: "tty", body: `c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}`, need: "ioctl setsid"},
	{name: "foreground", body: `c.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: 0}`, need: "ioctl setpgid"},

	// The same in other ways.
	{name: "later", body: `c.SysProcAttr = &syscall.SysProcAttr{}; c.SysProcAttr.Setpgid = len(os.Args) > 1`, need: "setpgid"},
	{name: "pointer", body: `a := new(syscall.SysProcAttr); change(a); c.SysProcAttr = a`, need: "setsid", rest: `
		//go:noinline
		func change(a *syscall.SysProcAttr) { a.Setsid = true }`},
	{name: "made", body: `c.SysProcAttr = made()`, need: "setsid setpgid", rest: `
		//go:noinline
		func made() *syscall.SysProcAttr { a := &syscall.SysProcAttr{Setpgid: true}; more(a); return a }
		//go:noinline
		func more(a *syscall.SysProcAttr) { a.Setsid = true }`},
	{name: "command", body: `c.SysProcAttr = new(syscall.SysProcAttr); change(c)`, need: "chroot", rest: `
		//go:noinline
		func change(c *exec.Cmd) { c.SysProcAttr.Chroot = os.Args[1] }`},
	{name: "helper", body: `help.Change(c)`, need: "setsid"},
	{name: "helper2", body: `c.SysProcAttr = new(syscall.SysProcAttr); help.Change2(c)`, need: "setsid"},
	{name: "branches", body: `if len(os.Args) > 1 { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} } else { c.SysProcAttr = &syscall.SysProcAttr{Ptrace: true} }`, need: "ptrace setsid"},
	{name: "copy", body: `a := *was; c.SysProcAttr = &a; c.SysProcAttr.Setsid = true`, need: everything, rest: `var was = &syscall.SysProcAttr{Setpgid: true}`},
	{name: "literal", body: `c.SysProcAttr = attr`, need: everything, rest: `var attr = &syscall.SysProcAttr{Setsid: true}`},
	{name: "zero", body: `attr.Setsid = true; c.SysProcAttr = &attr`, need: everything, rest: `var attr syscall.SysProcAttr`},
	{name: "inside", body: `attr.Setsid = true; c.SysProcAttr = &attr.SysProcAttr`, need: everything, rest: `
		var attr struct { n int; syscall.SysProcAttr }`},
	{name: "table", body: `c.SysProcAttr = attr["x"]`, need: everything, rest: `var attr = map[string]*syscall.SysProcAttr{"x": {Setsid: true}}`},
	{name: "kept", body: `attr = &syscall.SysProcAttr{}; attr.Setsid = true; c.SysProcAttr = attr`, need: everything, rest: `var attr *syscall.SysProcAttr`},
	{name: "inner", body: `x := &outer{}; x.attr.Setsid = true; c.SysProcAttr = &x.attr`, need: everything, rest: `type outer struct { n [3]int; attr syscall.SysProcAttr }`},
	{name: "value", body: `c.SysProcAttr = new(syscall.SysProcAttr); change(c.SysProcAttr)`, need: everything, rest: `
		var change = func(a *syscall.SysProcAttr) { a.Setsid = true }
		func init() { if len(os.Args) > 9 { change = nil } }`},
	{name: "reflect", body: `reflect.ValueOf(c).Elem().FieldByName("SysProcAttr").Set(reflect.ValueOf(&syscall.SysProcAttr{})); reflect.ValueOf(c.SysProcAttr).Elem().FieldByName("Setsid").SetBool(true)`, need: everything},
	{name: "made by reflection", body: `f := reflect.ValueOf(c).Elem().FieldByName("SysProcAttr"); f.Set(reflect.New(f.Type().Elem())); f.Elem().FieldByName("Setsid").SetBool(true)`, need: everything},
	{name: "start", body: `p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}}); if err == nil { p.Wait() }`, need: everything},
	{name: "fork", body: `pid, _ := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}}); syscall.Wait4(pid, nil, 0, nil)`, need: everything},
}

// TestConditional checks what programs keep of the calls that a child may need,
// and that a run makes no other.
func TestConditional(t *testing.T) {
	needStrace(t)
	dir := childPrograms(t, "1.26")
	for _, on := range []target{{name: "amd64", abi: abi.AMD64}, {name: "386", abi: abi.I386, env: []string{"GOARCH=386"}}, {name: "arm64", abi: abi.ARM64, env: []string{"GOARCH=arm64"}}} {
		if on.abi != abi.AMD64 && os.Getenv("SYSGATE_LONG") == "" {
			continue // they take a minute; make test-long runs them
		}
		t.Run(on.name, func(t *testing.T) {
			out := buildChildren(t, dir, on.env...)
			for i, p := range children {
				t.Run(p.name, func(t *testing.T) { checkChild(t, on, out+fmt.Sprintf("p%d", i), p.need, on.abi == abi.AMD64) })
			}
		})
	}
}

// TestConditionalReleases is TestConditional with older Go releases: there less
// may be conditional.
func TestConditionalReleases(t *testing.T) {
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("builds with other Go releases: make test-long runs it")
	}
	needStrace(t)
	for _, release := range []string{"go1.17.13", "go1.18.10", "go1.20.14", "go1.21.13", "go1.22.12", "go1.23.12", "go1.24.11", "go1.25.5", "go1.27.0"} {
		t.Run(release, func(t *testing.T) {
			minor := strings.Join(strings.Split(strings.TrimPrefix(release, "go"), ".")[:2], ".")
			dir := childPrograms(t, minor)
			out := buildChildren(t, dir, "GOTOOLCHAIN="+release)
			for i, p := range children {
				if p.name == "cgroup" && minor < "1.20" {
					continue
				}
				t.Run(p.name, func(t *testing.T) {
					checkChild(t, target{abi: abi.AMD64}, out+fmt.Sprintf("p%d", i), p.need, p.name == "none")
				})
			}
		})
	}
}

// childPrograms writes the programs of children as a module for a Go release.
func childPrograms(t *testing.T, release string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	writeFiles(t, dir, map[string]string{"go.mod": "module m\n\ngo " + release + "\n", "help/help.go": `package help
		import ("os/exec"; "syscall")
		//go:noinline
		func Change(c *exec.Cmd) { if c.SysProcAttr == nil { c.SysProcAttr = &syscall.SysProcAttr{} }; c.SysProcAttr.Setsid = true }
		//go:noinline
		func Change2(c *exec.Cmd) { c.SysProcAttr.Setsid = true }`})
	for i, p := range children {
		if p.name == "cgroup" && release < "1.20" {
			continue // it has no such field
		}
		writeFiles(t, dir, map[string]string{fmt.Sprintf("p%d/main.go", i): childProgram(p.body, p.rest)})
	}
	return dir
}

// buildChildren builds all programs of a module and returns their directory.
func buildChildren(t *testing.T, dir string, env ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bin") + "/"
	if err := os.MkdirAll(out, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", stripped, "-o", out, "./...")
	cmd.Dir = dir
	for _, e := range os.Environ() { // go test sets these for the release that runs it
		if !strings.HasPrefix(e, "GOROOT=") && !strings.HasPrefix(e, "GOTOOLDIR=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(append(cmd.Env, "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOWORK=off", "GOFLAGS=-mod=mod"), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(msg), "download") {
			t.Skipf("the release cannot be had: %s", msg)
		}
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

func childProgram(body, rest string) string {
	imports := `"os"; "os/exec"; "syscall"`
	for _, more := range []string{"reflect", "help"} {
		if strings.Contains(body, more+".") {
			imports += "; " + map[string]string{"reflect": `"reflect"`, "help": `"m/help"`}[more]
		}
	}
	return fmt.Sprintf(`package main
import (%s)
func main() {
	c := exec.Command("/bin/true")
	%s
	if c.Start() == nil {
		if c.SysProcAttr != nil && c.SysProcAttr.Ptrace {
			c.Process.Kill()
		}
		c.Wait()
	}
	_, _ = os.Args, syscall.Getpid
}
%s
`, imports, body, rest)
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// checkChild checks what a program keeps; precise asks that it is no more than it
// needs.
func checkChild(t *testing.T, on target, bin, need string, precise bool) {
	r := mustProfile(t, bin)
	requireSound(t, r)
	class := map[string]observe.Class{}
	for _, c := range r.Set.Calls {
		class[c.Name] = c.Class
		if c.Class == observe.Conditional && c.Evidence == "" {
			t.Errorf("%s is conditional without evidence", c.Name)
		}
	}
	for _, name := range childCalls {
		want := observe.Conditional
		if need == everything || slices.Contains(strings.Fields(need), name) {
			want = observe.Certain
		} else if !precise && need != "" {
			continue // objects are followed that far on amd64 only
		}
		got, found := class[name]
		if !found { // of 386: another one of the same task
			got, found = class[name+"32"]
		}
		if !found && name == "clone3" && r.Build.Minor < 20 {
			continue
		}
		if !found || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"dup3", "fcntl", "close", "write", "exit", "execve", "clone", "chdir"} {
		if on.abi == abi.I386 && name == "fcntl" {
			name = "fcntl64"
		}
		if class[name] != observe.Certain {
			t.Errorf("%s is %v: any child needs it", name, class[name])
		}
	}
	if on.abi == abi.ARM64 {
		return // qemu does not run children
	}
	for name := range trace(t, on.abi, bin, "/") {
		if c, ok := class[name]; !ok || c == observe.Conditional {
			t.Errorf("%s was made, and is %v", name, c)
		}
	}
}

// TestProcessCalls compares the table with the source of Go: every call of a
// name in it that processChild makes stands under an if that asks for one of its
// fields, and the ones that no field asks for are not in the table.
func TestProcessCalls(t *testing.T) {
	roots := map[string]string{"current": goroot(t)}
	cached, _ := filepath.Glob(filepath.Join(modCache(t), "golang.org", "toolchain@*"))
	for _, root := range cached {
		roots[filepath.Base(root)] = root
	}
	release := regexp.MustCompile(`go1\.(1[7-9]|2[0-6])\.`)
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		if name != "current" && !release.MatchString(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(roots[name], "src/syscall/exec_linux.go"), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			for _, d := range file.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "forkAndExecInChild1" {
					checkProcessCalls(t, fn.Body, nil, found)
				}
			}
			if len(found) < 12 {
				t.Errorf("only %v found", slices.Sorted(maps.Keys(found)))
			}
		})
	}
}

// checkProcessCalls looks at the calls of n, which stand under these conditions.
func checkProcessCalls(t *testing.T, n ast.Node, conditions []ast.Node, found map[string]bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			if n.Init != nil {
				checkProcessCalls(t, n.Init, conditions, found)
			}
			checkProcessCalls(t, n.Cond, conditions, found)
			// A variable that was set from a field stands for it.
			under := append(slices.Clip(conditions), n.Cond)
			if n.Init != nil {
				under = append(under, n.Init)
			}
			checkProcessCalls(t, n.Body, under, found)
			if n.Else != nil {
				checkProcessCalls(t, n.Else, conditions, found)
			}
			return false
		case *ast.CallExpr:
			if len(n.Args) == 0 {
				return true
			}
			number, ok := n.Args[0].(*ast.Ident)
			if !ok {
				return true
			}
			name, ok := strings.CutPrefix(strings.TrimPrefix(number.Name, "_"), "SYS_")
			if number.Name == "sys_SETGROUPS" || number.Name == "sys_SETUID" || number.Name == "sys_SETGID" {
				name, ok = strings.TrimPrefix(number.Name, "sys_"), true
			}
			if !ok {
				return true
			}
			name = strings.ToLower(name)
			fields, listed := processCalls[name]
			if !listed {
				return true
			}
			found[name] = true
			if name == "clone3" {
				fields = append(slices.Clone(fields), "clone3") // the variable that is set under both
			}
			if !slices.ContainsFunc(conditions, func(c ast.Node) bool { return asksOnlyFor(c, fields) }) {
				t.Errorf("%s is called where none of %v is asked for", name, fields)
			}
		}
		return true
	})
}

// asksOnlyFor reports that the condition holds only where one of the fields of
// sys is set.
func asksOnlyFor(n ast.Node, fields []string) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		switch n.Op {
		case token.LOR:
			return asksOnlyFor(n.X, fields) && asksOnlyFor(n.Y, fields)
		case token.LAND:
			return asksOnlyFor(n.X, fields) || asksOnlyFor(n.Y, fields)
		case token.NEQ, token.GTR:
			return asksOnlyFor(n.X, fields)
		}
	case *ast.AssignStmt: // if cred = sys.Credential; cred != nil
		return asksOnlyFor(n.Rhs[0], fields)
	case *ast.CallExpr: // len(sys.AmbientCaps)
		return len(n.Args) == 1 && asksOnlyFor(n.Args[0], fields)
	case *ast.SelectorExpr:
		return slices.Contains(fields, n.Sel.Name)
	case *ast.Ident:
		return slices.Contains(fields, n.Name) || n.Name == "chroot" && slices.Contains(fields, "Chroot")
	}
	return false
}

func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func modCache(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
