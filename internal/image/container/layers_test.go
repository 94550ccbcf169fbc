package container

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	layouts "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/sysgate/sysgate/abi"
)

// writeLayout writes an image for amd64 with these layers.
func writeLayout(t testing.TB, c v1.Config, layers ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	image := makeImage(t, amd64, c, layers...)
	if _, err := layouts.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})); err != nil {
		t.Fatal(err)
	}
	return dir
}

// unpackLayers unpacks layers under limits; nil are the usual ones.
func unpackLayers(t *testing.T, l *limits, layers ...[]byte) (*Root, error) {
	t.Helper()
	o := Options{ABI: abi.AMD64}
	if l != nil {
		o.limits = *l
	}
	image, err := Open(context.Background(), writeLayout(t, v1.Config{}, layers...), o)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	root, err := image.Unpack()
	if err == nil {
		t.Cleanup(func() { _ = root.Close() })
	}
	return root, err
}

// What layers make of each other.
func TestLayers(t *testing.T) {
	p := program
	for _, tt := range []struct {
		name   string
		layers [][]entry
		want   []string
	}{
		{"a file replaces a file", [][]entry{{{name: "a", body: p("1")}}, {{name: "./a", body: p("2")}}}, []string{"a: 2"}},
		{"a whiteout", [][]entry{{{name: "d/a", body: p("1")}, {name: "d/b", body: p("b")}}, {{name: "d/.wh.a"}}}, []string{"d/b: b"}},
		{"a whiteout of a directory", [][]entry{{{name: "d/e/a", body: p("1")}}, {{name: ".wh.d"}}}, nil},
		{"a whiteout is for lower layers, wherever it stands", [][]entry{
			{{name: "d/a", body: p("1")}, {name: "d/b", body: p("1")}},
			{{name: "d/a", body: p("2")}, {name: ".wh.d"}},
		}, []string{"d/a: 2"}},
		{"an opaque directory", [][]entry{
			{{name: "d/a", body: p("1")}, {name: "d/e/b", body: p("1")}, {name: "c", body: p("c")}},
			{{name: "d/n", body: p("2")}, {name: "d/.wh..wh..opq"}, {name: "d/e/m", body: p("2")}},
		}, []string{"c: c", "d/e/m: 2", "d/n: 2"}},
		{"an opaque root", [][]entry{{{name: "a", body: p("1")}}, {{name: ".wh..wh..opq"}, {name: "b", body: p("2")}}}, []string{"b: 2"}},
		{"AUFS's own names", [][]entry{{{name: "plnk", body: p("1")}}, {{name: ".wh..wh.plnk", body: p("")}, {name: ".wh..wh.aufs"}}}, []string{"plnk: 1"}},
		{"whiteouts of nothing", [][]entry{{{name: ".wh.x"}, {name: "no/.wh.y"}, {name: "no2/.wh..wh..opq"}}}, nil},
		{"over several layers", [][]entry{
			{{name: "a", body: p("1")}},
			{{name: ".wh.a"}},
			{{name: "a", body: p("3")}},
		}, []string{"a: 3"}},
		{"a file in the place of a directory", [][]entry{{{name: "d/a", body: p("1")}}, {{name: "d", body: p("2")}}}, []string{"d: 2"}},
		{"a directory in the place of a file", [][]entry{{{name: "d", body: p("1")}}, {{name: "d/"}, {name: "d/a", body: p("2")}}}, []string{"d/a: 2"}},
		{"a directory in the place of a file, without an entry", [][]entry{{{name: "d", body: p("1")}}, {{name: "d/a", body: p("2")}}}, []string{"d/a: 2"}},
		{"a directory in the place of a link", [][]entry{{{name: "e/a", body: p("1")}, {name: "d", body: "-> e"}}, {{name: "d/"}, {name: "d/b", body: p("2")}}}, []string{"d/b: 2", "e/a: 1"}},
		{"a directory again keeps its files", [][]entry{{{name: "d/a", body: p("1")}}, {{name: "d/"}}}, []string{"d/a: 1"}},
		{"files below a link", [][]entry{{{name: "usr/lib/a", body: p("1")}, {name: "lib", body: "-> usr/lib"}}, {{name: "lib/b", body: p("2")}}}, []string{"lib -> usr/lib", "usr/lib/a: 1", "usr/lib/b: 2"}},
		{"whiteouts below a link", [][]entry{{{name: "usr/lib/a", body: p("1")}, {name: "lib", body: "-> /usr/lib"}}, {{name: "lib/.wh.a"}, {name: "usr/b", body: p("b")}}}, []string{"usr/b: b"}},
		{"links are relative and lead straight", [][]entry{{
			{name: "usr/lib/x86/l.so.1.2", body: p("l")},
			{name: "usr/lib/x86/l.so.1", body: "-> l.so.1.2"},
			{name: "usr/lib/x86/l.so", body: "-> /lib/x86/l.so.1"},
			{name: "lib", body: "-> usr/lib"},
			{name: "lib64/ld.so", body: "-> ../../../../lib/x86/l.so"},
		}}, []string{"lib -> usr/lib", "lib64/ld.so -> ../usr/lib/x86/l.so.1.2", "usr/lib/x86/l.so -> l.so.1.2", "usr/lib/x86/l.so.1 -> l.so.1.2", "usr/lib/x86/l.so.1.2: l"}},
		{"links to directories of links", [][]entry{{
			{name: "z/f", body: p("f")}, {name: "b/l", body: "-> ../z"}, {name: "a", body: "-> b"},
		}}, []string{"a -> b", "b/l -> ../z", "z/f: f"}},
		{"links that lead nowhere, in circles, to other files", [][]entry{{
			{name: "a", body: "-> nothing"}, {name: "b", body: "-> c"}, {name: "c", body: "-> b"}, {name: "text", body: "hello", mode: 0o644}, {name: "t", body: "-> text"}, {name: "e", body: "-> /dev"}, {name: "app", body: p("")},
		}}, []string{"app: "}},
		{"hard links", [][]entry{
			{{name: "a", body: p("1")}, {name: "d/b", body: "=> a"}, {name: "s", body: "-> a"}, {name: "h", body: "=> s"}},
			{{name: "c", body: "=> /d/b"}, {name: "a", body: p("2")}},
		}, []string{"a: 2", "c: 1", "d/b: 1", "h -> a", "s -> a"}},
		{"what is kept", [][]entry{{
			{name: "bin/script", body: "#!/bin/sh\n"},
			{name: "bin/script.py", body: "#!/bin/python3\n"},
			{name: "bin/long.sh", body: "#!/bin/sh\n" + strings.Repeat("#", maxScript)},
			{name: "etc/passwd", body: "root", mode: 0o644},
			{name: "bin/plain", body: "................. no interpreter"},
			{name: "bin/data", body: "\x01\x00\x02"},
			{name: "etc/nsswitch.conf", body: "                  hosts: dns"},
			{name: "etc/ld.so.conf.d/x.conf", body: "                  /opt/lib"},
			{name: "o.o", body: "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x01\x00" + "object"},
			{name: "core", body: "\x7fELF"},
			{name: "pipe", body: "fifo"},
			{name: "big-endian", body: "\x7fELF\x01\x02\x01" + strings.Repeat("\x00", 9) + "\x00\x03" + "be"},
		}}, []string{"big-endian: be", "bin/plain: no interpreter", "bin/script: ", "etc/ld.so.conf.d/x.conf: /opt/lib", "etc/nsswitch.conf: hosts: dns"}},
		{"dots in names", [][]entry{{{name: "a/../b/./c", body: p("1")}, {name: "/d//e", body: p("2")}, {name: "./"}}}, []string{"b/c: 1", "d/e: 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var layers [][]byte
			for _, entries := range tt.layers {
				layers = append(layers, layerTar(t, entries...))
			}
			root, err := unpackLayers(t, nil, layers...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, files(t, root)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// What an image may not say, and how much.
func TestHostileLayers(t *testing.T) {
	small := limits{json: 1 << 20, archive: 1 << 20, layers: 3, unpacked: 64 << 10, kept: 8 << 10, entries: 40, path: 200, name: 50, depth: 10, nesting: 2, window: 1 << 20, steps: 1 << 20}
	many := make([]entry, 50)
	for i := range many {
		many[i] = entry{name: strings.Repeat("x", i/10) + string(rune('a'+i%10)), body: "1"}
	}
	for name, tt := range map[string]struct {
		layers [][]byte
		want   string
	}{
		"name above the root":     {[][]byte{layerTar(t, entry{name: "../../etc/cron.d/x", body: program("")})}, `"../../etc/cron.d/x" leaves the image`},
		"name out and in again":   {[][]byte{layerTar(t, entry{name: "a/../../b", body: program("")})}, "leaves the image"},
		"hard link out":           {[][]byte{layerTar(t, entry{name: "x", body: "=> ../../../etc/shadow"})}, "leaves the image"},
		"hard link to nothing":    {[][]byte{layerTar(t, entry{name: "x", body: "=> etc/shadow"})}, `hard link "x" to "etc/shadow": no such file`},
		"hard link to itself":     {[][]byte{layerTar(t, entry{name: "x", body: "=> x"})}, "no such file"},
		"hard link to the root":   {[][]byte{layerTar(t, entry{name: "x", body: "=> /"})}, "to the directory"},
		"below a link to itself":  {[][]byte{layerTar(t, entry{name: "l", body: "-> l"}, entry{name: "l/x", body: program("")})}, "too many levels of symbolic links"},
		"a root that is a file":   {[][]byte{layerTar(t, entry{name: ".", body: "x"})}, "the root is no directory"},
		"a whiteout of nothing":   {[][]byte{layerTar(t, entry{name: "a/.wh."})}, "removes no file"},
		"a whiteout of the above": {[][]byte{layerTar(t, entry{name: "a/b/.wh..."})}, "removes no file"},
		"no archive":              {[][]byte{bytes.Repeat([]byte("not an archive. "), 64)}, "invalid tar header"},
		"cut off":                 {[][]byte{layerTar(t, entry{name: "x", body: program(strings.Repeat("x", 3000))})[:2000]}, "unexpected EOF"},
		"layers":                  {[][]byte{layerTar(t), layerTar(t), layerTar(t), layerTar(t)}, "too large: more than 3 layers of an image"},
		"files":                   {[][]byte{layerTar(t, many...)}, "too large: more than 40 files of layers"},
		"kept":                    {[][]byte{layerTar(t, entry{name: "x", body: program(strings.Repeat("x", 9000))})}, "too large: more than 8192 bytes of executables and libraries"},
		"unpacked":                {[][]byte{layerTar(t), layerTar(t, entry{name: "x", body: strings.Repeat("x", 70000), mode: 0o644})}, "too large: more than 65536 bytes of layers without compression"},
		"unpacked, of all layers": {[][]byte{layerTar(t, entry{name: "x", body: strings.Repeat("x", 40000), mode: 0o644}), layerTar(t, entry{name: "x", body: strings.Repeat("x", 40000), mode: 0o644})}, "too large: more than 65536 bytes"},
		"unpacked, after the end": {[][]byte{append(layerTar(t), make([]byte, 70000)...)}, "too large: more than 65536 bytes"},
		"a long name":             {[][]byte{layerTar(t, entry{name: strings.Repeat("x/", 4) + strings.Repeat("y", 51), body: "1"})}, "has more than 50 bytes"},
		"a long path":             {[][]byte{layerTar(t, entry{name: strings.Repeat(strings.Repeat("x", 49)+"/", 5) + "y", body: "1"})}, "has more than 200 bytes or 10 parts"},
		"a deep path":             {[][]byte{layerTar(t, entry{name: strings.Repeat("x/", 10) + "y", body: "1"})}, "has more than 200 bytes or 10 parts"},
		"deep by links": {[][]byte{layerTar(t,
			entry{name: "a/b/c/d/e/f/g", body: "1"}, entry{name: "l", body: "-> a/b/c/d/e/f"}, entry{name: "l/1/2/3/4/5/x", body: program("")})}, "file name too long"},
		"a long link": {[][]byte{layerTar(t, entry{name: "l", body: "-> " + strings.Repeat("x", 300)})}, "has more than 200 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := unpackLayers(t, &small, tt.layers...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if strings.HasPrefix(tt.want, "too large") && !errors.Is(err, errTooLarge) {
				t.Errorf("%v is not errTooLarge", err)
			}
		})
	}
}

// Nothing that layers say touches a file outside the root, whatever links lead to.
func TestConfined(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte(program("secret")), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := unpackLayers(t, nil,
		layerTar(t,
			entry{name: "out", body: "-> " + outside},
			entry{name: "up", body: "-> ../../../../../../../.." + outside},
			entry{name: "abs", body: "-> " + secret}),
		layerTar(t,
			entry{name: "out/secret", body: program("mine")},
			entry{name: "up/.wh.nothing"},
			entry{name: "out/new", body: program("new")}),
		layerTar(t, entry{name: "copy", body: "=> out/secret"}))
	if err != nil {
		t.Fatal(err)
	}
	inside := strings.TrimPrefix(outside, "/")
	want := []string{"abs -> " + inside + "/secret", "copy: mine", inside + "/new: new", inside + "/secret: mine", "out -> " + inside, "up -> " + inside}
	got := files(t, root)
	slicesEqualUnordered(t, want, got)
	if data, err := os.ReadFile(secret); err != nil || string(data) != program("secret") {
		t.Errorf("the file outside: %q, %v", data, err)
	}
	if list, err := os.ReadDir(outside); err != nil || len(list) != 1 {
		t.Errorf("outside: %v, %v", list, err)
	}
}

func slicesEqualUnordered(t *testing.T, want, got []string) {
	t.Helper()
	count := map[string]int{}
	for _, w := range want {
		count[w]++
	}
	for _, g := range got {
		count[g]--
	}
	for s, n := range count {
		if n != 0 {
			t.Errorf("%q: %+d", s, -n)
		}
	}
}

// A layer, a manifest or a configuration that is not what its digest says is
// refused, and so is one that is not there.
func TestDamaged(t *testing.T) {
	layer := layerTar(t, entry{name: "app", body: program("1")})
	other := layerTar(t, entry{name: "app", body: program("2")})
	dir := writeLayout(t, v1.Config{}, layer)
	blobs := filepath.Join(dir, "blobs", "sha256")
	list, err := os.ReadDir(blobs)
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	for _, blob := range list {
		file := filepath.Join(blobs, blob.Name())
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for what, bad := range map[string][]byte{
			"damaged":       bytes.Replace(good, []byte("linux"), []byte("linuX"), 1),
			"other content": append(good[:len(good):len(good)], '\n'),
			"not there":     nil,
		} {
			if bytes.Equal(good, layer) {
				bad = map[string][]byte{"damaged": other, "other content": append(layer[:len(layer):len(layer)], 1), "not there": nil}[what]
			} else if what == "damaged" && bytes.Equal(bad, good) {
				continue
			}
			if bad == nil {
				err = os.Remove(file)
			} else {
				err = os.WriteFile(file, bad, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			image, err := Open(context.Background(), dir, Options{ABI: abi.AMD64})
			if err == nil {
				_, err = image.Unpack()
				image.Close()
			}
			if want := map[bool]string{true: "damaged", false: "no such file"}[bad != nil]; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: error %v", blob.Name(), what, err)
			}
			if err := os.WriteFile(file, good, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A blob that is a link out of the layout is not read.
	for _, blob := range list {
		file := filepath.Join(blobs, blob.Name())
		elsewhere := filepath.Join(t.TempDir(), "blob")
		if err := errors.Join(os.Rename(file, elsewhere), os.Symlink(elsewhere, file)); err != nil {
			t.Fatal(err)
		}
		image, err := Open(context.Background(), dir, Options{ABI: abi.AMD64})
		if err == nil {
			_, err = image.Unpack()
			image.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("a link out of the layout: error %v", err)
		}
		if err := errors.Join(os.Remove(file), os.Rename(elsewhere, file)); err != nil {
			t.Fatal(err)
		}
	}
}

// A small file that decompresses to a large one is not read to its end.
func TestBombs(t *testing.T) {
	l := defaultLimits
	l.unpacked, l.archive, l.json, l.window = 10<<20, 10<<20, 1<<20, 1<<20
	zeros := func(n int64) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		if err := w.WriteHeader(&tar.Header{Name: "zeros", Size: n, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeroReader{}, n); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	file := filepath.Join(t.TempDir(), "bomb.tar.gz")
	if err := os.WriteFile(file, zeros(50<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), file, Options{ABI: abi.AMD64, limits: l}); !errors.Is(err, errTooLarge) {
		t.Errorf("an archive: %v", err)
	}
	if list, _ := filepath.Glob(filepath.Join(os.TempDir(), "sysgate-archive-*")); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
	huge := writeTar(t, filepath.Join(t.TempDir(), "huge.tar"), nil, entry{name: "index.json", body: strings.Repeat(" ", 2<<20)})
	if _, err := Open(context.Background(), huge, Options{ABI: abi.AMD64, limits: l}); !errors.Is(err, errTooLarge) {
		t.Errorf("a manifest: %v", err)
	}
	if _, err := unpackLayers(t, &l, layerTar(t), layerTar(t, entry{name: "x", body: strings.Repeat("\x00", 20<<20)})); !errors.Is(err, errTooLarge) {
		t.Errorf("a layer: %v", err)
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func header(size int) *tar.Header { return &tar.Header{Mode: 0o755, Size: int64(size)} }
