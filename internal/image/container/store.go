package container

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// A store holds the files of an image that is not in a registry.
type store interface {
	// open returns a file and its size. The error of one that is not there wraps
	// fs.ErrNotExist.
	open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// A dirStore is a layout directory. Links in it cannot leave it.
type dirStore struct{ root *os.Root }

func (d dirStore) Close() error { return d.root.Close() }

func (d dirStore) open(name string) (io.ReadCloser, int64, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // a fifo would block
		return nil, 0, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// A tarStore is an archive that is not compressed, with the places of its files.
type tarStore struct {
	file  *os.File
	spool string // the temporary file that has to be removed, or ""
	files map[string]tarFile
}

type tarFile struct {
	offset, size int64
	link         string // of a link, the name that it stands for
}

func (t *tarStore) Close() error {
	err := t.file.Close()
	if t.spool != "" {
		err = errors.Join(err, os.Remove(t.spool))
	}
	return err
}

// maxArchiveLinks is how many links may stand for one file of an archive.
const maxArchiveLinks = 8

func (t *tarStore) open(name string) (io.ReadCloser, int64, error) {
	name = path.Clean(name)
	for range maxArchiveLinks {
		f, ok := t.files[name]
		switch {
		case !ok:
			return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		case f.link == "":
			return io.NopCloser(io.NewSectionReader(t.file, f.offset, f.size)), f.size, nil
		}
		name = f.link
	}
	return nil, 0, fmt.Errorf("%s: a link to itself", name)
}

// openTar returns the store of an archive without compression, or closes it.
func openTar(file *os.File, o *Options) (*tarStore, error) { return list(&tarStore{file: file}, o) }

// openStream returns the store of an archive that is read from its beginning to its end.
// It is kept in a temporary file: its layers are not in the order in which they are
// needed. Its size is 0 if it is not known.
func openStream(r io.Reader, size int64, o *Options) (*tarStore, error) {
	t, err := spool(r, size, o)
	if err != nil {
		return nil, err
	}
	return list(t, o)
}

func list(t *tarStore, o *Options) (*tarStore, error) {
	if err := t.list(o); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// list finds the files of the archive.
func (t *tarStore) list(o *Options) error {
	t.files = map[string]tarFile{}
	r := tar.NewReader(t.file)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if len(t.files) >= o.limits.entries {
			return tooLarge("an archive", int64(o.limits.entries), "files")
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			// The reader stands where the file begins: it reads by whole blocks, and
			// no byte ahead.
			at, err := t.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return fmt.Errorf("read the archive: %w", err)
			}
			t.files[name] = tarFile{offset: at, size: h.Size}
		case tar.TypeSymlink:
			t.files[name] = tarFile{link: path.Join(path.Dir(name), h.Linkname)}
		case tar.TypeLink:
			t.files[name] = tarFile{link: path.Clean(h.Linkname)}
		}
	}
}

// spool keeps an archive in a temporary file, without the compression that it has as a
// whole.
func spool(r io.Reader, size int64, o *Options) (_ *tarStore, err error) {
	out, err := os.CreateTemp(o.Temp, "sysgate-archive-*")
	if err != nil {
		return nil, err
	}
	t := &tarStore{file: out, spool: out.Name()}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	in, err := decompress(o.watch("decompress", r, size), &o.limits)
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(out, &bounded{in, o.limits.archive, tooLarge("an archive", o.limits.archive, "bytes")}); err != nil {
		return nil, fmt.Errorf("decompress the archive: %w", err)
	}
	if _, err = out.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return t, in.Close()
}

// readJSON reads one of the small files of a store.
func readJSON(s store, name string, l *limits) ([]byte, error) {
	r, _, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := readAll(r, l.json, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(name, "./"), err)
	}
	return data, nil
}
