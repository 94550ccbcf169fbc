package gate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A program is a saved profile in short: what the build says, and each call with
// its path.
type program struct {
	goVersion string
	modules   map[string]string
	std       map[string][]string
	files     []string // "path checksum" of the libraries
	rebuilt   bool
	calls     []call
	open      []string // functions with unresolved sites
}

type call struct {
	nr    int
	class string // "" is certain
	path  string // functions: "main.main example.com/a.F os.Open >syscall.Syscall"; ">" passes the number
	why   string
}

// profiled returns what the profile of p would be.
func (p program) profiled(t *testing.T) *profile.Result {
	t.Helper()
	return p.profiledBy(t)
}

func (p program) profiledBy(t interface{ Fatal(...any) }) *profile.Result {
	type object = map[string]any
	var modules, calls, open, files []object
	for path, version := range p.modules {
		modules = append(modules, object{"path": path, "version": version})
	}
	for _, c := range p.calls {
		var steps []object
		for i, name := range strings.Fields(c.path) {
			edge := "call"
			if i == 0 {
				edge = "entry"
			}
			name, number := strings.CutPrefix(name, ">")
			if number {
				edge = "passes number"
			}
			step := object{"edge": edge, "func": name, "addr": "0x1", "module": profile.Std, "version": p.goVersion}
			if file, _, native := strings.Cut(name, ":"); native {
				step["module"], step["version"], step["func"] = file, "", base(name)
			}
			switch pkg := profile.PackageOf(name); {
			case strings.Contains(name, ":"):
			case pkg == "main":
				step["module"], step["version"] = "example.com/app", "(devel)"
			case strings.Contains(pkg, "."):
				for path, version := range p.modules {
					if strings.HasPrefix(pkg, path) {
						step["module"], step["version"] = path, version
					}
				}
			}
			steps = append(steps, step)
		}
		class := c.class
		if class == "" {
			class = "certain"
		}
		calls = append(calls, object{"nr": c.nr, "class": class, "evidence": c.why, "path": steps})
	}
	for _, text := range append([]string{fmt.Sprint("app ", p.goVersion, p.rebuilt)}, p.files...) {
		path, sum, _ := strings.Cut(text, " ")
		files = append(files, object{"path": path, "size": 1, "sha256": sum})
	}
	for _, fn := range p.open {
		open = append(open, object{"func": fn, "addr": "0x1", "reason": "r"})
	}
	text, err := json.Marshal([]object{{
		"schema": profile.Schema, "file": "app", "abi": "amd64", "go": p.goVersion, "main": "example.com/app (devel)", "package": "example.com/app",
		"modules": modules, "files": files, "sources": []string{"app"}, "sound": len(open) == 0, "calls": calls, "unresolved": open, "std": p.std,
	}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := profile.Load("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func compare(t *testing.T, old, now program, accept ...string) *Report {
	t.Helper()
	s := proof.NewSpace(proof.Budget{})
	var o Options
	for _, text := range accept {
		p, err := policy.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Accept = append(o.Accept, p)
	}
	was, err := Programs(s, "old", false, old.profiled(t))
	if err != nil {
		t.Fatal(err)
	}
	is, err := Programs(s, "new", false, now.profiled(t))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Compare(s, was, is, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCause checks what a new call is put down to.
func TestCause(t *testing.T) {
	base := program{
		goVersion: "go1.25.0",
		modules:   map[string]string{"example.com/a": "v1.0.0", "golang.org/x/sys": "v0.1.0"},
		std:       map[string][]string{"os": {"Open", "ReadFile"}},
		files:     []string{"/lib64/ld.so 0"},
		calls:     []call{{nr: 1, path: "main.main os.Open"}},
	}
	newer := func(change func(*program)) program {
		p := base
		change(&p)
		return p
	}
	upgraded := map[string]string{"example.com/a": "v1.1.0", "golang.org/x/sys": "v0.2.0", "example.com/b": "v0.3.0"}
	for name, test := range map[string]struct {
		now  program
		want string
	}{
		"the program itself": {
			newer(func(p *program) { p.calls = []call{{nr: 101, path: "main.main syscall.Ptrace >syscall.Syscall"}} }),
			"program example.com/app@(devel)",
		},
		"through a module that did not change": {
			newer(func(p *program) { p.calls = []call{{nr: 101, path: "main.main example.com/a.F syscall.Ptrace"}} }),
			"program example.com/a@v1.0.0",
		},
		"an upgraded module": {
			newer(func(p *program) {
				p.modules, p.calls = upgraded, []call{{nr: 101, path: "main.main example.com/a.F golang.org/x/sys/unix.G >golang.org/x/sys/unix.Syscall"}}
			}),
			"upgraded example.com/a@v1.1.0 was v1.0.0",
		},
		"an upgraded x/sys alone": {
			newer(func(p *program) {
				p.modules, p.calls = upgraded, []call{{nr: 101, path: "main.main golang.org/x/sys/unix.G"}}
			}),
			"upgraded golang.org/x/sys@v0.2.0 was v0.1.0",
		},
		"a new module below an upgraded one": {
			newer(func(p *program) {
				p.modules, p.calls = upgraded, []call{{nr: 101, path: "main.main example.com/a.F example.com/b.G os.Open"}}
			}),
			"new example.com/b@v0.3.0",
		},
		"another Go: a function that the old program has": {
			newer(func(p *program) {
				p.goVersion, p.calls = "go1.26.0", []call{{nr: 101, path: "main.main example.com/a.F os.ReadFile os.open >syscall.Syscall"}}
			}),
			"go std@go1.26.0 was go1.25.0",
		},
		"another Go: the runtime": {
			newer(func(p *program) {
				p.goVersion, p.calls = "go1.26.0", []call{{nr: 101, path: "_rt0_amd64 runtime.schedinit runtime.open"}}
			}),
			"go std@go1.26.0 was go1.25.0",
		},
		"another Go: what the compiler calls": {
			newer(func(p *program) {
				p.goVersion, p.calls = "go1.26.0", []call{{nr: 101, path: "main.main runtime.newobject runtime.mmap"}}
			}),
			"go std@go1.26.0 was go1.25.0",
		},
		"another Go: the vDSO": {
			newer(func(p *program) {
				p.goVersion, p.calls = "go1.26.0", []call{{nr: 318, class: "implicit", why: "the vDSO falls back to it"}}
			}),
			"go std@go1.26.0 was go1.25.0",
		},
		"another Go, but the program uses more of it": {
			newer(func(p *program) {
				p.goVersion, p.calls = "go1.26.0", []call{{nr: 101, path: "main.main os.Chroot syscall.Chroot >syscall.Syscall"}}
			}),
			"program example.com/app@(devel)",
		},
		"the same Go, in itself": {
			newer(func(p *program) { p.calls = []call{{nr: 101, path: "_rt0_amd64 runtime.schedinit runtime.open"}} }),
			"program example.com/app@(devel)",
		},
		"another loader": {
			newer(func(p *program) {
				p.files = []string{"/lib64/ld.so 1"}
				p.calls = []call{{nr: 101, class: "implicit", path: "/lib64/ld.so:_start /lib64/ld.so:open"}}
			}),
			"libc /lib64/ld.so@ was sha256:0",
		},
		"the same loader": {
			newer(func(p *program) {
				p.calls = []call{{nr: 101, class: "implicit", path: "/lib64/ld.so:_start /lib64/ld.so:open"}}
			}),
			"program /lib64/ld.so@",
		},
	} {
		r := compare(t, base, test.now)
		if len(r.New) != 1 || len(r.Gone) != 1 || len(r.Partly) != 0 {
			t.Errorf("%s: %+v", name, r)
			continue
		}
		f := r.New[0]
		got := fmt.Sprintf("%s %s@%s", f.Cause, f.Module.Path, f.Module.Version)
		if f.Was != "" {
			got += " was " + f.Was
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		if f.Cause.Drift() != (f.Cause == Go || f.Cause == Libc) {
			t.Errorf("%s: drift %v", name, f.Cause.Drift())
		}
	}
}

// TestLibraries checks the causes of calls of programs that are not Go.
func TestLibraries(t *testing.T) {
	base := program{
		files: []string{"/lib/libcurl.so.4 0", "/lib/libc.so.6 0"},
		calls: []call{{nr: 1, path: "app:main /lib/libc.so.6:fopen /lib/libc.so.6:open"}},
	}
	for name, test := range map[string]struct {
		files []string
		path  string
		want  string
	}{
		"a function of libc that the program used": {
			[]string{"/lib/libcurl.so.4 0", "/usr/lib/libc.so.6 1"},
			"app:main /usr/lib/libc.so.6:fopen /usr/lib/libc.so.6:statx",
			"libc /usr/lib/libc.so.6 was sha256:0",
		},
		"the program uses more of the same libc": {
			base.files, "app:main /lib/libc.so.6:socket", "program app",
		},
		"a library, as it was": {
			base.files, "app:main /lib/libcurl.so.4:easy /lib/libc.so.6:socket", "program /lib/libcurl.so.4",
		},
		"another build of a library": {
			[]string{"/lib/libcurl.so.4 1", "/lib/libc.so.6 0"},
			"app:main /lib/libcurl.so.4:easy /lib/libc.so.6:socket",
			"upgraded /lib/libcurl.so.4 was sha256:0",
		},
		"a new library": {
			append([]string{"/lib/libssl.so.3 0"}, base.files...), "app:main /lib/libssl.so.3:read /lib/libc.so.6:socket", "new /lib/libssl.so.3",
		},
		"another libc, by a function that the program did not use": {
			[]string{"/lib/libcurl.so.4 0", "/lib/libc.so.6 1"}, "app:main /lib/libc.so.6:socket", "program app",
		},
		"another libc, by one that it used": {
			[]string{"/lib/libcurl.so.4 0", "/lib/libc.so.6 1"}, "app:main /lib/libc.so.6:fopen /lib/libc.so.6:statx", "libc /lib/libc.so.6 was sha256:0",
		},
	} {
		now := base
		now.files, now.calls = test.files, []call{{nr: 332, path: test.path}}
		r := compareBuilds(t, base, now)
		if len(r.New) != 1 {
			t.Errorf("%s: %+v", name, r)
			continue
		}
		f := r.New[0]
		got := fmt.Sprintf("%s %s", f.Cause, f.Module.Path)
		if f.Was != "" {
			got += " was " + f.Was
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// compareBuilds is compare for two builds of a program: their own files differ.
func compareBuilds(t *testing.T, old, now program) *Report {
	t.Helper()
	now.goVersion, old.goVersion = "", ""
	now.rebuilt = true
	return compare(t, old, now)
}

func TestAccept(t *testing.T) {
	old := program{calls: []call{{nr: 0}}}
	now := program{calls: []call{{nr: 0}, {nr: 41}, {nr: 59}}}
	for accept, want := range map[string]string{
		"":                                       "41 false 59 false idle 0",
		"socket":                                 "41 true 59 false idle 0",
		"socket execve":                          "41 true 59 true idle 0",
		"amd64:socket 386:execve":                "41 true 59 false idle 1",
		"socket(AF_UNIX)":                        "41 false 59 false idle 0", // any domain is possible
		"socket(AF_UNIX) socket":                 "41 true 59 false idle 0",
		"nr:41 bpf":                              "41 true 59 false idle 1",
		"@systemd/network-io":                    "41 true 59 false idle 0",
		"socket(domain<100) socket(domain>=100)": "41 true 59 false idle 0",
	} {
		r := compare(t, old, now, strings.Fields(accept)...)
		got := ""
		for _, f := range r.New {
			got += fmt.Sprintf("%d %v ", f.NR, f.Accepted)
		}
		if got += fmt.Sprintf("idle %d", len(r.Idle)); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
}

// What another program has of a Go release counts for a program as far as it
// links the functions that lead there.
func TestForecast(t *testing.T) {
	own := program{
		goVersion: "go1.25.0", std: map[string][]string{"os": {"Open"}, "net/http": {"Get"}},
		calls: []call{{nr: 0, path: "main.main os.Open"}},
	}
	other := program{
		goVersion: "go1.26.0", modules: map[string]string{"example.com/a": "v1.0.0"},
		calls: []call{
			{nr: 0, path: "main.main os.Open"},
			{nr: 1, path: "main.main example.com/a.F os.Open os.open >syscall.Syscall"},
			{nr: 2, path: "main.main os.Chroot >syscall.Syscall"},
			{nr: 3, path: "main.main example.com/a.F net/http.(*conn).serve"},
			{nr: 4, path: "main.main example.com/a.F net/rpc.(*conn).serve"},
			{nr: 5, path: "_rt0_amd64 runtime.open"},
			{nr: 6, path: "main.main runtime.mallocgc"},
			{nr: 7, class: "implicit", why: "the vDSO falls back to it"},
			{nr: 8, path: "main.main example.com/a.F syscall.Setuid >syscall.Syscall"},
			{nr: 9, path: "os.init os.checkPidfd"},
			{nr: 10, path: "net/rpc.init net/rpc.check"},
		},
	}
	s := proof.NewSpace(proof.Budget{})
	p := own.profiled(t)
	r, err := ForecastGo(s, mustPrograms(t, s, p), p, Restrict(other.profiled(t), p), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []uint32
	for _, f := range r.New {
		got = append(got, f.NR)
		if f.Cause != Go || f.Was != "go1.25.0" || f.Module.Version != "go1.26.0" {
			t.Errorf("%d: %s by %v, was %s", f.NR, f.Cause, f.Module, f.Was)
		}
	}
	if diff := cmp.Diff([]uint32{1, 3, 5, 6, 7, 9}, got); diff != "" || len(r.Gone) > 0 {
		t.Errorf("gone %v, new (-want +got):\n%s", r.Gone, diff)
	}
}

// With other builds of its libraries, the cause is one of them.
func TestForecastLibraries(t *testing.T) {
	own := program{
		files: []string{"/lib/libc.so.6 0"},
		calls: []call{{nr: 1, path: "app:main /lib/libc.so.6:fopen /lib/libc.so.6:open"}, {nr: 2, path: "app:main"}},
	}
	upgraded := own
	upgraded.files = []string{"/lib/libc.so.6 1"}
	upgraded.calls = []call{{nr: 1, path: "app:main /lib/libc.so.6:fopen /lib/libc.so.6:open"}, {nr: 332, path: "app:main /lib/libc.so.6:fopen /lib/libc.so.6:statx"}}
	s := proof.NewSpace(proof.Budget{})
	p := own.profiled(t)
	r, err := ForecastLibraries(s, mustPrograms(t, s, p), p, upgraded.profiled(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.New) != 1 || r.New[0].NR != 332 || r.New[0].Cause != Libc || r.New[0].Module.Path != "/lib/libc.so.6" || len(r.Gone) != 0 {
		t.Errorf("%+v", r)
	}
}

func mustPrograms(t *testing.T, s *proof.Space, p *profile.Result) *Side {
	t.Helper()
	side, err := Programs(s, "own", false, p)
	if err != nil {
		t.Fatal(err)
	}
	return side
}

// A probe names each function that can be named, and none that hands on numbers.
func TestProbe(t *testing.T) {
	p := NewProbe(program{std: map[string][]string{
		"os": {"(*File).Read", "FileMode.String", "Open"}, "syscall": {"Getpid", "RawSyscall6", "Syscall"}, "plugin": {"Open"},
	}}.profiled(t))
	want := `package main

import p0 "os"
import p2 "syscall"

var linked []any

func main() {
	linked = []any{
	(*p0.File).Read,
	p0.FileMode.String,
	p0.Open,
	p2.Getpid,
	}
}
`
	if diff := cmp.Diff(want, p.Source); diff != "" || p.Functions != 4 {
		t.Errorf("%d functions (-want +got):\n%s", p.Functions, diff)
	}
}

// A site whose call is not known is one finding, unless the old program has it.
func TestUnresolved(t *testing.T) {
	old := program{calls: []call{{nr: 0}}, open: []string{"main.f"}}
	r := compare(t, old, program{calls: []call{{nr: 0}}, open: []string{"main.f", "main.g"}})
	if len(r.Unresolved) != 1 || r.Unresolved[0].Func != "main.g" {
		t.Errorf("%+v", r.Unresolved)
	}
}

// A policy admits calls by their arguments: all, some or none of a name.
func TestPolicy(t *testing.T) {
	s := proof.NewSpace(proof.Budget{})
	side := func(name, text string) *Side {
		p, err := policy.Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := p.Resolve(policy.Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Policy(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Policy(s, name, f, []abi.ABI{abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	loose := side("loose", "version: 1\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [read, close]\n- action: log\n  calls: [\"socket(domain in {AF_UNIX, AF_INET})\"]\n")
	tight := side("tight", "version: 1\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [read]\n- action: allow\n  calls: [\"socket(AF_UNIX)\"]\n- action: kill_process\n  names: [execve]\n")
	programs, err := Programs(s, "app", false, program{calls: []call{{nr: 0}, {nr: 41}, {nr: 59}}}.profiled(t))
	if err != nil {
		t.Fatal(err)
	}
	runs, err := Runs(s, "runs", &observe.Run{Source: "./app", Calls: []observe.Made{
		{ABI: abi.AMD64, NR: 41, Name: "socket", Values: []observe.Value{{Args: [6]uint64{1, 1, 0}}, {Args: [6]uint64{2, 1, 0}}}},
		{ABI: abi.AMD64, NR: 0, Name: "read"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := Runs(s, "unknown", &observe.Run{Calls: []observe.Made{{ABI: abi.AMD64, NR: 41, Name: "socket", Open: true}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		old, now          *Side
		new, partly, gone string
	}{
		{tight, loose, "close socket", "", ""},
		{loose, tight, "", "", "close"},
		{tight, tight, "", "", ""},
		{tight, programs, "execve", "socket", ""},
		{programs, tight, "", "", "execve"},
		{tight, runs, "socket", "", ""},
		{tight, unknown, "", "socket", "read"},
		{unknown, runs, "read", "", ""},
		{loose, runs, "", "", "close"},
		{runs, programs, "execve", "socket", ""},
		{programs, runs, "", "", "execve"},
	} {
		r, err := Compare(s, test.old, test.now, Options{})
		if err != nil {
			t.Fatal(err)
		}
		names := func(findings []Finding) string {
			var all []string
			for _, f := range findings {
				all = append(all, f.Name)
				if (len(f.Denied) > 0) != test.old.IsPolicy() {
					t.Errorf("%s and %s: %s is denied by %v", test.old.Name, test.now.Name, f.Name, f.Denied)
				}
			}
			return strings.Join(all, " ")
		}
		var gone []string
		for _, c := range r.Gone {
			gone = append(gone, c.Name)
		}
		got := []string{names(r.New), names(r.Partly), strings.Join(gone, " ")}
		if diff := cmp.Diff([]string{test.new, test.partly, test.gone}, got); diff != "" {
			t.Errorf("%s and %s: new, partly, gone (-want +got):\n%s", test.old.Name, test.now.Name, diff)
		}
	}
}
