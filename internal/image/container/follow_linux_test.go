package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test program be the interpreter of scripts: it prints its
// arguments.
func TestMain(m *testing.M) {
	if os.Getenv("SYSGATE_TEST_ARGUMENTS") != "" {
		if err := json.NewEncoder(os.Stdout).Encode(os.Args); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The kernel reads the first line of a script as parseShebang does.
func TestShebangAsTheKernel(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSGATE_TEST_ARGUMENTS", "1")
	dir := t.TempDir()
	interpreter := filepath.Join(dir, "i")
	if err := os.Symlink(self, interpreter); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{
		"%s\n", " %s\n", "\t%s \t\n", "%s arg\n", "%s  two args \n", "%s arg", "%s", "%s arg\x00more\n", "%s\x00\n", "%s arg\r\n", "%s\r\n", "\n", " \t\n", "",
		"%s " + strings.Repeat("x", 400) + "\n", strings.Repeat(" ", 300) + "%s\n", strings.Repeat(" ", 200) + "%s \n", "./i\n", "%s\targ\targ2\n", "%s a\\\nb\n",
	} {
		content := "#!" + strings.Replace(text, "%s", interpreter, 1)
		file := filepath.Join(dir, fmt.Sprint("script", i))
		if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(file, "first")
		cmd.Dir = dir
		out, kernelErr := cmd.Output()
		var want []string
		if kernelErr == nil {
			if err := json.Unmarshal(out, &want); err != nil {
				t.Fatal(err)
			}
		}
		u := &unpacker{tree: newTree(&defaultLimits), options: &Options{limits: defaultLimits}}
		f, err := u.file("script", header(len(content)), strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		name, argument, ok := parseShebang(f.line)
		got := []string{name}
		if argument != "" {
			got = append(got, argument)
		}
		got = append(got, file, "first")
		switch {
		case errors.Is(kernelErr, syscall.ENOEXEC):
			if ok {
				t.Errorf("%q: the kernel refuses it, parsed as %q", content, got)
			}
		case kernelErr != nil: // the interpreter is not there
			if ok && (name == interpreter || name == "./i") {
				t.Errorf("%q: the kernel says %v, parsed as %q (%v)", content, kernelErr, got, ok)
			}
		case !ok || !cmp.Equal(got, want):
			t.Errorf("%q: parsed as %q (%v), the kernel %q", content, got, ok, want)
		}
	}
}

// As many scripts lead to one another as the kernel allows.
func TestScriptsAsTheKernel(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSGATE_TEST_ARGUMENTS", "1")
	dir := t.TempDir()
	previous := self
	for n := 1; n <= maxScripts+1; n++ {
		file := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(file, []byte("#!"+previous+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		err := exec.Command(file).Run()
		if ok := n <= maxScripts; ok != (err == nil) || !ok && !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%d scripts: %v", n, err)
		}
		previous = file
	}
}
