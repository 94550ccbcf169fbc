package cli

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/proc"
	"github.com/sysgate/sysgate/internal/source"
)

// declared are the policies of a directory, by the name of what they are declared for.
type declared map[string]*source.Input

// policyFiles are the endings of files that hold policies or filters.
var policyFiles = []string{".yaml", ".yml", ".json", ".bpf", ".policy", ".txt"}

// readDeclared reads the policies of dir: NAME.yaml is declared for NAME.
func (e *env) readDeclared(flags inputFlags, dir string) (declared, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := declared{}
	from := map[string]string{}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		ending := path.Ext(entry.Name())
		switch info, err := os.Stat(file); {
		case err != nil:
			return nil, err
		case info.IsDir() || strings.HasPrefix(entry.Name(), "."):
			continue
		case !slices.Contains(policyFiles, ending):
			e.detailf("%s: its name does not end as a policy's", file)
			continue
		}
		name := strings.TrimSuffix(entry.Name(), ending)
		if other, ok := from[name]; ok {
			return nil, fmt.Errorf("%s and %s are declared for the same: %s", other, file, name)
		}
		inputs, err := e.readInputs(flags, file)
		if err != nil {
			return nil, err
		}
		all[name], from[name] = inputs[0], file
	}
	if len(all) == 0 {
		return nil, withHint(fmt.Errorf("%s: no policy in it", dir), "name a policy for its program, unit or container: %s", filepath.Join(dir, "nginx.yaml"))
	}
	return all, nil
}

// of returns the name of what a policy is declared for that p is, the most particular
// one: its container, its unit, its executable. What a process can choose about itself
// does not count.
func (d declared) of(p *proc.Process) (name string, ok bool) {
	exe := strings.TrimSuffix(path.Base(p.Exe), " (deleted)") // it was replaced by an update
	unit := strings.TrimSuffix(p.Unit, ".service")
	names := []string{p.Container, shortContainer(p.Container), p.Unit, unit}
	if p.Exe != "" {
		names = append(names, exe)
	}
	for _, name := range names {
		if _, ok := d[name]; ok && name != "" {
			return name, true
		}
	}
	return "", false
}

// shortContainer returns the start of a container's ID, as runtimes print it.
func shortContainer(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return ""
}
