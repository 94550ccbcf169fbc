package sysgate_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sysgate/sysgate"

// mayImport is the import table of docs/architecture.md: for each package of the
// module, the packages of the module that it may import. "*" is any. Tests may
// import anything.
var mayImport = map[string][]string{
	".":                        {"abi", "policy", "bpf", "internal/build", "internal/kernel", "internal/certify"},
	"abi":                      {},
	"bpf":                      {"abi"},
	"policy":                   {"abi"},
	"internal/proc":            {"abi"},
	"internal/image":           {"abi"},
	"internal/cache":           {},
	"internal/compile":         {"abi", "policy", "bpf"},
	"internal/certify":         {"abi", "policy", "bpf"},
	"internal/proof":           {"abi", "policy", "bpf", "internal/certify"},
	"internal/build":           {"abi", "policy", "bpf", "internal/compile", "internal/proof"},
	"internal/kernel":          {"abi", "bpf"},
	"seccomp":                  {".", "abi", "policy", "bpf"},
	"seccomp/arch":             {".", "abi", "policy", "bpf"},
	"seccomp/registry":         {".", "seccomp", "abi", "policy"},
	"internal/observe":         {"abi", "policy"},
	"internal/profile":         {"abi", "internal/cache", "internal/image", "internal/observe"},
	"internal/gate":            {"abi", "policy", "internal/image", "internal/observe", "internal/profile", "internal/proof", "internal/refine"},
	"internal/launch":          {"abi", "bpf", "internal/kernel"},
	"internal/supervise":       {"abi", "bpf", "policy", "internal/kernel", "internal/launch", "internal/proc", "internal/image", "internal/observe"},
	"internal/record":          {"abi", "bpf", "internal/kernel", "internal/launch", "internal/supervise", "internal/proc", "internal/observe"},
	"internal/audit":           {"abi", "bpf", "internal/kernel", "internal/observe"},
	"internal/refine":          {"abi", "policy", "internal/observe", "internal/proof"},
	"internal/convert":         {"abi", "policy", "bpf", "internal/proof", "internal/build"},
	"internal/lint":            {"abi", "policy", "bpf", "internal/proof", "internal/build", "internal/observe"},
	"internal/source":          {"abi", "policy", "bpf", "internal/convert", "internal/kernel", "internal/proof"},
	"internal/report":          {"abi", "bpf", "policy", "internal/observe"},
	"internal/monitor":         {"abi", "bpf", "policy", "internal/build", "internal/kernel", "internal/launch", "internal/proc", "internal/observe", "internal/audit", "internal/refine", "internal/report"},
	"internal/monitor/metrics": {"abi", "internal/monitor"},
	"internal/monitor/otlp":    {"abi", "internal/monitor"},
	"internal/monitor/web":     {"abi", "internal/monitor", "internal/observe", "internal/refine"},
	"policytest":               {".", "abi", "policy", "internal/build", "internal/proof", "internal/profile", "internal/image", "internal/observe", "internal/launch"},
	"internal/cli":             {"*"},
	"internal/testkit":         {"abi", "bpf", "policy", "internal/figures", "internal/kernel"},
	"cmd/sysgate":              {"internal/cli"},
	"internal/figures":         {"abi", "policy", "bpf"}, // for tests and bench

	// Images are unpacked apart from the reading of programs: who profiles a file
	// does not link a client of registries.
	"internal/image/container": {"abi"},
}

// Examples import what users can: every public package, and their own.
var examplesImport = []string{".", "abi", "bpf", "policy", "policytest", "seccomp", "seccomp/arch", "seccomp/registry"}

// onlyImporters names the packages that alone may import another: the compiler
// behind the proof, and dependencies that would otherwise spread.
var onlyImporters = map[string][]string{
	module + "/internal/compile":          {"internal/build"},
	module + "/internal/cli":              {"cmd/sysgate"},
	"go.yaml.in/yaml/v4":                  {"policy", "internal/convert"},
	"golang.org/x/arch":                   {"internal/image"},
	"golang.org/x/net":                    {"seccomp"},
	"github.com/spf13/cobra":              {"internal/cli"},
	"github.com/mattn/go-isatty":          {"internal/cli"},
	"github.com/cilium/ebpf":              {"internal/record"},
	"github.com/prometheus/client_golang": {"internal/monitor/metrics"},
	"go.opentelemetry.io":                 {"internal/monitor/otlp"},
	"google.golang.org":                   {"internal/monitor/otlp"},

	"github.com/google/go-containerregistry": {"internal/image/container"},
	"github.com/klauspost/compress":          {"internal/image/container"},
	"mvdan.cc/sh":                            {"internal/image/container"}, // the language of entry-point scripts
}

func TestImportTable(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		pkg := path.Dir(filepath.ToSlash(f))
		seen[pkg] = true
		allowed, listed := mayImport[pkg]
		if strings.HasPrefix(pkg, "examples/") {
			allowed, listed = examplesImport, true
		}
		if !listed && !strings.HasPrefix(pkg, "internal/cmd/") {
			t.Errorf("%s: package %s is not in the import table", f, pkg)
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, f, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			where := set.Position(spec.Pos())
			for name, importers := range onlyImporters {
				if (target == name || strings.HasPrefix(target, name+"/")) && !slices.Contains(importers, pkg) && pkg != strings.TrimPrefix(name, module+"/") {
					t.Errorf("%s: only %v may import %s", where, importers, target)
				}
			}
			own, ok := strings.CutPrefix(target, module)
			if !ok || strings.HasPrefix(pkg, "internal/cmd/") {
				continue
			}
			own = strings.TrimPrefix(own, "/")
			if own == "" {
				own = "."
			}
			if own == "internal/testkit" {
				t.Errorf("%s: internal/testkit is for tests", where)
			}
			ofSameExample := strings.HasPrefix(pkg, "examples/") && strings.HasPrefix(own, pkg+"/")
			if !slices.Contains(allowed, "*") && !slices.Contains(allowed, own) && !ofSameExample {
				t.Errorf("%s: %s may not import %s", where, pkg, own)
			}
		}
	}
	for _, must := range []string{"abi", "bpf", "policy", "internal/compile", "internal/proof", "internal/build", "internal/profile", "cmd/sysgate"} {
		if !seen[must] {
			t.Errorf("package %s was not looked at", must)
		}
	}
}

// TestPackageComments holds every package to one package comment, in doc.go or
// main.go.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		pkg := path.Dir(filepath.ToSlash(f))
		comments[pkg] = append(comments[pkg], nil...)
		if file.Doc != nil {
			comments[pkg] = append(comments[pkg], f)
		}
	}
	for pkg, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s: %d package comments %v, want 1", pkg, len(files), files)
		}
	}
}

// TestDependenciesAreExplained holds go.mod's direct requirements to
// docs/architecture.md, which gives the reason for each.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.Lines(string(mod)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) < 2 || !strings.Contains(fields[0], ".") || !strings.HasPrefix(fields[1], "v") || strings.Contains(line, "// indirect") {
			continue
		}
		direct++
		if !strings.Contains(string(doc), "`"+fields[0]+"`") {
			t.Errorf("docs/architecture.md does not say why go.mod requires %s", fields[0])
		}
	}
	if direct == 0 {
		t.Error("no direct requirement found in go.mod")
	}
}

// goFiles returns every Go file of the module, by its path from the root.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." {
				if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if strings.HasSuffix(p, ".go") {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
