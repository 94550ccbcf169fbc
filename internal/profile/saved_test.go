package profile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// A saved profile is, read again, what was saved: calls, chains, modules, sites.
func TestSaved(t *testing.T) {
	for _, pkg := range []string{"./testdata/hello", "./testdata/adversary"} {
		r, err := File(build(t, pkg, nil), Options{Inventory: true})
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := Save(&text, r, r); err != nil {
			t.Fatal(err)
		}
		if !IsSaved(text.Bytes()) {
			t.Errorf("%s: not recognised", pkg)
		}
		loaded, err := Load("test", append(text.Bytes(), text.Bytes()...))
		if err != nil || len(loaded) != 4 {
			t.Fatalf("%s: %d programs, %v", pkg, len(loaded), err)
		}
		for _, got := range loaded {
			if diff := cmp.Diff(r.Set, got.Set); diff != "" {
				t.Errorf("%s: the set (-want +got):\n%s", pkg, diff)
			}
			if diff := cmp.Diff(r.Undetermined, got.Undetermined); diff != "" {
				t.Errorf("%s: sites (-want +got):\n%s", pkg, diff)
			}
			if diff := cmp.Diff(r.Linked, got.Linked); diff != "" || len(got.Linked["os"]) == 0 {
				t.Errorf("%s: std (-want +got):\n%s", pkg, diff)
			}
			for _, c := range r.Set.Calls {
				if diff := cmp.Diff(r.Path(pathKey(c)), got.Path(pathKey(c))); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", pkg, c.Name, diff)
				}
			}
			if got.File != r.File || got.Build.Version != r.Build.Version || got.Build.Main != r.Build.Main || !cmp.Equal(got.Build.Deps, r.Build.Deps) {
				t.Errorf("%s: %s %v", pkg, got.File, got.Build)
			}
		}
	}
}

func TestLoadErrors(t *testing.T) {
	ok := `{"schema":"sysgate/profile/1","file":"x","abi":"amd64","sources":[],"sound":true,"calls":[{"name":"read","nr":0,"class":"certain","evidence":"e","path":[{"edge":"entry","func":"f","addr":"0x1","offset":0}]}]}`
	if _, err := Load("ok", []byte(ok)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, want string }{
		{ok, "", "no saved profile"},
		{ok, "[]", "no program"},
		{ok, "[", "unexpected EOF"},
		{ok, "null", `schema ""`},
		{"profile/1", "profile/2", `schema "sysgate/profile/2", where this sysgate reads "sysgate/profile/1"`},
		{"amd64", "vax", `unknown ABI "vax"`},
		{"certain", "perhaps", `unknown class "perhaps"`},
		{"0x1", "1", `address "1"`},
		{`"calls":[`, `"calls":[{"name":"write","nr":1,"class":"certain","evidence":"e"},`, "do not ascend"},
		{`"sound":true`, `"sound":true,"unresolved":[{"func":"f","addr":"0x1","reason":"r"}]`, "sound, with unresolved sites"},
		{`"nr":0`, `"nr":-1`, "cannot unmarshal"},
	} {
		_, err := Load("bad.json", []byte(strings.Replace(ok, test.old, test.new, 1)))
		if err == nil || !strings.HasPrefix(err.Error(), "bad.json: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.new, err, test.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`[{"schema":"sysgate/profile/1","abi":"amd64","sources":["a"],"calls":[{"name":"read","nr":0,"class":"certain","evidence":"e","path":[{"edge":"entry","func":"f","addr":"0x1","offset":0}]}],"unresolved":[{"func":"f","addr":"0x1","reason":"r"}],"std":{"os":["Open"]}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := Load("fuzz", data)
		if err != nil {
			return
		}
		var text, again bytes.Buffer
		if err := Save(&text, first...); err != nil {
			t.Fatal(err)
		}
		second, err := Load("again", text.Bytes())
		if err != nil {
			t.Fatalf("%v:\n%s", err, text.Bytes())
		}
		if err := Save(&again, second...); err != nil || !bytes.Equal(text.Bytes(), again.Bytes()) {
			t.Fatalf("%v: not the same the second time:\n%s\n%s", err, text.Bytes(), again.Bytes())
		}
	})
}

