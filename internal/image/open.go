package image

import (
	"debug/elf"

	"github.com/sysgate/sysgate/abi"
)

// Open maps the executable at path alone. It establishes that the file is a complete
// executable for amd64, 386, arm64, arm or riscv64 that needs no library: static with a fixed load
// address, or on amd64 position-independent and then relocated to the addresses
// it was linked for. Any other file is a *RefusedError; [Load] takes more. Close
// it after use; a file that shrinks meanwhile faults.
func Open(path string) (*File, error) { return open(path, false) }

// OpenLoader is Open for a dynamic loader: position-independent, without one of
// its own. Its data is as in the file, not relocated.
func OpenLoader(path string) (*File, error) { return open(path, true) }

func open(path string, loader bool) (*File, error) {
	l := &loading{space: &File{Path: path}, program: path}
	o, err := l.open(path)
	if err == nil {
		err = l.alone(o, loader)
	}
	if err != nil {
		return nil, l.fail(err)
	}
	return l.space, nil
}

// Parse is Open for bytes in memory; path only names them in errors.
func Parse(path string, data []byte) (*File, error) { return parse(path, data, false) }

func parse(path string, data []byte, loader bool) (*File, error) {
	l := &loading{space: &File{Path: path}, program: path}
	o, err := parseObject(path, data)
	if err == nil {
		err = l.alone(o, loader)
	}
	if err != nil {
		return nil, err
	}
	return l.space, nil
}

// alone makes an address space of one object.
func (l *loading) alone(o *object, loader bool) error {
	d := o.dynamic
	switch {
	case o.typ == elf.ET_DYN && o.machine != abi.AMD64:
		return l.refuse(o.path, hintStatic, "a position-independent executable or shared library for %v, which is not supported yet", o.machine)
	case o.typ == elf.ET_EXEC && loader:
		return l.refuse(o.path, "", "not an executable: ELF type %v", o.typ)
	case o.typ == elf.ET_EXEC && o.interp != "", d != nil && len(d.needed) > 0:
		return l.refuse(o.path, hintStatic, "dynamically linked (cgo or C), which is not supported yet: libraries make system calls of their own")
	case o.typ == elf.ET_EXEC && d != nil:
		return l.refuse(o.path, hintStatic, "has dynamic relocations at a fixed address, which are not supported yet")
	case o.typ == elf.ET_DYN && !loader && o.interp == "":
		return l.refuse(o.path, hintStatic, "a shared library or a static position-independent executable, which is not supported yet")
	case o.typ == elf.ET_DYN && d == nil || loader && o.interp != "":
		return l.refuse(o.path, "", "malformed ELF: no dynamic section, or a loader that names another")
	}
	l.modules = []*Module{newModule(o, 0, l.space)}
	if err := l.place(); err != nil {
		return err
	}
	l.space.unwind = o.unwind
	if loader || d == nil {
		return nil
	}
	return l.bind()
}
