package image

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// maxModules bounds the files of one program.
const maxModules = 1024

const hintLibrary = "install it, or name the folder of the file system that the program runs in with --root"

// close finds all files of the program in the order in which the dynamic loader
// loads them: what is preloaded, then what is needed, breadth first, then what is
// loaded later.
func (l *loading) close(exe *object, o LoadOptions) error {
	main := newModule(exe, 0, l.space)
	main.origin = path.Dir(exe.path)
	if in, ok := l.root.inside(exe.path); ok {
		main.origin = path.Dir(in)
		if l.root != "" {
			main.Path = in
		}
	}
	l.modules = []*Module{main}
	d := exe.dynamic
	if exe.typ == elf.ET_DYN && exe.interp == "" && d != nil && !d.pie && len(main.Needed) > 0 {
		exe.interp = loaderOf(exe.machine, main.Needed)
		l.shared = exe.interp != ""
	}
	switch {
	case exe.typ == elf.ET_DYN && exe.interp == "" && (d == nil || !d.pie):
		return l.refuse(exe.path, "name a program that uses it", "a shared library, not a program")
	case exe.interp == "" && len(main.Needed) > 0:
		return l.refuse(exe.path, "", "malformed ELF: needs libraries, and names no dynamic loader")
	case exe.interp == "" && len(o.Libraries) > 0 && !opensLibraries(exe):
		return l.refuse(exe.path, "leave the libraries out", "linked statically: it loads no libraries")
	case o.Alone:
		return nil
	case exe.interp == "":
		l.search = &librarySearch{root: l.root, machine: exe.machine}
		l.byName = map[string]*Module{}
		if !opensLibraries(exe) {
			return nil
		}
		return l.later(main, o)
	case !strings.HasPrefix(exe.interp, "/"):
		return l.refuse(exe.path, "", "its dynamic loader %q is no absolute path", exe.interp)
	}
	loader, err := l.file(exe.interp)
	if err != nil {
		if refused := new(RefusedError); errors.As(err, &refused) {
			return err
		}
		return l.refuse(exe.path, hintLibrary, "its dynamic loader %s cannot be read (%v)", exe.interp, err)
	}
	if loader == nil || loader.typ != elf.ET_DYN || loader.interp != "" {
		return l.refuse(exe.path, "", "its dynamic loader %s is none for %v", exe.interp, exe.machine)
	}
	l.search = &librarySearch{root: l.root, machine: exe.machine, musl: strings.HasPrefix(path.Base(exe.interp), "ld-musl-"), soft: path.Base(exe.interp) == softLoader}
	l.loader = l.library(loader)
	l.loader.Loader = true
	l.loader.setPath(exe.interp)
	l.byName = map[string]*Module{exe.interp: l.loader, l.loader.Soname: l.loader}
	if err := l.preload(); err != nil {
		return err
	}
	if err := l.needed(0); err != nil {
		return err
	}
	if !l.placed(l.loader) {
		l.modules = append(l.modules, l.loader)
	}
	return l.later(main, o)
}

// opensLibraries reports that a program which is linked statically has the code that
// opens libraries: that of glibc (elf/dl-open.c), by a text in it. glibc has a variable
// of each thread that starts with something (its locale), Go has none.
func opensLibraries(exe *object) bool {
	return exe.threads.Start < exe.threads.End && bytes.Contains(exe.data, []byte("invalid mode for dlopen()\x00"))
}

// later finds what the program loads while it runs.
func (l *loading) later(main *Module, o LoadOptions) error {
	first := len(l.modules)
	for _, name := range o.Libraries {
		if err := l.need(name, main, true); err != nil {
			return err
		}
	}
	if err := l.needed(first); err != nil {
		return err
	}
	var optional []string
	if o.Optional != nil {
		optional = o.Optional(l.modules)
	}
	l.optional = true
	first = len(l.modules)
	for _, name := range optional {
		if err := l.need(name, main, true); err != nil {
			return err
		}
	}
	err := l.needed(first)
	slices.Sort(l.search.relative)
	for _, p := range slices.Compact(l.search.relative) {
		l.note("%s finds no library in the folder that the program is started in, where it looks", p)
	}
	return err
}

// loaderOf returns the dynamic loader that a library of a machine is loaded by, which
// it does not name; "" if that is not known.
func loaderOf(machine abi.ABI, needed []string) string {
	p := places[machine]
	if slices.ContainsFunc(needed, func(name string) bool { return name == "libc.so" || strings.HasPrefix(name, "libc.musl-") }) && p.musl != "" {
		return "/lib/ld-musl-" + p.musl + ".so.1"
	}
	return p.loader
}

