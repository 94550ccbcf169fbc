package sysgate_test

import (
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// embedded are the packages that other programs import, with what they may link
// beside the standard library and this module.
var embedded = map[string][]string{
	".":       {"golang.org/x/sys/", "go.yaml.in/yaml/v4"},
	"abi":     {},
	"bpf":     {},
	"policy":  {"go.yaml.in/yaml/v4"},
	"seccomp": {"golang.org/x/sys/", "golang.org/x/net/bpf", "go.yaml.in/yaml/v4"},
}

// TestLinks keeps small what an application gets that imports sysgate, on every
// operating system. It reads the sources, because an answer from go list can come
// from the test cache.
func TestLinks(t *testing.T) {
	imports := map[string][]string{} // by package of this module
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		pkg := path.Dir(filepath.ToSlash(f))
		for _, spec := range file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[pkg] = append(imports[pkg], target)
		}
	}
	for pkg, allowed := range embedded {
		linked, outside := reach(imports, pkg)
		if pkg == "." && !slices.Contains(linked, "internal/proof") {
			t.Errorf("%s links %v: the proof is not among them", pkg, linked)
		}
		for _, target := range outside {
			if !slices.ContainsFunc(allowed, func(a string) bool { return target == a || strings.HasSuffix(a, "/") && strings.HasPrefix(target, a) }) {
				t.Errorf("%s links %s; it may link %v", pkg, target, allowed)
			}
		}
	}
}

// reach returns the packages of this module that one imports, directly or not, and
// those of other modules.
func reach(imports map[string][]string, pkg string) (own, outside []string) {
	own = []string{pkg}
	for i := 0; i < len(own); i++ {
		for _, target := range imports[own[i]] {
			inside, ok := strings.CutPrefix(target, module)
			switch first, _, _ := strings.Cut(target, "/"); {
			case ok:
				if inside = strings.TrimPrefix(inside, "/"); inside == "" {
					inside = "."
				}
				if !slices.Contains(own, inside) {
					own = append(own, inside)
				}
			case strings.Contains(first, ".") && !slices.Contains(outside, target):
				outside = append(outside, target)
			}
		}
	}
	return own, outside
}
