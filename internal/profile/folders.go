package profile

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// inFolders returns the libraries in the folders among o.Libraries, for the program at
// path.
func inFolders(path string, o Options) (all []string, err error) {
	for _, name := range o.Libraries {
		if !isFolder(o.Root, name) {
			continue
		}
		found, err := image.LibrariesIn(o.Root, name, path)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// isFolder reports whether a name of Options.Libraries is that of a folder.
func isFolder(root, name string) bool {
	if !strings.Contains(name, "/") {
		return false
	}
	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil && info.IsDir()
}
