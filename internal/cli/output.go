package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// outputFlag adds -o to cmd.
func outputFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "output", "o", "-", "write to `FILE`; - is standard output")
}

// output writes what write writes to file, whole or not at all: an existing file
// is replaced only once everything is there.
func (e *env) output(file string, write func(io.Writer) error) (err error) {
	var buf bytes.Buffer
	if err := write(&buf); err != nil {
		return err
	}
	if file == "-" || file == "" {
		_, err := e.stdout.Write(buf.Bytes())
		return err
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // a link stays one
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(file, buf.Bytes(), 0o644) // a pipe or a device has no name to replace
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, writeErr := tmp.Write(buf.Bytes())
	modeErr := tmp.Chmod(fileMode(file))
	if err := errors.Join(writeErr, modeErr, tmp.Close()); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return os.Rename(tmp.Name(), file)
}

// outputPlace fails if output could not write the file: better before something that
// takes long than after it.
func outputPlace(file string) error {
	if file == "-" || file == "" {
		return nil
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}

// fileMode returns the mode that the file named has, or that a new one gets.
func fileMode(name string) os.FileMode {
	if info, err := os.Stat(name); err == nil {
		return info.Mode().Perm()
	}
	return 0o644
}