func TestPackageOf(t *testing.T) {
	for function, want := range map[string]string{
		"main.main":                               "main",
		"net/http.(*Server).Serve":                "net/http",
		"net/http.(*Server).Serve.func1":          "net/http",
		"gopkg.in/yaml%2ev3.(*Decoder).Next":      "gopkg.in/yaml.v3",
		"slices.SortFunc[go.shape.*a.b/c.T]":      "slices",
		"a.b/c/v2.init.0":                         "a.b/c/v2",
		"a.b/c.(*T[go.shape.struct { x.y/z }]).M": "a.b/c",
		"type:.eq.net/http.http2clientStream":     "runtime",
		"x_cgo_init":                              "",
		"":                                        "",
		"vendor/golang.org/x/net/idna.f":          "vendor/golang.org/x/net/idna",
	} {
		if got := PackageOf(function); got != want {
			t.Errorf("%s: %q, want %q", function, got, want)
		}
	}
}

func TestBrought(t *testing.T) {
	b := &image.BuildInfo{
		Version: "go1.26.8", Path: "example.com/app/cmd/app", Main: "example.com/app v1.2.3",
		Deps: []image.GoModule{{Path: "golang.org/x/sys", Version: "v0.1.0"}, {Path: "example.com/app/sub", Version: "v0.5.0"}, {Path: "dotless", Version: "v1.0.0"}},
	}
	std := image.GoModule{Path: Std, Version: "go1.26.8"}
	for pkg, want := range map[string]image.GoModule{
		"main":                     {Path: "example.com/app", Version: "v1.2.3"},
		"example.com/app/internal": {Path: "example.com/app", Version: "v1.2.3"},
		"example.com/app/sub/x":    {Path: "example.com/app/sub", Version: "v0.5.0"},
		"example.com/application":  {Path: "example.com/application"},
		"golang.org/x/sys/unix":    {Path: "golang.org/x/sys", Version: "v0.1.0"},
		"dotless/pkg":              {Path: "dotless", Version: "v1.0.0"},
		"net/http":                 std,
		"runtime":                  std,
		"vendor/golang.org/x/net":  std,
		"github.com/not/listed":    {Path: "github.com/not/listed"},
	} {
		if got := Brought(b, pkg); got != want {
			t.Errorf("%s: %v, want %v", pkg, got, want)
		}
	}
	// Go's own commands, and programs built from files, name no module.
	tool := &image.BuildInfo{Version: "go1.26.8", Path: "cmd/go"}
	for pkg, want := range map[string]image.GoModule{"main": {Path: "cmd/go"}, "cmd/go/internal/load": std, "os": std} {
		if got := Brought(tool, pkg); got != want {
			t.Errorf("%s of cmd/go: %v, want %v", pkg, got, want)
		}
	}
	if got := Brought(&image.BuildInfo{}, "main"); got.Path != "main" {
		t.Errorf("a program without build information: %v", got)
	}
}

// Every chain of a call ends at a site, and none is there twice; the first is
// the shortest.
func TestChains(t *testing.T) {
	bin := build(t, "./testdata/files", nil)
	r, err := File(bin, Options{Every: []string{"mmap", "openat", "fork", "restart_syscall"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mmap", "openat"} {
		chains, more := r.Chains(name)
		if len(chains) < 2 || more || !cmp.Equal(chains[0], r.Path(name)) {
			t.Errorf("%s: %d chains, more %v", name, len(chains), more)
		}
		for i, steps := range chains {
			for _, other := range chains[:i] {
				if cmp.Equal(steps, other) {
					t.Errorf("%s: twice: %v", name, steps)
				}
			}
			for _, s := range steps {
				if s.Module.Path == "" || s.Module.Path != Std && s.Module.Path != "github.com/sysgate/sysgate" {
					t.Errorf("%s: %s comes with %v", name, s.Func, s.Module)
				}
			}
		}
	}
	for _, name := range []string{"fork", "restart_syscall", "read"} {
		if chains, _ := r.Chains(name); chains != nil {
			t.Errorf("%s: %v", name, chains)
		}
	}
}

func TestParseClass(t *testing.T) {
	for _, c := range []observe.Class{observe.Certain, observe.Implicit, observe.Assumed} {
		if got, ok := observe.ParseClass(c.String()); !ok || got != c {
			t.Errorf("%v: %v, %v", c, got, ok)
		}
	}
	if c, ok := observe.ParseClass("unknown"); ok {
		t.Errorf("unknown is %v", c)
	}
}
