package image

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// IsGo reports that function i is in Go's function table. Of the others less is
// known: see the methods.
func (p *Program) IsGo(i int) bool { return p.Funcs[i].record != foreign }

// Foreign reports that no function of p is Go.
func (p *Program) Foreign() bool { return p.pcln == nil }

// Stub returns the slot through which function i jumps if it is a stub of a
// procedure linkage table; slot is 0 for the stubs that lead into the dynamic
// loader, which binds lazily.
func (p *Program) Stub(i int) (slot uint64, ok bool) {
	slot, ok = p.stubs[p.Funcs[i].Entry]
	return slot, ok && !p.IsGo(i)
}

// Unknown reports that function i is none that is known: executable bytes that
// no unwind data and no symbol describe, to which no known instruction leads, and
// which are no instructions throughout. Data between functions looks like that,
// but a function can start anywhere in it.
func (p *Program) Unknown(i int) bool { return p.unknown[p.Funcs[i].Entry] }

// ModuleAt returns the module that addr lies in, or nil.
func (f *File) ModuleAt(addr uint64) *Module {
	i := sort.Search(len(f.placed), func(i int) bool { return f.placed[i].Range.End > addr })
	if i == len(f.placed) || addr < f.placed[i].Range.Start {
		return nil
	}
	return f.placed[i]
}

// Named returns the module that a library or [LoadOptions] calls name, or nil.
//
// A path may lead to the file of a library that was found elsewhere: the dynamic loader
// tells by the file, not by the name.
func (p *Program) Named(name string) *Module {
	m, known := p.named[name]
	if known || !strings.HasPrefix(name, "/") {
		return m
	}
	host, err := p.root.host(name)
	if err != nil {
		return nil
	}
	info, err := os.Stat(host)
	if err != nil {
		return nil
	}
	for _, m := range p.Libraries() {
		if other, err := os.Stat(m.object.path); err == nil && os.SameFile(info, other) {
			return m
		}
	}
	return nil
}

// Module returns the module of function i.
func (p *Program) Module(i int) *Module { return p.ModuleAt(p.Text + uint64(p.Funcs[i].Entry)) }

// Lookup returns the definitions of name that other modules can refer to, in the
// order in which the dynamic loader looks them up, with all versions.
func (p *Program) Lookup(name string) (out []Symbol) {
	if p.scope == nil {
		return nil
	}
	p.scope.named([]byte(name), new(int), func(m *Module, i int, s rawSymbol) bool {
		if m.defines(s) {
			out = append(out, m.symbol(m.dynsym, i, s, true))
		}
		return true
	})
	return out
}

// unwindDepths is [Program.Depths] for function i, which has unwind data or not.
func (p *Program) unwindDepths(i int) []Depth {
	m := p.Module(i)
	if m == nil {
		return nil
	}
	start := p.Text + uint64(p.Funcs[i].Entry)
	end := p.Text + uint64(p.Funcs[i].End)
	r := &unwindReader{m: m, commons: map[uint64]*common{}}
	var out []Depth
	at := start
	for _, f := range m.framesIn(start, end) {
		rows := r.depths(f)
		if rows == nil {
			continue
		}
		if f.start > at {
			out = append(out, Depth{End: f.start, Unknown: true, Base: RegNone})
		}
		for _, row := range rows {
			if row.End > at {
				row.End = min(row.End, end)
				out = append(out, row)
				at = row.End
			}
			if at == end {
				break
			}
		}
	}
	// What follows the last frame it falls into, or it is padding.
	if n := len(out); n > 0 {
		out[n-1].End = end
	}
	return out
}

// unwound reports that function i has unwind data.
func (p *Program) unwound(i int) bool {
	m := p.Module(i)
	return m != nil && len(m.framesIn(p.Text+uint64(p.Funcs[i].Entry), p.Text+uint64(p.Funcs[i].End))) > 0
}

// A nameIndex is the symbols of a module's functions, ascending by address.
type nameIndex struct{ names []functionName }

type functionName struct {
	addr, size uint64
	name       []byte
	exported   bool
	resolver   bool // it chooses the function of this name
}

// buildNames collects the names of the module's functions.
func (m *Module) buildNames() *nameIndex {
	x := &nameIndex{}
	for _, t := range []*symbolTable{m.dynsym, m.debug()} {
		for i := range t.len() {
			s := t.at(i)
			if k := s.kind(); m.defines(s) && (k == SymbolFunc || k == SymbolResolver) {
				if name := t.name(s); readable(name) {
					x.names = append(x.names, functionName{m.address(s), s.size, name, t == m.dynsym, k == SymbolResolver})
				}
			}
		}
	}
	slices.SortFunc(x.names, func(a, b functionName) int {
		switch {
		case a.addr != b.addr:
			return cmp.Compare(a.addr, b.addr)
		case a.better(&b):
			return -1
		case b.better(&a):
			return 1
		}
		return 0
	})
	return x
}

// readable reports that name has something to show in it, and no blanks.
func readable[T string | []byte](name T) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7F { // most are ASCII
			return strings.IndexFunc(string(name), func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) < 0
		}
	}
	return len(name) > 0
}

// better orders the names of one function: those that others use, the plainest
// first.
func (a *functionName) better(b *functionName) bool {
	ua, ub := len(a.name)-len(bytes.TrimLeft(a.name, "_")), len(b.name)-len(bytes.TrimLeft(b.name, "_"))
	switch {
	case a.resolver != b.resolver:
		return b.resolver
	case a.exported != b.exported:
		return a.exported
	case ua != ub:
		return ua < ub
	case len(a.name) != len(b.name):
		return len(a.name) < len(b.name)
	}
	return bytes.Compare(a.name, b.name) < 0
}

// name returns the symbol at addr, with what addr is beyond its start if that is
// inside of it; "" if there is none.
func (x *nameIndex) name(addr uint64) string {
	i := sort.Search(len(x.names), func(i int) bool { return x.names[i].addr > addr })
	if i == 0 {
		return ""
	}
	at := x.names[i-1].addr
	first := sort.Search(i, func(i int) bool { return x.names[i].addr >= at })
	n := &x.names[first]
	switch {
	case addr == n.addr:
		return string(n.name)
	case addr-n.addr < n.size:
		return fmt.Sprintf("%s+%#x", n.name, addr-n.addr)
	}
	return ""
}

// foreignName names function i, which is not Go.
func (p *Program) foreignName(i int) string {
	addr := p.Text + uint64(p.Funcs[i].Entry)
	m := p.Module(i)
	if m == nil { // of the parts of an address space alone
		return fmt.Sprintf("%s+%#x", fileName(p.Path), addr)
	}
	file, prefix := fileName(m.Path), ""
	if len(p.Modules) == 0 || m != p.Modules[0] {
		file = m.Soname
		prefix = file + ":"
	}
	if name := m.names().name(addr); name != "" {
		return prefix + name
	}
	if slot, ok := p.stubs[p.Funcs[i].Entry]; ok && slot != 0 {
		s, _ := p.Slot(slot)
		name, _, _ := strings.Cut(s.Name, "@")
		if to := p.ModuleAt(s.Target); name == "" && to != nil {
			name = to.names().name(s.Target)
		}
		if readable(name) {
			return prefix + name + "@plt"
		}
	}
	return fmt.Sprintf("%s+%#x", file, addr-m.Base)
}
