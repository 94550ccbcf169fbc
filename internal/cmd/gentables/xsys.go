package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// xsys is a version of package golang.org/x/sys/unix: its files hold the facts
// of the kernel's headers for every port of Go.
type xsys struct {
	dir     string
	version string
	release uint16 // of the kernel whose headers these are
}

// branchPattern finds the release in the recipe that makes the package.
var branchPattern = regexp.MustCompile(`--branch v(\d+\.\d+) .*/torvalds/linux`)

// downloadXsys returns a version of the package, from the module cache or the
// module proxy.
func downloadXsys(version string) (xsys, error) {
	out, err := exec.Command("go", "mod", "download", "-json", "golang.org/x/sys@"+version).Output()
	var answer struct{ Dir, Version, Error string }
	if jsonErr := json.Unmarshal(out, &answer); err == nil {
		err = jsonErr
	}
	if err != nil {
		return xsys{}, fmt.Errorf("golang.org/x/sys@%s: %w %s", version, err, answer.Error)
	}
	x := xsys{dir: filepath.Join(answer.Dir, "unix"), version: answer.Version}
	recipe, err := os.ReadFile(filepath.Join(x.dir, "linux", "Dockerfile"))
	if err != nil {
		return xsys{}, err
	}
	m := branchPattern.FindSubmatch(recipe)
	if m == nil {
		return xsys{}, fmt.Errorf("golang.org/x/sys@%s: unix/linux/Dockerfile does not say which Linux it is made from", version)
	}
	x.release, err = parseRelease(string(m[1]))
	return x, err
}

// constants returns the integer constants that the files of one port declare:
// those of type syscall.Errno, and the rest.
func (x xsys) constants(files ...string) (errnos, others map[string]uint64, err error) {
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(fset, filepath.Join(x.dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, err
		}
		parsed = append(parsed, f)
	}
	// The files are a part of their package: what they lack from the rest is
	// of no concern to the constants.
	config := types.Config{Error: func(error) {}, Importer: fakeSyscall{}}
	pkg, _ := config.Check("unix", fset, parsed, nil)
	errnos, others = map[string]uint64{}, map[string]uint64{}
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || c.Val().Kind() != constant.Int {
			continue
		}
		values := others
		if named, ok := c.Type().(*types.Named); ok && named.Obj().Name() == "Errno" {
			values = errnos
		}
		if v, ok := constant.Uint64Val(c.Val()); ok {
			values[name] = v
		} else if v, ok := constant.Int64Val(c.Val()); ok {
			values[name] = uint64(v)
		}
	}
	return errnos, others, nil
}

// numbers returns the system calls of a port, by name.
func (x xsys) numbers(port string) (map[string]uint32, error) {
	_, values, err := x.constants("zsysnum_linux_" + port + ".go")
	if err != nil {
		return nil, err
	}
	numbers := map[string]uint32{}
	for name, v := range values {
		name, ok := strings.CutPrefix(name, "SYS_")
		name = strings.ToLower(name)
		if ok && !notACall(name) {
			numbers[name] = uint32(v)
		}
	}
	return numbers, nil
}

// notACall reports whether a name of the headers is a place-holder.
func notACall(name string) bool {
	switch name {
	case "syscall_mask", "arch_specific_syscall":
		return true
	}
	return strings.HasPrefix(name, "unused") || strings.HasPrefix(name, "reserved")
}

// arguments returns the errno values of a port, and its other constants.
func (x xsys) arguments(port string) (errnos, others map[string]uint64, err error) {
	return x.constants("zerrors_linux.go", "zerrors_linux_"+port+".go",
		"ztypes_linux.go", "ztypes_linux_"+port+".go")
}

// fakeSyscall stands for every import: package syscall, as far as the
// constants need it.
type fakeSyscall struct{}

func (fakeSyscall) Import(path string) (*types.Package, error) {
	if path != "syscall" {
		return nil, fmt.Errorf("%s is not needed", path)
	}
	pkg := types.NewPackage(path, path)
	for name, basic := range map[string]types.BasicKind{"Errno": types.Uintptr, "Signal": types.Int} {
		obj := types.NewTypeName(token.NoPos, pkg, name, nil)
		types.NewNamed(obj, types.Typ[basic], nil)
		pkg.Scope().Insert(obj)
	}
	pkg.MarkComplete()
	return pkg, nil
}
