package image

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
)

// A slot is a word that the dynamic loader writes alone, with the address of one
// symbol.
type slot struct {
	addr     uint64
	target   uint64 // 0: not defined
	resolver bool   // target is a function that returns what the word holds
	module   *Module
	symbol   uint32 // of the module; 0: none
}

// A Slot is a word that only the dynamic loader writes: what the stubs of a
// program and indirect calls go through. It does so at start or, where it binds
// lazily, at the first call: then other contents do not count.
type Slot struct {
	// Name is the symbol that it stands for, with "@version" if the reference has
	// one; "" for a function of the same module.
	Name string
	// Target is the address that it holds; 0 if nothing defines the symbol. With
	// Resolver that is the function whose result it holds: an address of any
	// function that the resolver refers to.
	Target   uint64
	Resolver bool
}

// Slot returns the slot at addr.
func (f *File) Slot(addr uint64) (Slot, bool) {
	i := sort.Search(len(f.slots), func(i int) bool { return f.slots[i].addr >= addr })
	if i == len(f.slots) || f.slots[i].addr != addr {
		return Slot{}, false
	}
	return f.slots[i].export(), true
}

// SlotTarget is Slot without the name.
func (f *File) SlotTarget(addr uint64) (target uint64, resolver, ok bool) {
	i := sort.Search(len(f.slots), func(i int) bool { return f.slots[i].addr >= addr })
	if i == len(f.slots) || f.slots[i].addr != addr {
		return 0, false, false
	}
	return f.slots[i].target, f.slots[i].resolver, true
}

// Resolvers yields the slots that resolvers fill, ascending, with these.
func (f *File) Resolvers(yield func(addr, resolver uint64) bool) {
	for i := range f.slots {
		if s := &f.slots[i]; s.resolver && !yield(s.addr, s.target) {
			return
		}
	}
}

func (s *slot) export() Slot {
	out := Slot{Target: s.target, Resolver: s.resolver}
	if s.symbol != 0 {
		t := s.module.dynsym
		out.Name = string(t.name(t.at(int(s.symbol))))
		if _, version, _ := t.versionOf(int(s.symbol)); version != "" {
			out.Name += "@" + version
		}
	}
	return out
}

// Slots yields all slots with their addresses, ascending.
func (f *File) Slots(yield func(addr uint64, s Slot) bool) {
	for i := range f.slots {
		if !yield(f.slots[i].addr, f.slots[i].export()) {
			return
		}
	}
}

// bind writes into the data of the modules what the dynamic loader writes there
// before the program starts, with all references bound. It changes copies: the
// files stay as they are. The executable comes last: it copies data of libraries.
func (l *loading) bind() error {
	l.scope = newScope(l.modules)
	l.space.scope, l.private = l.scope, map[*Segment]bool{}
	for i := len(l.modules) - 1; i >= 0; i-- {
		b := binding{loading: l, module: l.modules[i]}
		if err := b.relocate(); err != nil {
			return l.refuse(b.module.object.path, "", "%v", err)
		}
		if l.scope.steps > maxLookups {
			return l.refuse(b.module.object.path, "", "malformed ELF: too many symbols of one name")
		}
	}
	sort.Slice(l.space.slots, func(i, j int) bool { return l.space.slots[i].addr < l.space.slots[j].addr })
	return nil
}

// A binding is the relocation of one module.
type binding struct {
	*loading
	module *Module
	last   *Segment // most relocations lie where the one before does
	digest bindingsDigest
}

func (b *binding) relocate() error {
	var err error
	malformed := b.module.object.relocations(func(r relocation) bool {
		err = b.apply(r)
		return err == nil
	})
	if malformed {
		return fmt.Errorf("malformed ELF: a relocation table that is not in the file")
	}
	b.module.bindings = b.digest.sum()
	return err
}

// word returns the bytes of the word at addr, which may be changed.
func (b *binding) word(addr uint64) ([]byte, error) {
	size := b.space.word
	if b.last == nil || addr-b.last.Addr >= b.last.MemSize {
		s := segmentAt(b.module.segments(), addr)
		if s == nil || s.Exec {
			return nil, fmt.Errorf("has a relocation at %#x, which is no data", addr-b.module.Base)
		}
		if !b.private[s] {
			if err := b.makePrivate(s); err != nil {
				return nil, err
			}
		}
		b.last = s
	}
	off := addr - b.last.Addr
	if off+size > uint64(len(b.last.Data)) {
		return nil, fmt.Errorf("has a relocation at %#x, which is no data", addr-b.module.Base)
	}
	return b.last.Data[off:][:size], nil
}

// makePrivate gives segment s bytes that can be changed.
func (b *binding) makePrivate(s *Segment) error {
	b.private[s] = true
	o := b.module.object
	if o.file == nil {
		s.Data = append([]byte(nil), s.Data...)
		return nil
	}
	for i, at := range o.segments {
		if at.Addr+b.module.Base != s.Addr {
			continue
		}
		data, unmap, err := mapPrivate(o.file, o.offsets[i], s.Data)
		if err != nil {
			return err
		}
		s.Data = data
		b.space.close = append(b.space.close, unmap)
	}
	return nil
}

