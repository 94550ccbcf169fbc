package seccomp_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Off Linux nothing succeeds in silence. Go's js/wasm is a system that every
// machine with node has.
func TestElsewhere(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node (Debian: nodejs), to run js/wasm")
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "elsewhere.wasm")
	build := exec.Command("go", "build", "-o", program, "./testdata/elsewhere")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(node, filepath.Join(strings.TrimSpace(string(root)), "lib/wasm/wasm_exec_node.js"), program)
	run.Env = []string{"PATH=" + os.Getenv("PATH")} // wasm_exec.js takes a short environment only
	if out, err := run.CombinedOutput(); err != nil || string(out) != "ok: js, errno(13)\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
