package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os/exec"
	"path/filepath"
	"strings"
)

// xsys is the directory of package golang.org/x/sys/unix: its files hold the
// facts of the kernel's headers for every port of Go.
type xsys struct{ dir, version string }

// findXsys returns the package that the module requires.
func findXsys() (xsys, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", "golang.org/x/sys").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return xsys{}, fmt.Errorf("where golang.org/x/sys is: %w", err)
	}
	dir, version, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return xsys{filepath.Join(dir, "unix"), version}, nil
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
