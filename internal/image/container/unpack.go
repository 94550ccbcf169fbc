package container

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Root is what is kept of an image's files. Close removes it.
type Root struct {
	// Dir holds the executables and libraries of the image at their paths, the
	// links to them, shell scripts, and the configuration that decides which
	// libraries are loaded. Links are relative and none leads out of it. No file is
	// executable.
	Dir string

	temp string // that holds Dir
	tree *tree
}

// Close removes the root's files.
func (r *Root) Close() error { return os.RemoveAll(r.temp) }

// Unpack applies the image's layers, the lowest first, and keeps what an analysis
// needs. It establishes that every layer has the digest that the configuration
// says.
func (i *Image) Unpack() (_ *Root, err error) {
	temp, err := os.MkdirTemp(i.options.Temp, "sysgate-image-*")
	if err != nil {
		return nil, err
	}
	r := &Root{Dir: filepath.Join(temp, "root"), temp: temp, tree: newTree(&i.options.limits)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	store := filepath.Join(temp, "store")
	for _, dir := range []string{r.Dir, store} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	u := &unpacker{
		tree: r.tree, store: store, options: i.options,
		unpacked: i.options.limits.unpacked, kept: i.options.limits.kept, entries: i.options.limits.entries,
		buffer: make([]byte, bufferSize), zeros: make([]byte, bufferSize),
	}
	var total int64
	for _, l := range i.layers {
		total += l.size
	}
	for n, l := range i.layers {
		u.total = total
		if err := u.layer(l, int32(n+1)); err != nil {
			return nil, fmt.Errorf("%s: layer %d, %s: %w", i.Name, n+1, l.name, err)
		}
	}
	if err := r.materialise(store); err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	return r, os.RemoveAll(store)
}

const bufferSize = 256 << 10

type unpacker struct {
	tree    *tree
	store   string
	options *Options
	buffer  []byte
	zeros   []byte

	// What is left of the limits.
	unpacked, kept int64
	entries        int

	stored      int   // files in the store
	done, total int64 // bytes of layers, as they are stored
}

// layer applies one layer.
func (u *unpacker) layer(l layer, number int32) (err error) {
	stored, err := l.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stored.Close()) }()
	within := &bounded{stored, u.options.limits.unpacked, tooLarge("a layer", u.options.limits.unpacked, "bytes")} // blocks may hold nothing
	watched := &watched{r: within, o: u.options, stage: "read", done: u.done, total: u.total}
	plain, err := decompress(watched, &u.options.limits)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	limit := &bounded{plain, u.unpacked, tooLarge("layers without compression", u.options.limits.unpacked, "bytes")}
	sum := sha256.New()
	stream := io.TeeReader(limit, sum)
	archive := tar.NewReader(stream)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = u.entry(h, archive, number)
		}
		if err != nil {
			return err
		}
	}
	// What follows the archive's end counts for the digest.
	if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{stream}, u.buffer); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != l.diffID.Hex {
		return fmt.Errorf("damaged: the digest of its files is sha256:%s, not %v", got, l.diffID)
	}
	u.unpacked, u.done = limit.left, watched.done
	return nil
}

// entry applies one entry of a layer.
func (u *unpacker) entry(h *tar.Header, content io.Reader, layer int32) error {
	if u.entries--; u.entries < 0 {
		return tooLarge("layers", int64(u.options.limits.entries), "files")
	}
	name, err := u.tree.cleanName(h.Name)
	if err != nil {
		return err
	}
	dir, base := path.Split(name)
	switch {
	case base == opaque:
		u.tree.clear(dir, layer)
		return nil
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case strings.HasPrefix(base, whiteout):
		if base = base[len(whiteout):]; base == "" || base == "." || base == ".." {
			return fmt.Errorf("%.200q removes no file", h.Name)
		}
		u.tree.remove(dir+base, layer)
		return nil
	}
	n := &node{layer: layer}
	switch h.Typeflag {
	case tar.TypeDir:
		n = newDirectory(layer)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		n.kind = regular
		if n.file, err = u.file(name, h, content); err != nil {
			return fmt.Errorf("%.200q: %w", h.Name, err)
		}
	case tar.TypeSymlink:
		if len(h.Linkname) > u.options.limits.path {
			return fmt.Errorf("%w: the link %.200q has more than %d bytes", errTooLarge, h.Name, u.options.limits.path)
		}
		n.kind, n.target = symlink, h.Linkname
	case tar.TypeLink:
		return u.tree.hardLink(name, h.Linkname, layer)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		n.kind = special
	default:
		return nil // headers for what follows, which the reader applies
	}
	if err := u.tree.put(name, n); err != nil {
		return fmt.Errorf("%.200q: %w", h.Name, err)
	}
	return nil
}

