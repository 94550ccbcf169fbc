package container

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sysgate/sysgate/abi"
)

// Options say which image of several, and who is told of the progress. The zero
// value is for this machine.
type Options struct {
	ABI abi.ABI // for whose programs the image is to be; None: the native one
	// Progress, if set, is told how many bytes a stage has read, of how many; of 0
	// where that is not known.
	Progress func(stage string, done, total int64)
	Name     string // of a file in messages; "" is the argument
	// Temp is the directory for temporary files; "" is the system's.
	Temp string
	// Input is the archive that "-" and "-:NAME" are; nil: there is none.
	Input io.Reader

	limits limits
	ctx    context.Context
}

// An Image is one image for one platform. Close it.
type Image struct {
	Name   string // as it was asked for
	Digest string // of its manifest; "" where the archive has none
	ABI    abi.ABI
	Config v1.Config

	layers  []layer
	options *Options
	store   io.Closer // nil: none
}

// A layer is an archive of changes.
type layer struct {
	name   string  // for messages
	diffID v1.Hash // of the archive without compression
	size   int64   // as it is stored; 0: not known
	open   func() (io.ReadCloser, error)
}

// Close releases what the image is read from.
func (i *Image) Close() error {
	if i.store == nil {
		return nil
	}
	return i.store.Close()
}

// dockerScheme marks a reference to a registry, whatever it looks like.
const dockerScheme = "docker://"

// Names reports whether arg names an image, by what it finds:
//
//   - what begins with docker:// is a reference to a registry;
//   - a path that exists is an image if it is a directory or a tar archive,
//     compressed or not;
//   - PATH:NAME is one of the images in such a path;
//   - else host/name, with a host that has a dot or a port or is localhost, is a
//     reference to a registry. Paths that begin with "." or "/" never are.
func Names(arg string) bool {
	if strings.HasPrefix(arg, dockerScheme) {
		return true
	}
	if file, _ := splitPath(arg); file != "" {
		return isImageFile(file)
	}
	return looksRemote(arg)
}

// splitPath returns the path that exists and that arg begins with, all of it or up
// to a colon, and what follows. Both are "" where there is none.
func splitPath(arg string) (file, name string) {
	if _, err := os.Stat(arg); err == nil {
		return arg, ""
	}
	for i, c := range arg {
		if c != ':' || i == 0 {
			continue
		}
		if _, err := os.Stat(arg[:i]); err == nil {
			return arg[:i], arg[i+1:]
		}
	}
	return "", ""
}

// looksRemote reports whether arg has a registry's host, by Docker's rule.
func looksRemote(arg string) bool {
	host, rest, ok := strings.Cut(arg, "/")
	if !ok || rest == "" || host == "" || host[0] == '.' || host[0] == '~' {
		return false
	}
	return host == "localhost" || strings.ContainsAny(host, ".:")
}

func isImageFile(file string) bool {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() { // to open a fifo would block
		return err == nil && info.IsDir()
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var block [512]byte
	n, _ := io.ReadFull(f, block[:])
	return isCompressed(block[:n]) || isTar(block[:n])
}

// isTar reports whether an archive begins with this block: its checksum is right
// (tar(5): the sum of the header's bytes, those of the checksum taken as blanks).
func isTar(block []byte) bool {
	if len(block) < 512 {
		return false
	}
	var want, sum int64
	digits := bytes.Trim(block[148:156], " \x00")
	if len(digits) == 0 {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '7' {
			return false
		}
		want = want<<3 | int64(c-'0')
	}
	for i, c := range block[:512] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	return sum == want
}

// Open finds the image that arg names ([Names]) and reads its manifest and
// configuration, each held against its digest. An error about an image that is
// not for the ABI is a *[PlatformError].
func Open(ctx context.Context, arg string, o Options) (*Image, error) {
	o.ctx = ctx
	if o.ABI == abi.None {
		o.ABI = abi.Native()
	}
	if o.limits == (limits{}) {
		o.limits = defaultLimits
	}
	if ref, ok := strings.CutPrefix(arg, dockerScheme); ok {
		return openRemote(arg, ref, &o)
	}
	input, inside, _ := strings.Cut(arg, ":")
	file, name := splitPath(arg)
	var image *Image
	var err error
	switch {
	case input == "-" && o.Input != nil:
		image, err = openInput(inside, &o)
	case file != "":
		image, err = openFile(file, name, &o)
	case !looksRemote(arg):
		return nil, fmt.Errorf("%s: %w; an image in a registry is registry.example/name:tag or docker://name:tag", arg, fs.ErrNotExist)
	default:
		return openRemote(arg, arg, &o)
	}
	shown := cmp.Or(o.Name, arg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown, err)
	}
	image.Name = shown
	return image, nil
}

// openInput opens the image called name in the archive of Options.Input.
func openInput(name string, o *Options) (*Image, error) {
	s, err := openStream(o.Input, 0, o)
	if err != nil {
		return nil, err
	}
	return openStored(s, name, o)
}

// openFile opens the image called name in a directory or an archive.
func openFile(file, name string, o *Options) (*Image, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	var s store
	switch {
	case info.IsDir():
		root, err := os.OpenRoot(file)
		if err != nil {
			return nil, err
		}
		s = dirStore{root}
	case info.Mode().IsRegular():
		f, err := os.Open(filepath.Clean(file))
		if err != nil {
			return nil, err
		}
		if s, err = openArchive(f, info.Size(), o); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("no image: neither a file nor a directory")
	}
	return openStored(s, name, o)
}

// openArchive returns the store of an archive, which is closed with it or before.
func openArchive(f *os.File, size int64, o *Options) (*tarStore, error) {
	var head [512]byte
	n, _ := f.ReadAt(head[:], 0)
	switch {
	case isCompressed(head[:n]):
		t, err := openStream(f, size, o)
		return t, errors.Join(err, f.Close())
	case isTar(head[:n]):
		return openTar(f, o)
	}
	return nil, errors.Join(errors.New("no image: neither an archive nor a directory"), f.Close())
}

// openStored opens the image called name in a store, which is closed with it.
func openStored(s store, name string, o *Options) (*Image, error) {
	image, err := openStore(s, name, o)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	image.store, image.options = s, o
	return image, nil
}

// openStore finds out which of the forms a store has. Archives of newer releases
// of docker save have both.
func openStore(s store, name string, o *Options) (*Image, error) {
	index, err := readJSON(s, "index.json", &o.limits)
	if err == nil {
		return openLayout(s, index, name, o)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	manifest, err := readJSON(s, "manifest.json", &o.limits)
	if err == nil {
		return openDocker(s, manifest, name, o)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, errors.New("no image: it has neither index.json (an OCI layout) nor manifest.json (docker save)")
}

// watch returns r, which ends when the caller gives up, and reports how far it is.
func (o *Options) watch(stage string, r io.Reader, total int64) io.Reader {
	return &watched{r: r, o: o, stage: stage, total: total}
}

type watched struct {
	r           io.Reader
	o           *Options
	stage       string
	done, total int64
}

func (w *watched) Read(p []byte) (int, error) {
	if w.o.ctx != nil && w.o.ctx.Err() != nil {
		return 0, context.Cause(w.o.ctx)
	}
	n, err := w.r.Read(p)
	w.done += int64(n)
	if w.o.Progress != nil {
		w.o.Progress(w.stage, w.done, w.total)
	}
	return n, err
}
