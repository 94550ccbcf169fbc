package image

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNamedByPath asks for a library by other paths to its file.
func TestNamedByPath(t *testing.T) {
	const program = "/bin/ls"
	p, err := Load(program, LoadOptions{})
	if err != nil {
		t.Skipf("no program to load: %v", err)
	}
	defer p.Close()
	if len(p.Libraries()) == 0 {
		t.Skip("it has no libraries")
	}
	m := p.Libraries()[0]
	dir := t.TempDir()
	link, other := filepath.Join(dir, "link"), filepath.Join(dir, "other")
	if err := os.Symlink(m.object.path, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, m.Contents(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]*Module{m.Soname: m, m.object.path: m, link: m, other: nil, filepath.Join(dir, "missing"): nil, "missing.so": nil, "./" + m.Soname: nil} {
		if got := p.Named(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
