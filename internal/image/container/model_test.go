package container

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// A model is an image's files by path; directories are those that files are in, or
// that have "" for content.
type model map[string]string

// remove takes away a path and everything below it.
func (m model) remove(name string, itself bool) {
	for p := range m {
		if itself && p == name || name == "" || strings.HasPrefix(p, name+"/") {
			delete(m, p)
		}
	}
}

// apply applies a layer in the plainest way: first what it removes, then what it
// adds.
func (m model) apply(entries []entry) {
	for _, e := range entries {
		dir, base := path.Split(e.name)
		switch {
		case base == opaque:
			m.remove(strings.TrimSuffix(dir, "/"), false)
		case strings.HasPrefix(base, whiteout):
			m.remove(dir+strings.TrimPrefix(base, whiteout), true)
		}
	}
	for _, e := range entries {
		if strings.HasPrefix(path.Base(e.name), whiteout) {
			continue
		}
		name := strings.TrimSuffix(e.name, "/")
		for p := path.Dir(name); p != "."; p = path.Dir(p) {
			delete(m, p) // a file in the place of a directory
		}
		if name != e.name {
			if m[name] != "" {
				delete(m, name)
			}
			continue
		}
		m.remove(name, true)
		m[name] = e.body
	}
}

// Layers of files, directories and whiteouts, one over the other, leave what the
// plainest way leaves.
func TestLayersAsTheModel(t *testing.T) {
	parts := rapid.SampledFrom([]string{"a", "b", "c"})
	names := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(parts, 1, 3).Draw(t, "parts"), "/")
	})
	testkit.Check(t, 200, func(rt *rapid.T) {
		m := model{}
		image := &Image{options: &Options{ABI: abi.AMD64, Temp: t.TempDir(), limits: defaultLimits}}
		for n := range rapid.IntRange(1, 4).Draw(rt, "layers") {
			var entries []entry
			for i := range rapid.IntRange(0, 6).Draw(rt, "entries") {
				e := entry{name: names.Draw(rt, "name")}
				switch rapid.IntRange(0, 5).Draw(rt, "kind") {
				case 0:
					e.name += "/"
				case 1:
					e.name = path.Join(path.Dir(e.name), whiteout+path.Base(e.name))
				case 2:
					e.name = path.Join(path.Dir(e.name), opaque)
				default:
					e.body = program(fmt.Sprint(n, ".", i))
				}
				entries = append(entries, e)
			}
			m.apply(entries)
			data := layerTar(t, entries...)
			digest, _, err := v1.SHA256(strings.NewReader(string(data)))
			if err != nil {
				rt.Fatal(err)
			}
			image.layers = append(image.layers, layerOf(data, digest))
		}
		root, err := image.Unpack()
		if err != nil {
			rt.Fatal(err)
		}
		defer root.Close()
		var want []string
		for name, body := range m {
			want = append(want, name+": "+strings.TrimLeft(body[18:], "\x00"))
		}
		slices.Sort(want)
		if got := files(t, root); !slices.Equal(got, want) {
			rt.Fatalf("files %q, the model %q", got, want)
		}
	})
}
