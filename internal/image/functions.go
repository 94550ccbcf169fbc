package image

import (
	"cmp"
	"debug/elf"
	"slices"
)

// foreign marks functions that are in no function table of Go.
const foreign = ^uint32(0)

// A found is a place where a function starts.
type found struct {
	start uint64
	slot  uint64 // of stubs
	stub  bool
}

// goTables finds out whether the executable is Go, and reads what there is then.
func (f *File) goTables(exe *Module) (*Program, error) {
	own := &File{Path: f.Path, ABI: f.ABI, Entry: f.Entry, Segments: exe.segments(), word: f.word, data: f.data}
	if own.findBuildInfo() != nil || own.packed() {
		p, err := own.findGo()
		if err != nil {
			return nil, err
		}
		p.File = f
		return p, nil
	}
	looksLike := own.eachTable(func(_ uint64, tab []byte, _ int) bool {
		return len(tab) > 16 && own.ReadWord(tab[8:]) > 0 && own.ReadWord(tab[8:]) < maxFuncs
	})
	if looksLike {
		return nil, &RefusedError{
			Path: f.Path, Reason: "no Go build information, but a Go function table: obfuscated or damaged",
			Hint: "write its policy by hand: strace -f -c shows what a run calls",
		}
	}
	return &Program{File: f}, nil
}

// assemble makes a program of the address space: the functions of its modules.
func (l *loading) assemble() (*Program, error) {
	exe := l.modules[0]
	p, err := l.space.goTables(exe)
	if err != nil {
		return nil, err
	}
	p.Modules, p.Assumptions = l.modules, l.notes
	if l.loader != nil {
		p.Assumptions = append(p.Assumptions, "no library is preloaded or put before the system's (LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH)")
	}
	var starts []found
	for _, m := range l.modules {
		starts = append(starts, m.starts(p.GoText)...)
	}
	return p, p.setFuncs(starts)
}

// starts returns where the functions of the module start, each once, ascending:
// what unwind data and symbols say, entry points, and each stub.
func (m *Module) starts(skip Range) []found {
	areas := m.code(skip)
	if len(areas) == 0 {
		return nil
	}
	m.frames = m.readFrames()
	var out []found
	add := func(addr uint64) { out = append(out, found{start: addr}) }
	for _, f := range m.frames {
		add(f.start)
	}
	for _, t := range []*symbolTable{m.dynsym, m.debug()} {
		for i := range t.len() {
			if s := t.at(i); (s.typ() == elf.STT_FUNC || s.typ() == elf.STT_GNU_IFUNC) && m.defines(s) {
				add(m.address(s))
			}
		}
	}
	m.readInit()
	if m.Entry != 0 {
		add(m.Entry)
	}
	for _, f := range m.Init {
		add(f)
	}
	for _, f := range m.Fini {
		add(f)
	}
	for _, a := range areas {
		add(a.Start)
	}
	slices.SortFunc(out, func(a, b found) int { return cmp.Compare(a.start, b.start) })
	out = slices.CompactFunc(out, func(a, b found) bool { return a.start == b.start })
	return m.withStubs(out, areas)
}

// withStubs drops starts outside the areas of code, and adds the stubs of those
// that are tables of them.
func (m *Module) withStubs(starts []found, areas []Range) []found {
	var out []found
	k := 0
	for i, s := range starts {
		for k < len(areas) && areas[k].End <= s.start {
			k++
		}
		if k == len(areas) {
			break
		}
		if s.start < areas[k].Start {
			continue
		}
		if n := len(out); n > 0 && out[n-1].stub && s.start < out[n-1].start {
			continue
		}
		end := areas[k].End
		if i+1 < len(starts) {
			end = min(end, starts[i+1].start)
		}
		stubs, stop := m.stubs(s.start, end)
		for _, x := range stubs {
			out = append(out, found{x.start, x.slot, true})
		}
		if stop < end {
			out = append(out, found{start: stop})
		}
	}
	return out
}

