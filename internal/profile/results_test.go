package profile

import (
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestKnownResults compares knownResults with the source of Go.
func TestKnownResults(t *testing.T) {
	roots := []string{goroot(t)}
	cached, _ := filepath.Glob(filepath.Join(modCache(t), "golang.org", "toolchain@*go1.[12][0-9]*"))
	for _, root := range append(roots, cached...) {
		t.Run(filepath.Base(root), func(t *testing.T) {
			if strings.Contains(root, "go1.16.") {
				t.Skip("not analysed")
			}
			// What favoriteAddrFamily returns, and where it asks an address, what those return.
			returns := map[string][]string{"favoriteAddrFamily": nil, "family": nil}
			files, _ := filepath.Glob(filepath.Join(root, "src/net/*_posix.go"))
			for _, name := range files {
				if strings.Contains(name, "unixsock") {
					continue // another kind of address: internetSocket gets none
				}
				collectReturns(t, name, returns)
			}
			for fn, want := range map[string][]string{
				"favoriteAddrFamily": {"laddr.family()", "syscall.AF_INET", "syscall.AF_INET6"},
				"family":             {"syscall.AF_INET", "syscall.AF_INET6"},
			} {
				got := slices.Compact(slices.Sorted(slices.Values(returns[fn])))
				if !slices.Equal(got, want) {
					t.Errorf("%s returns %v, want %v", fn, got, want)
				}
			}
		})
	}
}

// collectReturns adds the first results of the functions that returns names.
func collectReturns(t *testing.T, name string, returns map[string][]string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if _, wanted := returns[fn.Name.Name]; !wanted {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if r, ok := n.(*ast.ReturnStmt); ok {
				var text strings.Builder
				if err := printer.Fprint(&text, files, r.Results[0]); err != nil {
					t.Fatal(err)
				}
				returns[fn.Name.Name] = append(returns[fn.Name.Name], text.String())
			}
			return true
		})
	}
}
