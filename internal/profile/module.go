package profile

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// Std is the path of the module that stands for Go's own packages; its version
// is the Go release.
const Std = "std"

// PackageOf returns the import path of the package that a function of a Go
// program belongs to, from its name as the linker knows it: "net/http" of
// "net/http.(*Server).Serve", "main" of the program's own. It is "" for names
// that are not a package's: those of C functions, and _rt0_amd64 and its like.
func PackageOf(function string) string {
	for _, generated := range [...]string{"type:.eq.", "type:.hash.", "go:"} {
		if strings.HasPrefix(function, generated) {
			return "runtime" // made by the compiler, for its use
		}
	}
	// Type arguments and receivers hold paths of their own.
	plain := function
	if i := strings.IndexAny(plain, "[({"); i >= 0 {
		plain = plain[:i]
	}
	slash := strings.LastIndexByte(plain, '/') + 1
	dot := strings.IndexByte(plain[slash:], '.')
	if dot < 0 {
		return ""
	}
	// The linker escapes dots in the last element, quotes and bytes above 0x7e.
	path := plain[:slash+dot]
	if clear, err := url.PathUnescape(path); err == nil {
		return clear
	}
	return path
}

// Brought returns the module of a Go package, with its version: the longest of
// the build's modules that the path starts with, [Std] with the Go release for
// Go's own packages, and a module without a version where the build says nothing
// of it. Package main is the program's own.
func Brought(b *image.BuildInfo, pkg string) image.GoModule {
	main := image.GoModule{Path: b.Path}
	if path, version, _ := strings.Cut(b.Main, " "); path != "" {
		main = image.GoModule{Path: path, Version: version}
	}
	if pkg == "main" {
		if main.Path == "" {
			main.Path = "main"
		}
		return main
	}
	best := image.GoModule{}
	for _, m := range append([]image.GoModule{main}, b.Deps...) {
		if within(pkg, m.Path) && len(m.Path) > len(best.Path) {
			best = m
		}
	}
	if best.Path != "" && best != main || best == main && b.Main != "" {
		return best
	}
	// Only Go's own packages have a first element without a dot, but for modules
	// that the build names; a toolchain's commands name none.
	if first, _, _ := strings.Cut(pkg, "/"); !strings.Contains(first, ".") {
		return image.GoModule{Path: Std, Version: b.Version}
	}
	return image.GoModule{Path: cmp.Or(best.Path, pkg)}
}

// within reports whether the package path lies in the module.
func within(pkg, module string) bool {
	rest, ok := strings.CutPrefix(pkg, module)
	return ok && module != "" && (rest == "" || rest[0] == '/')
}

// Modules returns the modules along a path, each once, from the site to the
// entry point.
func Modules(steps []Step) []image.GoModule {
	var all []image.GoModule
	for _, s := range slices.Backward(steps) {
		if s.Module.Path != "" && !slices.Contains(all, s.Module) {
			all = append(all, s.Module)
		}
	}
	return all
}

// Choosing returns the steps of a path up to the one that chooses the call: those
// behind it only hand its number on.
func Choosing(steps []Step) []Step {
	if i := slices.IndexFunc(steps, func(s Step) bool { return s.Edge == EdgeNumber }); i >= 0 {
		return steps[:i]
	}
	return steps
}

// Interface reports that a module only passes on what its callers ask of the
// kernel: golang.org/x/sys, a C library or a dynamic loader.
func Interface(module string) bool {
	if module == "golang.org/x/sys" {
		return true
	}
	file := module[strings.LastIndexByte(module, '/')+1:]
	return slices.ContainsFunc(interfaces[:], func(name string) bool { return strings.HasPrefix(file, name) }) && strings.Contains(file, ".so")
}

// interfaces are how the files of C libraries and dynamic loaders start.
var interfaces = [...]string{"libc.so", "libc-", "libc.musl", "libpthread", "ld-", "ld.so", "ld64.so"}

// Bringer returns the module that brings the call at the end of a path: the one
// nearest to where the call is chosen that is neither Go's own nor an
// [Interface], else an Interface, else Go's.
func Bringer(steps []Step) image.GoModule {
	all := Modules(Choosing(steps))
	for _, plain := range []bool{false, true} {
		for _, m := range all {
			if m.Path != Std && (plain || !Interface(m.Path)) {
				return m
			}
		}
	}
	if len(all) == 0 {
		return image.GoModule{}
	}
	return all[0]
}
