package image

import (
	"cmp"
	"debug/elf"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/sysgate/sysgate/abi"
)

// foreign marks functions that are in no function table of Go.
const foreign = ^uint32(0)

// A found is a place where a function starts.
type found struct {
	start   uint64
	end     uint64 // of what is known to be its; 0: nothing
	slot    uint64 // of stubs
	stub    bool
	unknown bool // bytes to which no known instruction leads
	flows   bool // goes on from the function before
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
	looksLike := own.eachTable(func(addr uint64, tab []byte, form int) bool {
		p := &Program{File: own}
		return p.load(addr, tab, form) || len(p.names) > 0 && len(p.pcln) > 0
	})
	if looksLike {
		return nil, &RefusedError{
			Path: f.Path, Reason: "no Go build information, but a Go function table: obfuscated or damaged",
			Hint: "record what runs call: sysgate record -- COMMAND",
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
	for _, m := range l.modules[1:] {
		if own := (&File{Segments: m.segments()}); own.findBuildInfo() != nil {
			return nil, l.refuse(l.program, "one of c-shared that it opens (dlopen) is profiled beside it: --dlopen none --with "+m.Path, "its library %s is Go's (-buildmode=c-shared, plugin or shared), which cannot be looked at together with it", m.Path)
		}
	}
	p.Library = l.shared
	p.Modules, p.Assumptions, p.Missing, p.GoLibraries, p.named = l.modules, l.notes, l.missing, l.foreign, l.byName
	p.root = l.root
	if l.loader != nil {
		p.Assumptions = append(p.Assumptions, l.loaderAssumption())
	}
	l.space.global = exe.globalPointer()
	parts := make([][]Extent, len(l.modules))
	parallel(len(parts), func(i int) {
		m := l.space.placed[i]
		m.readInit()
		m.prepareARM(p.GoText)
		if l.layout != nil && m != exe && !m.copies {
			if parts[i] = l.layout(m); m.fits(parts[i]) {
				return
			}
		}
		parts[i] = m.extents(p.GoText)
	})
	if p.ABI == abi.ARM {
		p.File.Entry &^= 1
		for _, m := range l.modules {
			b := binding{loading: l, module: m}
			if err := b.even(); err != nil {
				return nil, l.refuse(m.object.path, "", "%v", err)
			}
		}
	}
	return p, p.setFuncs(parts)
}

// parallel calls f with 0 to n-1, on every core. A panic of one is the caller's:
// reading a mapped file that was cut short is one.
func parallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0), 8)
	failed := make([]any, workers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			defer func() { failed[w] = recover() }()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	wg.Wait()
	for _, r := range failed {
		if r != nil {
			panic(r)
		}
	}
}

// starts returns where the functions of the module start, each once, ascending:
// what unwind data and symbols say, entry points, each stub, and what is found
// in the code between them.
func (m *Module) starts(skip Range) []found {
	areas := m.code(skip)
	if len(areas) == 0 {
		return nil
	}
	said := m.said()
	areas = m.withoutData(areas, said)
	if m.arm != nil {
		m.arm.areas = areas
	}
	g := &gapSearch{m: m}
	var known []found
	if m.arm != nil && !m.arm.mapped {
		return g.searchARM(areas)
	}
	for _, a := range areas {
		i := sort.Search(len(said), func(i int) bool { return said[i].start >= a.Start })
		j := sort.Search(len(said), func(i int) bool { return said[i].start >= a.End })
		known = m.area(a, said[i:j], slices.Grow(known, j-i), g)
	}
	if len(g.gaps) > 0 {
		g.run()
		if g.remains() {
			g.survey(known)
			g.run()
			g.try()
			g.remains()
			g.settle()
		}
		g.split()
		known = append(known, g.functions()...)
		slices.SortFunc(known, func(a, b found) int { return cmp.Compare(a.start, b.start) })
	}
	return known
}

// said returns where functions start by unwind data, symbols and entry points,
// ascending.
func (m *Module) said() []found {
	frames, rest := m.frames(), m.debug()
	// Offsets in the module and sizes have 30 bits each: the greatest size of a
	// start sorts first.
	packed := make([]uint64, 0, len(frames)+(m.dynsym.len()+rest.len())/2)
	lo := m.Range.Start
	add := func(addr, size uint64) {
		if addr-lo < m.Range.End-lo {
			packed = append(packed, (addr-lo)<<32|(MaxSpan-min(size, MaxSpan)))
		}
	}
	for _, f := range frames {
		add(f.start, f.end-f.start)
	}
	for _, t := range []*symbolTable{m.dynsym, rest} {
		for i := range t.len() {
			if s := t.at(i); (s.typ() == elf.STT_FUNC || s.typ() == elf.STT_GNU_IFUNC) && m.defines(s) {
				add(m.address(s), s.size)
			}
		}
	}
	for _, list := range [][]uint64{{m.Entry}, m.Init, m.Fini} {
		for _, addr := range list {
			add(addr, 0)
		}
	}
	slices.Sort(packed)
	out := make([]found, 0, len(packed))
	for _, v := range packed {
		start := lo + v>>32
		if n := len(out); n == 0 || out[n-1].start != start {
			out = append(out, found{start: start, end: start + MaxSpan - v&(1<<32-1)})
		}
	}
	return out
}