// code returns the parts of the module's executable segments that are neither
// headers nor in skip, ascending.
func (m *Module) code(skip Range) (areas []Range) {
	for _, s := range m.segments() {
		if !s.Exec || len(s.Data) == 0 {
			continue
		}
		rest := Range{s.Addr, s.Addr + uint64(len(s.Data))}
		holes := []Range{skip}
		for _, h := range m.object.headers {
			holes = append(holes, Range{h.Start + m.Base, h.End + m.Base})
		}
		slices.SortFunc(holes, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
		for _, h := range holes {
			if h.End <= rest.Start || h.Start >= rest.End || h.End <= h.Start {
				continue
			}
			areas = appendCode(areas, m, Range{rest.Start, h.Start})
			rest.Start = max(rest.Start, h.End)
		}
		areas = appendCode(areas, m, rest)
	}
	return areas
}

// appendCode appends an area unless nothing but filling is in it.
func appendCode(areas []Range, m *Module, r Range) []Range {
	if r.Start >= r.End {
		return areas
	}
	for _, b := range m.bytes(r.Start)[:r.End-r.Start] {
		if b != 0 && b != 0xcc {
			return append(areas, r)
		}
	}
	return areas
}

// readInit finds the functions that the loader calls.
func (m *Module) readInit() {
	d := m.object.dynamic
	if d == nil {
		return
	}
	array := func(addr, size uint64) (out []uint64) {
		word := m.space.word
		b := m.bytes(m.Base + addr)
		if addr == 0 {
			return nil
		}
		for b = b[:min(size, uint64(len(b)))]; uint64(len(b)) >= word; b = b[word:] {
			if v := m.space.ReadWord(b); v != 0 && v != ^uint64(0) && (word == 8 || v != 0xffffffff) {
				out = append(out, v)
			}
		}
		return out
	}
	m.Init, m.Fini = array(d.preinit, d.preLen), nil
	if d.init != 0 {
		m.Init = append(m.Init, m.Base+d.init)
	}
	m.Init = append(m.Init, array(d.initArray, d.initArraySize)...)
	m.Fini = array(d.finiArray, d.finiSize)
	slices.Reverse(m.Fini)
	if d.fini != 0 {
		m.Fini = append(m.Fini, m.Base+d.fini)
	}
}

// setFuncs makes the function table of Go's functions, which are there, and the
// others, which start at starts.
func (p *Program) setFuncs(starts []found) error {
	if len(starts) > maxFuncs {
		return &RefusedError{Path: p.Path, Reason: "too many functions"}
	}
	goFuncs := p.Funcs
	base := p.Text
	if len(goFuncs) == 0 && len(starts) == 0 {
		return &RefusedError{Path: p.Path, Reason: "has no code"}
	}
	if len(starts) == 0 {
		return nil
	}
	if len(goFuncs) == 0 || starts[0].start < base {
		base = starts[0].start
	}
	shift := uint32(p.Text - base)
	p.stubs = map[uint32]uint64{}
	p.Funcs = make([]Func, 0, len(goFuncs)+len(starts))
	take := func() {
		for _, f := range goFuncs {
			f.Entry, f.End = f.Entry+shift, f.End+shift
			p.Funcs = append(p.Funcs, f)
		}
		goFuncs = nil
	}
	for i, s := range starts {
		if len(goFuncs) > 0 && s.start >= p.GoText.Start {
			take()
		}
		seg := p.Segment(s.start)
		stop := seg.Addr + uint64(len(seg.Data))
		if i+1 < len(starts) {
			stop = min(stop, starts[i+1].start)
		}
		if s.start < p.GoText.Start {
			stop = min(stop, p.GoText.Start)
		}
		p.Funcs = append(p.Funcs, Func{Entry: uint32(s.start - base), End: uint32(stop - base), record: foreign})
		if s.stub {
			p.stubs[uint32(s.start-base)] = s.slot
		}
	}
	take()
	p.Text = base
	p.Etext = base + uint64(p.Funcs[len(p.Funcs)-1].End)
	p.index()
	return nil
}
