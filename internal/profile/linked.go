package profile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// linkedNames returns the functions of Go's own packages that a program holds and
// that other packages can name, inlined ones included: by package, sorted, without
// the package's name.
func linkedNames(p *image.Program) map[string][]string {
	linked := map[string][]string{}
	std := map[string]bool{}
	for name := range p.Names {
		slash, dot := bytes.IndexByte(name, '/'), bytes.IndexByte(name, '.')
		if dot < slash || bytes.IndexByte(name, '[') >= 0 {
			continue // of a module, or an instance of a generic function, made for its caller
		}
		pkg := PackageOf(string(name))
		is, known := std[pkg]
		if !known {
			is = pkg != "" && pkg != "main" && !Internal(pkg) && Brought(&p.Build, pkg).Path == Std
			std[pkg] = is
		}
		if f := string(name[min(len(pkg)+1, len(name)):]); is && Exported(f) {
			linked[pkg] = append(linked[pkg], f)
		}
	}
	for pkg, functions := range linked {
		slices.Sort(functions)
		linked[pkg] = slices.Compact(functions)
	}
	return linked
}

// Internal reports that only Go's own packages can import pkg.
func Internal(pkg string) bool {
	return strings.HasPrefix(pkg, "vendor/") || strings.HasPrefix(pkg, "cmd/") || slices.Contains(strings.Split(pkg, "/"), "internal")
}

// Exported recognises a function, or a method of a type, that other packages can
// name, without its package: "Open", "File.Name", "(*File).Read", and no closure
// or wrapper.
func Exported(function string) bool {
	receiver, name, method := strings.Cut(strings.TrimPrefix(function, "(*"), ".")
	if !method {
		name, receiver = receiver, "T"
	}
	receiver = strings.TrimSuffix(receiver, ")")
	return isExported(receiver) && isExported(name)
}

func isExported(identifier string) bool {
	return identifier != "" && identifier[0] >= 'A' && identifier[0] <= 'Z' && !strings.ContainsAny(identifier, ".-()")
}
