package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "out")
	hello := func(w io.Writer) error { _, err := fmt.Fprint(w, "hello"); return err }
	broken := func(w io.Writer) error { fmt.Fprint(w, "half"); return errors.New("broken") }
	content := func() string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var stdout bytes.Buffer
	e := &env{stdout: &stdout}

	if err := e.output(file, hello); err != nil || content() != "hello" {
		t.Errorf("new file: %v, %q", err, content())
	}
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Chmod(file, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := e.output(file, broken); err == nil || content() != "old" {
		t.Errorf("failure: error %v, file %q; want the old one", err, content())
	}
	if err := e.output(file, hello); err != nil || content() != "hello" {
		t.Errorf("replaced file: %v, %q", err, content())
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of a replaced file: %v, %v; want its own", info.Mode(), err)
	}
	if err := e.output(os.DevNull, hello); err != nil {
		t.Errorf("device: %v", err)
	}
	if err := e.output("-", hello); err != nil || stdout.String() != "hello" {
		t.Errorf("standard output: %v, %q", err, stdout.String())
	}
	if files, _ := filepath.Glob(filepath.Join(dir, ".*")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}