// headSize is how much of a script the kernel looks at (BINPRM_BUF_SIZE).
const headSize = 256

// file reads a regular file and keeps what is needed of it.
func (u *unpacker) file(name string, h *tar.Header, content io.Reader) (*file, error) {
	f := &file{executable: h.Mode&0o111 != 0, empty: h.Size == 0}
	head := make([]byte, headSize)
	n, err := io.ReadFull(content, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	head = head[:n]
	f.binary = isBinary(head)
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		line, _, ended := bytes.Cut(head, []byte("\n"))
		if ended || n < headSize {
			f.line = string(line) + "\n" // so that a line that was cut can be told
		} else {
			f.line = string(line[:headSize-1]) // the last byte is the kernel's own
		}
		if h.Size > maxScript || !strings.Contains(f.line, "sh") {
			return f, nil
		}
		f.stored, err = u.keep(io.MultiReader(bytes.NewReader(head), content))
		return f, err
	case f.binary, isConfiguration(name) && h.Size <= maxConfiguration,
		(isIncluded(name) || f.executable) && h.Size <= maxScript && isText(head):
		f.stored, err = u.keep(io.MultiReader(bytes.NewReader(head), content))
		return f, err
	}
	return f, nil
}

// maxScript bounds the shell scripts that are looked into.
const maxScript = 256 << 10

// isIncluded reports whether a file may be one that shell scripts read.
func isIncluded(name string) bool {
	dir, base := path.Split(name)
	switch path.Ext(base) {
	case ".sh", ".bash", ".env", ".envsh", ".inc", ".conf":
		return true
	}
	return dir == "etc/default/" || dir == "etc/sysconfig/" || dir == "etc/conf.d/" || name == "etc/profile" || base == "os-release"
}

// isBinary reports whether a file that begins so is an ELF executable or library
// (elf(5): e_type, in the byte order that e_ident says).
func isBinary(head []byte) bool {
	if len(head) < 18 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return false
	}
	low, high := head[16], head[17]
	if head[5] == 2 {
		low, high = high, low
	}
	return high == 0 && (low == 2 || low == 3) // ET_EXEC, ET_DYN
}

// isText reports whether a file that begins so may be a script.
func isText(head []byte) bool {
	return bytes.IndexByte(head, 0) < 0 && !bytes.HasPrefix(head, []byte(elf.ELFMAG))
}

// maxConfiguration bounds the files of isConfiguration.
const maxConfiguration = 1 << 20

// isConfiguration reports whether a file decides which libraries are loaded: by
// the dynamic loader, for name services, for character sets.
func isConfiguration(name string) bool {
	dir, base := path.Split(name)
	switch dir {
	case "etc/":
		return base == "ld.so.conf" || base == "ld.so.preload" || base == "ld.so.cache" || base == "nsswitch.conf" ||
			strings.HasPrefix(base, "ld-musl-")
	case "etc/ld.so.conf.d/":
		return true
	}
	return strings.HasSuffix(dir, "/gconv/") && strings.HasPrefix(base, "gconv-modules") || strings.HasSuffix(dir, "/gconv/gconv-modules.d/")
}

