package container

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sysgate/sysgate/abi"
)

// fuzzLimits let a fuzzer reach every limit with a small input.
var fuzzLimits = limits{
	json: 4 << 10, archive: 256 << 10, layers: 4, unpacked: 256 << 10, kept: 64 << 10, entries: 64,
	path: 100, name: 30, depth: 8, nesting: 2, window: 1 << 20, steps: 4096,
}

// FuzzArchive reads anything as an image: it fails, or what it leaves is within the
// root and within the limits.
func FuzzArchive(f *testing.F) {
	image := func(c v1.Config, layers ...[]byte) []byte {
		return layerTar(f, entriesOf(f, writeLayout(f, c, layers...))...)
	}
	command := v1.Config{Entrypoint: []string{"/entry"}, Cmd: []string{"app", "x"}}
	plain := image(command, layerTar(f, entry{name: "bin/app", body: program("1")}, entry{name: "entry", body: "#!/bin/app -x\n"}, entry{name: "l", body: "-> bin/app"}))
	f.Add(plain)
	f.Add(gzipped(f, plain))
	f.Add(zstandard(f, plain))
	f.Add(image(v1.Config{}, layerTar(f, entry{name: "a", body: program("1")}), layerTar(f, entry{name: ".wh.a"}), layerTar(f, entry{name: "d/.wh..wh..opq"})))
	config, err := json.Marshal(v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}, Config: command})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(layerTar(f, entry{name: "manifest.json", body: `[{"Config":"c","RepoTags":["a:1"],"Layers":[]}]`}, entry{name: "c", body: string(config)}))
	f.Add(layerTar(f, entry{name: "manifest.json", body: `[{"Config":"l","Layers":["l","m"]}]`}, entry{name: "l", body: "-> l"}, entry{name: "m", body: "=> l"}))
	f.Add(layerTar(f, entry{name: "index.json", body: `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:` + strings.Repeat("0", 64) + `"}]}`}))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		file := filepath.Join(dir, "image")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		temp := filepath.Join(dir, "temp")
		if err := os.Mkdir(temp, 0o700); err != nil {
			t.Fatal(err)
		}
		image, err := Open(context.Background(), file, Options{ABI: abi.AMD64, Temp: temp, limits: fuzzLimits})
		if err == nil {
			var root *Root
			if root, err = image.Unpack(); err == nil {
				checkRoot(t, root)
				_, _ = root.Follow(image.Config, "app")
				if err := root.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := image.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := os.ReadDir(temp); err != nil || len(list) > 0 {
			t.Fatalf("left behind: %v, %v", list, err)
		}
	})
}

// FuzzLayers applies anything as a layer over another.
func FuzzLayers(f *testing.F) {
	base := layerTar(f, entry{name: "usr/bin/app", body: program("1")}, entry{name: "bin", body: "-> usr/bin"}, entry{name: "lib/", body: ""}, entry{name: "lib/l.so", body: "=> usr/bin/app"})
	for _, entries := range [][]entry{
		{{name: "bin/.wh.app"}},
		{{name: "usr/.wh..wh..opq"}},
		{{name: "lib", body: "-> bin"}, {name: "lib/x", body: program("x")}},
		{{name: "../x", body: program("x")}},
		{{name: "a", body: "-> /../../b"}, {name: "b", body: "-> a"}},
		{{name: "h", body: "=> bin/app"}, {name: "usr", body: program("x")}},
		{{name: "etc/ld.so.conf.d/x", body: "/lib"}, {name: "s", body: "#!/bin/app\n"}},
	} {
		f.Add(layerTar(f, entries...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		temp := t.TempDir()
		o := &Options{ABI: abi.AMD64, Temp: temp, limits: fuzzLimits}
		image := &Image{options: o}
		for _, layer := range [][]byte{base, data} {
			digest, _, err := v1.SHA256(bytes.NewReader(layer))
			if err != nil {
				t.Fatal(err)
			}
			image.layers = append(image.layers, layerOf(layer, digest))
		}
		root, err := image.Unpack()
		if err != nil {
			return
		}
		checkRoot(t, root)
		if err := root.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func layerOf(data []byte, digest v1.Hash) layer {
	return layer{diffID: digest, open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// checkRoot holds a root to what its documentation says: every link leads to a file
// or a directory in it, and what there is is within the limits.
func checkRoot(t *testing.T, r *Root) {
	t.Helper()
	var size int64
	err := filepath.WalkDir(r.Dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type()&os.ModeSymlink != 0 {
			real, err := filepath.EvalSymlinks(p)
			if err != nil {
				t.Errorf("%s: %v", p, err)
			} else if inside, err := filepath.EvalSymlinks(r.Dir); err != nil || real != inside && !strings.HasPrefix(real, inside+"/") {
				t.Errorf("%s leads to %s, outside %s", p, real, inside)
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() {
			size += info.Size()
		}
		if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			t.Errorf("%s is executable", p)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if most := r.tree.limits.kept * int64(r.tree.limits.entries); size > most { // hard links count again
		t.Errorf("%d bytes were kept", size)
	}
}

// FuzzScript follows anything as a shell script.
func FuzzScript(f *testing.F) {
	for _, row := range scripts {
		f.Add(row.text, "a b")
	}
	f.Add("x=$x y=${y[@]} $x ${y[@]}; f() { f \"$@\" $1; }; f a; set -- \"$@\" a; shift", "-x y")
	f.Add("\\0`-x`", "")
	root := scriptRoot(f, "")
	f.Fuzz(func(t *testing.T, text, args string) {
		Words(text)
		plan, err := root.Follow(v1.Config{Entrypoint: []string{"bash", "-c", text, "/entry"}, Cmd: strings.Fields(args)})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range plan.Unfollowed {
			if strings.Contains(u.Where, unknown) {
				t.Errorf("reported at %q", u.Where)
			}
		}
	})
}

// FuzzShebang reads anything as the first line of a script.
func FuzzShebang(f *testing.F) {
	for _, s := range []string{"#!/bin/sh\n", "#! /usr/bin/env -S a b\n", "#!", "#!\x00\n", "#!/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, argument, ok := parseShebang(s)
		if ok != (name != "") || strings.ContainsAny(name, " \t\x00") || argument != strings.Trim(argument, " \t") {
			t.Errorf("%q: %q, %q, %v", s, name, argument, ok)
		}
	})
}

// FuzzNames cleans anything as the name of an entry: what is left is below the root
// and says the same as path.Clean.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"a/../b", "../a", "/", ".", "a//b/./c/..", strings.Repeat("x/", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean, err := newTree(&fuzzLimits).cleanName(s)
		if err != nil {
			return
		}
		if clean != path.Clean("/" + s)[1:] || strings.HasPrefix(clean, "/") || len(clean) > fuzzLimits.path {
			t.Errorf("%q: %q", s, clean)
		}
	})
}