func (b *binding) store(addr, v uint64) error {
	w, err := b.word(addr)
	if err != nil {
		return err
	}
	if len(w) == 4 {
		binary.LittleEndian.PutUint32(w, uint32(v))
	} else {
		binary.LittleEndian.PutUint64(w, v)
	}
	return nil
}

// apply does one relocation.
func (b *binding) apply(r relocation) error {
	m := b.module
	addr := m.Base + r.addr
	switch r.kind {
	case relNone:
		return nil
	case relUnknown:
		return fmt.Errorf("has a relocation of type %d, which is not supported", r.typ)
	case relCopy:
		m.copies = true
		return b.copyObject(addr, r.symbol)
	}
	addend := r.addend
	if r.inPlace && r.kind != relGlobal && r.kind != relSlot {
		w, err := b.word(addr)
		if err != nil {
			return err
		}
		addend = b.space.ReadWord(w)
	}
	switch r.kind {
	case relRelative:
		return b.store(addr, m.Base+addend)
	case relResolved:
		b.space.slots = append(b.space.slots, slot{addr: addr, target: m.Base + addend, resolver: true, module: m})
		return b.store(addr, m.Base+addend)
	}
	if err := b.names(r.symbol); err != nil {
		return err
	}
	def, found := b.find(r.symbol, r.kind == relSlot)
	s := slot{addr: addr, module: m, symbol: r.symbol}
	thumb := uint64(0)
	if found {
		s.target, thumb = def.module.address(def.rawSymbol), def.module.thumb(def.rawSymbol)
		s.resolver = def.typ() == elf.STT_GNU_IFUNC
	}
	b.digest.add(m, r, &s)
	if r.kind != relSymbol || s.resolver {
		b.space.slots = append(b.space.slots, s)
	}
	if r.kind != relSymbol {
		addend = 0
	}
	if !found {
		addend = 0
	}
	return b.store(addr, s.target+addend|thumb)
}

// names reports an error if the module has no symbol i.
func (b *binding) names(i uint32) error {
	if n := b.module.dynsym.len(); i != 0 && int(i) >= n {
		return fmt.Errorf("malformed ELF: a relocation names symbol %d of %d", i, n)
	}
	return nil
}

// find returns the definition that reference i of the module's symbols gets.
func (b *binding) find(i uint32, call bool) (definition, bool) {
	m := b.module
	if i == 0 {
		return definition{}, false
	}
	sym := m.dynsym.at(int(i))
	if sym.section != elf.SHN_UNDEF && (sym.bind() == elf.STB_LOCAL || sym.visibility() != elf.STV_DEFAULT) {
		return definition{m, sym}, true
	}
	_, version, _ := m.dynsym.versionOf(int(i))
	r := request{name: m.dynsym.name(sym), version: version, call: call}
	if m.object.dynamic.symbolic {
		r.first = m
	}
	def, ok := b.scope.find(r)
	if !ok && sym.bind() != elf.STB_WEAK && sym.typ() != elf.STT_TLS {
		if name := string(r.name); len(m.Undefined) == 0 || m.Undefined[len(m.Undefined)-1] != name {
			m.Undefined = append(m.Undefined, strings.TrimSpace(name))
		}
	}
	return def, ok
}

// maxCopied bounds the objects of libraries that a program keeps in memory of
// its own, behind what its file holds.
const maxCopied = 16 << 20

// copyObject copies a library's object to addr.
func (b *binding) copyObject(addr uint64, i uint32) error {
	m := b.module
	if err := b.names(i); err != nil || i == 0 {
		return err
	}
	sym := m.dynsym.at(int(i))
	_, version, _ := m.dynsym.versionOf(int(i))
	def, ok := b.scope.find(request{name: m.dynsym.name(sym), version: version, not: m})
	if !ok {
		m.Undefined = append(m.Undefined, string(m.dynsym.name(sym)))
		return nil
	}
	size := min(sym.size, def.size)
	from := def.module.bytes(def.module.address(def.rawSymbol))
	from = from[:min(size, uint64(len(from)))] // the rest is zero, as it is here
	s := segmentAt(m.segments(), addr)
	if s == nil || s.Exec || addr-s.Addr+size > s.MemSize {
		return fmt.Errorf("has a relocation at %#x, which is no data", addr-m.Base)
	}
	if !b.private[s] {
		if err := b.makePrivate(s); err != nil {
			return err
		}
	}
	off := addr - s.Addr
	if end := off + uint64(len(from)); end > uint64(len(s.Data)) {
		if end-uint64(len(s.Data)) > maxCopied {
			return fmt.Errorf("malformed ELF: an object is copied to %#x", addr)
		}
		s.Data = append(s.Data[:len(s.Data):len(s.Data)], make([]byte, end-uint64(len(s.Data)))...)
	}
	copy(s.Data[off:], from)
	return nil
}
