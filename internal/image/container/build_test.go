package container

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// An entry is a file of a layer that a test makes.
type entry struct {
	name string
	body string // of a regular file; else "-> TARGET", "=> HARD LINK"; a name that ends with "/" is a directory
	mode int64  // 0: 0o755
}

// program is what these tests take for a program: the beginning of an ELF file.
func program(text string) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[16] = 2
	return string(head) + text
}

// layerTar writes a layer.
func layerTar(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Typeflag: tar.TypeReg, Size: int64(len(e.body))}
		if e.mode == 0 {
			h.Mode = 0o755
		}
		body := e.body
		if target, ok := strings.CutPrefix(e.body, "-> "); ok {
			h.Typeflag, h.Linkname, h.Size, body = tar.TypeSymlink, target, 0, ""
		} else if target, ok := strings.CutPrefix(e.body, "=> "); ok {
			h.Typeflag, h.Linkname, h.Size, body = tar.TypeLink, target, 0, ""
		} else if e.body == "fifo" {
			h.Typeflag, h.Size, body = tar.TypeFifo, 0, ""
		} else if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// plainLayer is a layer that is stored as its media type says.
type plainLayer struct {
	v1.Layer
	diffID v1.Hash
}

func (p plainLayer) DiffID() (v1.Hash, error) { return p.diffID, nil }

// makeImage makes an image of layers, every other one compressed another way.
func makeImage(t testing.TB, platform v1.Platform, c v1.Config, layers ...[]byte) v1.Image {
	t.Helper()
	base := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	base = mutate.ConfigMediaType(base, types.OCIConfigJSON)
	image, err := mutate.ConfigFile(base, &v1.ConfigFile{Architecture: platform.Architecture, OS: platform.OS, Variant: platform.Variant, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range layers {
		stored, media := data, types.OCIUncompressedLayer
		switch i % 3 {
		case 1:
			stored, media = gzipped(t, data), types.OCILayer
		case 2:
			stored, media = zstandard(t, data), types.OCILayerZStd
		}
		diffID, _, err := v1.SHA256(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, plainLayer{static.NewLayer(stored, media), diffID}); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

var amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}

// writeTar writes files into an archive.
func writeTar(t testing.TB, file string, compress func(testing.TB, []byte) []byte, entries ...entry) string {
	t.Helper()
	data := layerTar(t, entries...)
	if compress != nil {
		data = compress(t, data)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// entriesOf returns the files of a directory, for an archive.
func entriesOf(t testing.TB, dir string) []entry {
	t.Helper()
	var list []entry
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		name, _ := filepath.Rel(dir, p)
		list = append(list, entry{name: name, body: string(data)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// files returns what is in a root, links with their targets, sorted.
func files(t testing.TB, r *Root) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(r.Dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(r.Dir, p)
		if err != nil {
			return err
		}
		if d.Type()&os.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			list = append(list, name+" -> "+target)
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		list = append(list, name+": "+strings.TrimLeft(string(data[min(18, len(data)):]), "\x00"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}
