package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultPath is searched where the environment has no PATH (execvp(3)).
const defaultPath = "/bin:/usr/bin"

// LookPath returns the absolute path of the executable that name means: name
// itself where it holds a slash, else the first match in the directories of
// pathVar, the value of PATH, of which an empty one is the current. The error
// is [ErrNotFound] or [ErrNotExecutable].
func LookPath(name, pathVar string) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(name); err != nil {
			return "", err
		}
		return filepath.Abs(name)
	}
	if name == "" {
		return "", fmt.Errorf("%q: %w", name, ErrNotFound)
	}
	if pathVar == "" {
		pathVar = defaultPath
	}
	found := fmt.Errorf("%s: %w", name, ErrNotFound)
	for _, dir := range filepath.SplitList(pathVar) {
		path := filepath.Join(dir, name)
		err := executable(path)
		if err == nil {
			return filepath.Abs(path)
		}
		if _, statErr := os.Stat(path); statErr == nil {
			found = err // exists: a better reason than "not found", unless a later directory has it
		}
	}
	return "", found
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("%s: %w", path, ErrNotFound)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotExecutable, err)
	case info.IsDir():
		return fmt.Errorf("%s: %w: is a directory", path, ErrNotExecutable)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrNotExecutable, err)
	}
	return nil
}
