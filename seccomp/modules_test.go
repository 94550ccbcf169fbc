package seccomp_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUcfg runs the tests of testdata/ucfg, which read configurations with
// go-ucfg, in a module of their own: go-ucfg stays out of sysgate's.
func TestUcfg(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ucfg")
	if err := os.CopyFS(dir, os.DirFS("testdata/ucfg")); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, "mod", "edit", "-replace=github.com/sysgate/sysgate="+root)
	download(t, dir, "github.com/elastic/go-ucfg", "github.com/elastic/go-seccomp-bpf", "gopkg.in/yaml.v2")
	out := goCommand(t, dir, "test", "-count=1", "-v", "./...")
	for _, name := range []string{"TestDocumented", "TestErrors", "TestMissingDefaultAction", "TestMissingOperation", "TestFilter", "TestTables", "TestYAML"} {
		if !strings.Contains(out, "--- PASS: "+name+" ") {
			t.Errorf("%s did not run:\n%s", name, out)
		}
	}
}

// goCommand runs the go command in the module in dir, which it may change.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// download skips the test where modules that are not in the cache cannot be had.
func download(t *testing.T, dir string, modules ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"mod", "download"}, modules...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the modules %v are not to be had: %v: %s", modules, err, strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; "))
	}
}
