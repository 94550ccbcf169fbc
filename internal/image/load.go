package image

import (
	"fmt"
	"os"
)

// LoadOptions say where [Load] looks for what the program needs.
type LoadOptions struct {
	// Root is the folder that stands for the root of the file system: the
	// dynamic loader and the libraries, their configuration and their symbolic
	// links are looked for in it. "" is this system's own.
	Root string
	// Libraries are further libraries to map, as dlopen names them: file names to
	// look for, or paths.
	Libraries []string
	// Optional, if set, returns libraries like these that need not be there, for what is
	// loaded without them: the executable first.
	Optional func(loaded []*Module) []string
	// Environment are the variables that the program is started with, as NAME=VALUE.
	// The dynamic loader obeys LD_PRELOAD and LD_LIBRARY_PATH; nil: it is not known,
	// and none of those for the loader is taken to be set.
	Environment []string
	// Layout, if set, may know the functions of a library or the dynamic loader from
	// another program, as [Module.Extents] returned them; nil: it does not. They
	// are taken if they can be the file's. It is called from several goroutines, once
	// references are bound.
	Layout func(m *Module) []Extent
	// Opened, if set, is called with each library and the dynamic loader when its file
	// is mapped, before the others are looked for.
	Opened func(m *Module)
	// Alone maps the executable alone: what it needs of others is not defined.
	Alone bool
}

// Load maps the executable at path and, if it is linked dynamically, its dynamic
// loader and all libraries that it needs, binds their references to each other as
// the dynamic loader does, and finds their functions. Close the program after
// use; a file that shrinks meanwhile faults.
//
// The executable lies where it was linked to be, the others behind it. Where a
// library or the loader is missing, or a file is not fit for analysis, the error
// is a *RefusedError.
func Load(path string, o LoadOptions) (*Program, error) {
	l := &loading{root: rootFS(o.Root), space: &File{Path: path}, program: path}
	exe, err := l.open(path)
	if err != nil {
		return nil, l.fail(err)
	}
	exe.path = path
	p, err := l.load(exe, o)
	if err != nil {
		return nil, l.fail(err)
	}
	return p, nil
}

// LoadBytes is [Load] for an executable in memory; path only names it.
func LoadBytes(path string, data []byte, o LoadOptions) (*Program, error) {
	l := &loading{root: rootFS(o.Root), space: &File{Path: path}, program: path}
	exe, err := parseObject(path, data)
	if err != nil {
		return nil, err
	}
	p, err := l.load(exe, o)
	if err != nil {
		return nil, l.fail(err)
	}
	return p, nil
}

// A loading is a program that is being put together.
type loading struct {
	root    rootFS
	program string // its path
	space   *File
	modules []*Module // in the order in which they are looked up
	loader  *Module
	byName  map[string]*Module
	search  *librarySearch
	scope   *scope
	private map[*Segment]bool // whose data is a copy
	layout  func(m *Module) []Extent
	opened  func(m *Module)
	notes   []string
	// environment is that of LoadOptions.
	environment []string
	// optional says that libraries need not be there; missing are those that are
	// not.
	optional bool
	shared   bool // the executable is a library
	missing  []string
	foreign  []string // those that are Go's
}

// fail closes what was opened.
func (l *loading) fail(err error) error {
	l.space.Close()
	return err
}

// open maps and reads an ELF file at a path of this system.
func (l *loading) open(path string) (*object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, unmap, err := mapFile(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l.space.close = append(l.space.close, unmap, f.Close)
	ob, err := parseObject(path, data)
	if err == nil {
		ob.file = f
	}
	return ob, err
}

// load makes a program of the executable exe.
func (l *loading) load(exe *object, o LoadOptions) (*Program, error) {
	l.layout, l.opened, l.environment = o.Layout, o.Opened, o.Environment
	if err := l.close(exe, o); err != nil {
		return nil, err
	}
	if err := l.place(); err != nil {
		return nil, err
	}
	if err := l.bind(); err != nil {
		return nil, err
	}
	return l.assemble()
}