// needed loads what the modules from the first on need, and what that needs.
func (l *loading) needed(first int) error {
	for i := first; i < len(l.modules); i++ {
		m := l.modules[i]
		for _, name := range m.Needed {
			if err := l.need(name, m, m.Extra); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loading) placed(m *Module) bool {
	for _, x := range l.modules {
		if x == m {
			return true
		}
	}
	return false
}

// need loads the library name, which module by asks for, unless it is there.
func (l *loading) need(name string, by *Module, extra bool) error {
	m, why, err := l.find(name, by, extra)
	switch {
	case l.optional && (err != nil || m == nil):
		l.missing = append(l.missing, name)
		return nil
	case l.optional && m.isGo():
		l.foreign = append(l.foreign, name)
		return nil
	case err != nil:
		return err
	case m == nil && extra:
		return l.refuse(l.program, "name it by its path", "the library %s is not found%s", name, why)
	case m == nil:
		return l.refuse(l.program, hintLibrary, "the library %s is not found, which %s needs%s", name, path.Base(by.Path), why)
	}
	return l.add(m, name)
}

// isGo reports that a library that is not placed yet is Go's.
func (m *Module) isGo() bool { return (&File{Segments: m.object.segments}).findBuildInfo() != nil }

// find returns the module of the library name, which module by asks for; nil,
// and what was met besides, if there is none.
func (l *loading) find(name string, by *Module, extra bool) (m *Module, why string, err error) {
	m = l.byName[name]
	if m == nil && l.search.isLoader(name) {
		m = l.loader
	}
	if m != nil {
		return m, "", nil
	}
	var chain []*Module // of those that brought it
	for c := by; c != nil; c = c.parent {
		chain = append(chain, c)
	}
	for _, p := range l.search.candidates(name, chain) {
		o, err := l.file(p)
		if unreadable := new(fs.PathError); errors.As(err, &unreadable) {
			if !os.IsNotExist(err) {
				why = fmt.Sprintf(" (%v)", err)
			}
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if o == nil {
			continue
		}
		if m = l.sameFile(o); m == nil {
			m = l.library(o)
			m.setPath(p)
			m.parent, m.Extra = by, extra
		}
		return m, "", nil
	}
	return nil, why, nil
}

// library makes a module of a file that was opened.
func (l *loading) library(o *object) *Module {
	m := newModule(o, 0, l.space)
	if l.opened != nil {
		l.opened(m)
	}
	return m
}

// add loads module m, which was found as name.
func (l *loading) add(m *Module, name string) error {
	if len(l.modules) == maxModules {
		return l.refuse(l.program, "", "more than %d libraries", maxModules)
	}
	l.byName[name] = m
	if l.byName[m.Soname] == nil {
		l.byName[m.Soname] = m
	}
	if l.search.variants[name] {
		l.note("%s is the variant for every processor: of those in glibc-hwcaps none was looked at", name)
	}
	if !l.placed(m) {
		l.modules = append(l.modules, m)
	}
	return nil
}

// file opens the ELF file at a path inside the root. It returns nil if it is not
// for the program's machine.
func (l *loading) file(p string) (*object, error) {
	host, err := l.root.host(p)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(host)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var head [64]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	own := l.modules[0].object.data
	if bytes.HasPrefix(head[:n], []byte(elf.ELFMAG)) && (head[elf.EI_CLASS] != own[elf.EI_CLASS] || head[elf.EI_DATA] != own[elf.EI_DATA] || string(head[18:20]) != string(own[18:20])) {
		return nil, nil
	}
	o, err := l.open(host)
	if err != nil {
		return nil, err
	}
	if o.typ != elf.ET_DYN {
		return nil, l.refuse(host, "", "not a shared library: ELF type %v", o.typ)
	}
	return o, nil
}

// sameFile returns the module that was loaded from the same file under another
// name.
func (l *loading) sameFile(o *object) *Module {
	for _, m := range append([]*Module{l.loader}, l.modules...) {
		if m == nil {
			continue // a static program has no loader
		}
		if m.object.path == o.path {
			return m
		}
		a, err := os.Stat(m.object.path)
		b, err2 := os.Stat(o.path)
		if err == nil && err2 == nil && os.SameFile(a, b) {
			return m
		}
	}
	return nil
}

func (l *loading) note(format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

func (l *loading) refuse(path, hint, format string, args ...any) error {
	return &RefusedError{Path: path, Reason: fmt.Sprintf(format, args...), Hint: hint}
}

// place gives each module its addresses.
func (l *loading) place() error {
	const page = 1 << 16 // the largest of any machine's
	space := l.space
	first := l.modules[0]
	space.Path, space.ABI, space.word = first.Path, first.object.machine, uint64(first.object.size)
	space.Entry, space.Loader = first.Entry, first.object.interp
	space.data = first.object.data
	start, next := first.object.span()
	for i, m := range l.modules {
		lo, hi := m.object.span()
		if i > 0 {
			align := min(max(m.object.align, page), MaxSpan)
			base := (next+align-1)/align*align - lo/align*align
			next = base + hi
			m.move(base)
		}
		if next-start > MaxSpan || next > first.object.space {
			return l.refuse(l.program, "", "too large: %d bytes of address space with its libraries, at most %d are supported", next-start, MaxSpan)
		}
		m.firstSegment = len(space.Segments)
		for _, s := range m.object.segments {
			s.Addr += m.Base
			space.Segments = append(space.Segments, s)
		}
		for _, h := range m.object.headers {
			space.Headers = append(space.Headers, Range{h.Start + m.Base, h.End + m.Base})
		}
		if d := m.object.dynamic; d != nil {
			for _, t := range [...][2]uint64{
				{d.symbols, uint64(len(m.dynsym.records))}, {d.rel, d.relSize}, {d.rela, d.relaSize}, {d.plt, d.pltSize}, {d.relr, d.relrSize},
			} {
				space.Headers = append(space.Headers, Range{m.Base + t[0], m.Base + t[0] + t[1]})
			}
		}
		if r := m.object.relro; r.Start < r.End {
			space.relro = append(space.relro, Range{r.Start + m.Base, r.End + m.Base})
		}
		m.Range = Range{m.Base + lo, m.Base + hi}
	}
	space.placed = l.modules
	return nil
}
