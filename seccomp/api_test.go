package seccomp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestAPI ticks the documented index off, identifier by identifier: the packages
// declare what the lists say, and nothing else.
func TestAPI(t *testing.T) {
	for _, test := range []struct {
		path  string
		lists []string
		want  int // lines of the lists
	}{
		{"github.com/sysgate/sysgate/seccomp", []string{"testdata/api/v1.4.0.txt", "testdata/api/later.txt", "testdata/api/own.txt"}, 92},
		{"github.com/sysgate/sysgate/seccomp/arch", []string{"arch/testdata/api.txt"}, 27},
	} {
		declared := declarations(t, test.path)
		listed := make(map[string]bool)
		for _, name := range test.lists {
			for _, line := range list(t, name) {
				if listed[line] {
					t.Errorf("%s: listed twice: %s", name, line)
				}
				listed[line] = true
				if !declared[line] {
					t.Errorf("%s: %s does not declare: %s", name, test.path, line)
				}
			}
		}
		for _, line := range slices.Sorted(maps.Keys(declared)) {
			if !listed[line] {
				t.Errorf("%s declares what no list has: %s", test.path, line)
			}
		}
		if len(listed) != test.want {
			t.Errorf("%s: %d lines in the lists, want %d", test.path, len(listed), test.want)
		}
	}
}

// list returns the lines of a list, without comments.
func list(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// declarations returns what a package exports, in the notation of the lists.
func declarations(t *testing.T, path string) map[string]bool {
	t.Helper()
	pkg := load(t, path)
	declared := make(map[string]bool)
	add := func(format string, args ...any) { declared[fmt.Sprintf(format, args...)] = true }
	for _, name := range pkg.Scope().Names() {
		if !token.IsExported(name) {
			continue
		}
		switch o := pkg.Scope().Lookup(name).(type) {
		case *types.Func:
			add("func %s%s", name, signature(pkg, o))
		case *types.Var:
			add("var %s %s", name, typeString(pkg, o.Type()))
		case *types.Const:
			value := o.Val().ExactString()
			if o.Val().Kind() == constant.Int {
				n, _ := constant.Uint64Val(o.Val())
				value = fmt.Sprintf("%#x", n)
			}
			add("const %s %s = %s", name, typeString(pkg, o.Type()), value)
		case *types.TypeName:
			named := o.Type().(*types.Named)
			if s, ok := named.Underlying().(*types.Struct); ok {
				add("type %s struct", name)
				for i := range s.NumFields() {
					if f := s.Field(i); f.Exported() {
						line := fmt.Sprintf("field %s.%s %s", name, f.Name(), typeString(pkg, f.Type()))
						if tag := s.Tag(i); tag != "" {
							line += " `" + tag + "`"
						}
						add("%s", line)
					}
				}
			} else {
				add("type %s %s", name, typeString(pkg, named.Underlying()))
			}
			for m := range named.Methods() {
				if m.Exported() {
					add("method (%s) %s%s", typeString(pkg, m.Signature().Recv().Type()), m.Name(), signature(pkg, m))
				}
			}
		}
	}
	return declared
}

// typeString writes a type, those of other packages with the package's name.
func typeString(pkg *types.Package, t types.Type) string {
	return types.TypeString(t, func(other *types.Package) string {
		if other == pkg {
			return ""
		}
		return other.Name()
	})
}

// signature writes a function's type without the names of parameters.
func signature(pkg *types.Package, f *types.Func) string {
	unnamed := func(all *types.Tuple) *types.Tuple {
		var vars []*types.Var
		for v := range all.Variables() {
			vars = append(vars, types.NewParam(token.NoPos, nil, "", v.Type()))
		}
		return types.NewTuple(vars...)
	}
	s := f.Signature()
	return strings.TrimPrefix(typeString(pkg, types.NewSignatureType(nil, nil, nil, unnamed(s.Params()), unnamed(s.Results()), s.Variadic())), "func")
}

// load reads what the compiler exports of a package.
func load(t *testing.T, path string) *types.Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	exports := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
	}
	pkg, err := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("no export data")
		}
		return os.Open(exports[path])
	}).Import(path)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}