// keep writes a file to the store, and returns its name there.
func (u *unpacker) keep(content io.Reader) (string, error) {
	name := strconv.Itoa(u.stored)
	u.stored++
	out, err := os.OpenFile(filepath.Join(u.store, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	limit := &bounded{content, u.kept, tooLarge("executables and libraries", u.options.limits.kept, "bytes")}
	w := &sparseWriter{file: out, zeros: u.zeros}
	_, err = io.CopyBuffer(w, limit, u.buffer)
	u.kept = limit.left
	return name, errors.Join(err, w.end(), out.Close())
}

// A sparseWriter leaves holes in a file where it would write zeros only: files of
// archives may have them.
type sparseWriter struct {
	file  *os.File
	zeros []byte // as many as are written at once
	size  int64
}

func (w *sparseWriter) Write(p []byte) (n int, err error) {
	if len(p) <= len(w.zeros) && bytes.Equal(p, w.zeros[:len(p)]) {
		n = len(p)
	} else {
		n, err = w.file.WriteAt(p, w.size)
	}
	w.size += int64(n)
	return n, err
}

// end gives the file its size.
func (w *sparseWriter) end() error { return w.file.Truncate(w.size) }

// materialise gives what was kept its place below Dir, and removes it from the
// store: files first, while no link is there that could lead elsewhere, then the
// links to files that were kept and to directories that hold some.
func (r *Root) materialise(store string) error {
	m := &materialiser{root: r, store: store, moved: map[*file]string{}, dirs: map[string]bool{"/": true}}
	if err := m.files(r.tree.root, "/"); err != nil {
		return err
	}
	links, err := m.links(r.tree.root, "/")
	if err != nil {
		return err
	}
	return m.linksToDirs(links)
}

type materialiser struct {
	root  *Root
	store string
	moved map[*file]string // where a kept file is, in the image
	dirs  map[string]bool  // that are there
}

func (m *materialiser) files(dir *node, at string) error {
	for base, n := range dir.children {
		name := path.Join(at, base)
		switch {
		case n.kind == directory:
			if err := m.files(n, name); err != nil {
				return err
			}
		case n.kind == regular && n.file.stored != "":
			if err := m.place(n.file, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *materialiser) place(f *file, name string) error {
	if err := m.makeDir(path.Dir(name)); err != nil {
		return err
	}
	if first, ok := m.moved[f]; ok {
		return os.Link(m.root.path(first), m.root.path(name))
	}
	m.moved[f] = name
	return os.Rename(filepath.Join(m.store, f.stored), m.root.path(name))
}

func (m *materialiser) makeDir(name string) error {
	if m.dirs[name] {
		return nil
	}
	if err := m.makeDir(path.Dir(name)); err != nil {
		return err
	}
	m.dirs[name] = true
	return os.Mkdir(m.root.path(name), 0o700)
}

// A link is one that may be needed, with what it leads to, without further links.
type link struct {
	name, target string
}

// links makes the links to kept files, and returns those to directories.
func (m *materialiser) links(dir *node, at string) (toDirs []link, err error) {
	for base, n := range dir.children {
		name := path.Join(at, base)
		switch n.kind {
		case directory:
			more, err := m.links(n, name)
			if err != nil {
				return nil, err
			}
			toDirs = append(toDirs, more...)
		case symlink:
			target, real, err := m.root.tree.walk(name, true, nil)
			switch {
			case errors.Is(err, errTooLarge):
				return nil, err
			case err != nil: // it dangles
			case target.kind == directory:
				toDirs = append(toDirs, link{name, real})
			case target.kind == regular && target.file.stored != "":
				if err := m.link(link{name, real}); err != nil {
					return nil, err
				}
			}
		}
	}
	return toDirs, nil
}

// linksToDirs makes the links to directories that hold something: maybe other such
// links, which are made before.
func (m *materialiser) linksToDirs(links []link) error {
	waiting := map[string][]link{}
	for _, l := range links {
		waiting[l.target] = append(waiting[l.target], l)
	}
	made := slices.Collect(maps.Keys(m.dirs))
	for len(made) > 0 {
		dir := made[len(made)-1]
		made = made[:len(made)-1]
		for _, l := range waiting[dir] {
			for at := path.Dir(l.name); !m.dirs[at]; at = path.Dir(at) {
				made = append(made, at)
			}
			if err := m.link(l); err != nil {
				return err
			}
		}
		delete(waiting, dir)
	}
	return nil
}

func (m *materialiser) link(l link) error {
	at := path.Dir(l.name)
	if err := m.makeDir(at); err != nil {
		return err
	}
	relative, err := filepath.Rel(at, l.target)
	if err != nil {
		return err
	}
	return os.Symlink(relative, m.root.path(l.name))
}

// path returns where a file of the image is on this machine.
func (r *Root) path(name string) string { return filepath.Join(r.Dir, filepath.FromSlash(name)) }
