package registry

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestUCFG reads configurations with go-ucfg, as libbeat does. It is no
// dependency of this module, so the test is a module of its own.
func TestUCFG(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source, err := os.ReadFile("testdata/ucfg/main.go")
	if err != nil {
		t.Fatal(err)
	}
	mod := "module ucfg\n\ngo 1.26.0\n\nrequire (\n\tgithub.com/elastic/go-ucfg v0.8.8\n\tgithub.com/sysgate/sysgate v0.0.0\n)\n\nreplace github.com/sysgate/sysgate => " + root + "\n"
	for name, data := range map[string][]byte{"main.go": source, "go.mod": []byte(mod)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		return string(bytes.TrimSpace(out)), err
	}
	if out, err := run("mod", "download", "github.com/elastic/go-ucfg@v0.8.8"); err != nil {
		t.Skipf("needs go-ucfg from a module proxy: %s", out)
	}
	if out, err := run("mod", "tidy"); err != nil {
		t.Skipf("needs what go-ucfg requires from a module proxy: %s", out)
	}
	out, err := run("run", ".")
	if err != nil || out != "ok" {
		t.Fatalf("%v\n%s", err, out)
	}
}