// area appends the functions of an area of code to known, each with the end of
// what is said to be its, and its gaps to g.
func (m *Module) area(a Range, said, known []found, g *gapSearch) []found {
	covered := a.Start // up to here something is said
	pinned := false    // a function starts there
	uncovered := func(end uint64, before *found) {
		at := covered
		for at < end && !pinned {
			n := m.filling(at, end)
			if n == 0 {
				break
			}
			at += n
		}
		if at == end {
			return
		}
		if before != nil && at == covered && m.fallsThrough(*before) {
			g.sure = append(g.sure, seed{at, false})
		}
		g.add(at, end)
	}
	var before *found
	for i, s := range said {
		if s.start > covered {
			uncovered(s.start, before)
			pinned = false
		}
		covered = max(covered, s.start)
		next := a.End
		if i+1 < len(said) {
			next = said[i+1].start
		}
		s.end = min(max(s.end, covered), next)
		if s.end == s.start { // nothing is said about it but where it starts
			g.sure = append(g.sure, seed{s.start, true})
			before, pinned = nil, true
			continue
		}
		pinned = false
		stubs, stop := m.stubs(s.start, s.end)
		for k, x := range stubs {
			end := stop
			if k+1 < len(stubs) {
				end = stubs[k+1].start
			}
			known = append(known, found{start: x.start, end: end, slot: x.slot, stub: true})
		}
		covered = max(covered, s.end)
		if stop < s.end {
			s.start = stop
			known = append(known, s)
		}
		last := s
		before = &last
	}
	if covered < a.End {
		uncovered(a.End, before)
	}
	return known
}

// fallsThrough reports that control can go on behind the end of f.
func (m *Module) fallsThrough(f found) bool {
	var in Inst
	for at := f.start; at < f.end; at += uint64(in.Len) {
		in = m.space.Decode(m.bytes(at), at)
	}
	switch in.Op {
	case OpJmp, OpJmpInd, OpRet, OpTrap, OpBad:
		return in.Perhaps
	}
	return true
}

// withoutData returns the areas as far as section headers call them code, unless
// those contradict what else is said about where functions are. Linkers of some
// machines put constant data and tables into the segment of the code.
func (m *Module) withoutData(areas []Range, said []found) []Range {
	o := m.object
	var code []Range
	for i, n := 0, int(o.sections.End-o.sections.Start)/o.shdr; i < n; i++ {
		s, ok := o.sectionAt(i, n)
		if ok && s.flags&elf.SHF_EXECINSTR != 0 && len(s.data) > 0 {
			code = append(code, Range{m.Base + s.addr, m.Base + s.addr + uint64(len(s.data))})
		}
	}
	slices.SortFunc(code, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	var out []Range
	for _, a := range areas {
		for _, c := range code {
			if both := (Range{max(a.Start, c.Start), min(a.End, c.End)}); both.Start < both.End {
				if n := len(out); n > 0 && both.Start < out[n-1].End {
					return areas // they overlap
				}
				out = append(out, both)
			}
		}
	}
	holds := func(list []Range, addr uint64) bool {
		i := sort.Search(len(list), func(i int) bool { return list[i].End > addr })
		return i < len(list) && addr >= list[i].Start
	}
	for _, s := range said {
		if holds(areas, s.start) && !holds(out, s.start) {
			return areas
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

// setFuncs makes the function table of Go's functions, which are there, and those of
// the modules.
func (p *Program) setFuncs(parts [][]Extent) error {
	goFuncs := p.Funcs
	n := 0
	base := uint64(0)
	for i, part := range parts {
		if len(part) > 0 && n == 0 {
			base = p.placed[i].Range.Start + uint64(part[0].Entry)
		}
		n += len(part)
	}
	switch {
	case len(goFuncs) == 0 && n == 0:
		return &RefusedError{Path: p.Path, Reason: "has no machine code"}
	case len(goFuncs)+n > maxFuncs:
		return &RefusedError{Path: p.Path, Reason: fmt.Sprintf("more than %d functions", maxFuncs)}
	case n == 0:
		return nil
	}
	if len(goFuncs) > 0 {
		base = min(base, p.Text)
	}
	shift := uint32(p.Text - base)
	p.stubs = map[uint32]uint64{}
	p.unknown = map[uint32]bool{}
	p.Funcs = make([]Func, 0, len(goFuncs)+n)
	take := func() {
		for _, f := range goFuncs {
			f.Entry, f.End = f.Entry+shift, f.End+shift
			p.Funcs = append(p.Funcs, f)
		}
		goFuncs = nil
	}
	for i, part := range parts {
		m := p.placed[i]
		m.functions = part
		move := uint32(m.Range.Start - base)
		for _, x := range part {
			if len(goFuncs) > 0 && m.Range.Start+uint64(x.Entry) >= p.GoText.Start {
				take()
			}
			f := Func{Entry: x.Entry + move, End: x.End + move, record: foreign}
			p.Funcs = append(p.Funcs, f)
			if x.Stub {
				p.stubs[f.Entry] = 0
				if x.Slot != 0 {
					p.stubs[f.Entry] = m.Range.Start + uint64(x.Slot)
				}
			}
			if x.Unknown {
				p.unknown[f.Entry] = true
			}
		}
	}
	take()
	p.Text = base
	p.Etext = base + uint64(p.Funcs[len(p.Funcs)-1].End)
	p.index()
	return nil
}
