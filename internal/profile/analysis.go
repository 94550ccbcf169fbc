package profile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"sort"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// An analysis is the state of one profile.
type analysis struct {
	prog   *image.Program
	root   string // that the program sees as /
	survey *survey

	// leader and parts are the functions of several parts: see findParts.
	leader map[int]int
	parts  map[int][]int
	// native says that not all of the program is Go; then pointers are the words of
	// its data that hold addresses.
	native   bool
	pointers []image.Pointer
	distant  []image.Range // see distances
	// ragged are functions that are not all code, moreCallers what they call.
	ragged      map[int]*ragged
	moreCallers map[int][]int
	// taken are the addresses that native code takes, ascending: where one table
	// starts another ends.
	takenAddrs []uint64
	// data and services are what native code's data is made of, and which functions it
	// finds by name.
	data     *dataMap
	services *services
	// reach is what can run of such a program; nil: all of it.
	reach *graph
	// tables are the modules with tables of functions that only they call.
	tables map[*image.Module]bool
	// looksUp are the modules that look up the number of a call, and which.
	looksUp map[*image.Module]string
	// named says that names are looked for, not numbers.
	named bool
	// active are the modules that are in the process, as far as is known: what it
	// opens while it runs was loaded too, if that was to be expected.
	active map[*image.Module]bool
	again  map[int]bool // see returnsTwice
	// opened are the libraries that it opens at run time.
	opened *openedLibraries
	dead   int // sites that cannot be reached

	slicers     map[int]*slicer
	returning   map[int]bool // whether a call of the function can come back
	popping     map[int]int64
	writing     map[int]uint64 // the registers that functions write: see leavesAlone
	foreignRead map[uint64]bool
	variables   map[uint64]value
	strays      []uint64    // addresses inside functions that something else names, ascending
	words       []entryWord // ascending by address
	methods     []entryWord // the same for method tables, which hold offsets

	steps, decoded int // of the budget

	demands []demand
	met     int // how many of them the callers were asked for
	demand  map[demandKey]bool
	ways    map[demandKey][]*link // where each was asked for, the first time and later
	asked   map[int]bool          // functions whose callers are asked for a parameter
	numbers map[uint32][]*link
	lost    []lostSite
	// vdso says that native code finds the vDSO by itself.
	vdso bool
	// upwards says that native code reaches from an address in its frame only what
	// lies above it.
	upwards bool
	// following, if set, follows values further: arguments, and numbers that are lost
	// without.
	following *following
	// unlisted counts the lost sites beyond the budget.
	unlisted int
	doubts   []doubt // about code that makes calls
}

// forget makes a ready to resolve other values.
func (a *analysis) forget() {
	a.demands, a.met, a.lost, a.unlisted = nil, 0, nil, 0
	a.demand, a.ways, a.asked, a.numbers = map[demandKey]bool{}, map[demandKey][]*link{}, map[int]bool{}, map[uint32][]*link{}
}

// An entryWord is a word of data that leads to a function.
type entryWord struct {
	addr uint64
	fn   int
}

// newAnalysis reads from the program's data what the code does not say.
func newAnalysis(p *image.Program, s *survey) (*analysis, error) {
	a := &analysis{
		prog: p, survey: s,
		opened: &openedLibraries{}, again: map[int]bool{}, active: map[*image.Module]bool{}, tables: map[*image.Module]bool{}, looksUp: map[*image.Module]string{}, moreCallers: map[int][]int{},
		slicers: map[int]*slicer{}, returning: map[int]bool{}, popping: map[int]int64{}, writing: map[int]uint64{}, foreignRead: map[uint64]bool{}, variables: map[uint64]value{},
	}
	a.forget()
	methods := background(func() {
		if !p.Foreign() {
			a.findMethods()
		}
	})
	mapped := background(func() {})
	err := guard(func() error {
		for _, m := range p.Modules {
			if !m.Extra {
				a.active[m] = true
			}
		}
		if a.native = hasNative(p); a.native {
			a.pointers = p.Pointers()
			a.noteFinal()
		}
		a.findTaken()
		if a.native {
			mapped = background(func() { a.data, a.services = a.mapData(), a.findServices() })
		}
		a.findRagged()
		a.findParts()
		a.findStrays()
		a.findWords()
		return nil
	})
	return a, errors.Join(err, <-methods, <-mapped)
}

// slicer returns the slicer of function fn.
func (a *analysis) slicer(fn int) *slicer {
	fn = a.whole(fn)
	s := a.slicers[fn]
	if s == nil {
		s = newSlicer(a.decode(fn))
		a.slicers[fn] = s
	}
	return s
}

func (a *analysis) entry(fn int) uint64 { return a.prog.Text + uint64(a.prog.Funcs[fn].Entry) }

// entryOf returns the function whose entry addr is.
func (a *analysis) entryOf(addr uint64) (fn int, ok bool) {
	addr = a.prog.Even(addr)
	fn, ok = a.prog.Find(addr)
	return fn, ok && a.entry(fn) == addr
}

// nameAt returns the name of the function that holds addr.
func (a *analysis) nameAt(addr uint64) string {
	if fn, ok := a.prog.Find(addr); ok {
		return a.prog.Name(fn)
	}
	return "unknown code"
}

// argsOf returns the bytes above the return address that a call of addr may
// overwrite: the arguments and results of the function there. A call into the
// middle, as of runtime.duffcopy, finds the same frame only where the function
// has none of its own.
func (a *analysis) argsOf(addr uint64) int64 {
	fn, ok := a.prog.Find(addr)
	if !ok || addr != a.entry(fn) && !a.frameless(fn) {
		return neverExposed
	}
	if n, ok := a.prog.ArgsSize(fn); ok {
		return int64(n)
	}
	return neverExposed
}

// frameless reports that function fn never moves the stack pointer.
func (a *analysis) frameless(fn int) bool {
	depths := a.prog.Depths(fn)
	return len(depths) > 0 && !a.prog.WritesSP(fn) && !slices.ContainsFunc(depths, func(d image.Depth) bool { return d.Depth != 0 })
}

// insideStub reports that what looks like an address inside function fn is none: code
// of arm makes addresses of pieces, and takes none inside of a linker's stub.
func (a *analysis) insideStub(fn int) bool {
	_, stub := a.prog.Stub(fn)
	return stub && a.prog.ABI == abi.ARM
}

// findStrays collects the addresses inside functions that are jumped to from
// elsewhere, or whose address is taken.
func (a *analysis) findStrays() {
	for _, c := range a.survey.strays {
		if to, _ := a.prog.Find(c.target); !c.jump || a.whole(to) != a.whole(c.fn) {
			a.strays = append(a.strays, c.target)
		}
	}
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			addr, kind := a.survey.ref(r)
			if kind == refRead || addr < a.prog.Text || addr >= a.prog.Etext {
				continue
			}
			fn, code := a.prog.Find(addr)
			if code && a.entry(fn) != addr && !a.isNumber(i) && !a.insideStub(fn) {
				a.strays = append(a.strays, addr)
			}
		}
	}
	slices.Sort(a.strays)
	a.strays = slices.Compact(a.strays)
}

// isNumber reports that what looks in function fn like an address inside a
// function is a number: Go's compiler takes the addresses of entries alone, and in
// 32 bits many numbers are as large as addresses.
func (a *analysis) isNumber(fn int) bool {
	return a.prog.WordSize() == 4 && a.prog.IsGo(fn) && !a.prog.IsAsm(fn)
}

// findTaken collects the addresses that code takes.
func (a *analysis) findTaken() {
	if !a.native {
		return
	}
	n := 0
	for _, r := range a.survey.refs {
		if _, kind := a.survey.ref(r); kind == refTaken || kind == refIndexed {
			n++
		}
	}
	a.takenAddrs = make([]uint64, 0, n)
	for _, r := range a.survey.refs {
		if addr, kind := a.survey.ref(r); kind == refTaken || kind == refIndexed {
			a.takenAddrs = append(a.takenAddrs, addr)
		}
	}
	slices.Sort(a.takenAddrs)
	a.takenAddrs = slices.Clone(slices.Compact(a.takenAddrs)) // a fraction of them
}

// firstPointer returns the index of the first pointer at addr or above.
func (a *analysis) firstPointer(addr uint64) int {
	return sort.Search(len(a.pointers), func(k int) bool { return a.pointers[k].Addr >= addr })
}

// nextTaken returns the first address behind addr that is taken.
func (a *analysis) nextTaken(addr uint64) uint64 {
	k := sort.Search(len(a.takenAddrs), func(k int) bool { return a.takenAddrs[k] > addr })
	if k == len(a.takenAddrs) {
		return ^uint64(0)
	}
	return a.takenAddrs[k]
}

// straysInto returns the strays in [start, end).
func (a *analysis) straysInto(start, end uint64) []uint64 {
	i := sort.Search(len(a.strays), func(i int) bool { return a.strays[i] >= start })
	j := sort.Search(len(a.strays), func(i int) bool { return a.strays[i] >= end })
	return a.strays[i:j]
}

// dataWords yields the aligned words from low up to high, each behind its address, of all
// data but what holds no address of a function and what only the dynamic loader reads.
func (a *analysis) dataWords(low, high uint64) iter.Seq2[uint64, uint64] {
	return func(yield func(addr, w uint64) bool) {
		size := a.prog.WordSize()
		skip := slices.Concat(a.prog.Headers, a.prog.Inert)
		slices.SortFunc(skip, func(x, y image.Range) int { return cmp.Compare(x.Start, y.Start) })
		for _, s := range a.prog.Segments {
			if s.Exec {
				continue
			}
			for off := -s.Addr & (size - 1); off+size <= uint64(len(s.Data)); {
				addr := s.Addr + off
				for len(skip) > 0 && addr >= skip[0].End {
					skip = skip[1:]
				}
				end := uint64(len(s.Data)) - size + 1 // of where words start
				if len(skip) > 0 && addr >= skip[0].Start {
					off = (skip[0].End - s.Addr + size - 1) &^ (size - 1)
					continue
				} else if len(skip) > 0 {
					end = min(end, skip[0].Start-s.Addr)
				}
				for ; off < end; off += size {
					var w uint64
					if size == 8 {
						w = binary.LittleEndian.Uint64(s.Data[off:])
					} else {
						w = a.prog.ReadWord(s.Data[off:])
					}
					if w-low < high-low && !yield(s.Addr+off, w) {
						return
					}
				}
			}
		}
	}
}

// findWords collects the words of data that hold the entry of a function:
// function values, itabs, initialised variables.
func (a *analysis) findWords() {
	if a.prog.Foreign() {
		return
	}
	var free []entryWord
	word := func(addr, w uint64) {
		switch fn, ok := a.entryOf(w); {
		case !ok || a.inDescriptor(addr):
		case a.prog.PointerFree.Holds(addr):
			free = append(free, entryWord{addr, fn})
		default:
			a.words = append(a.words, entryWord{addr, fn})
		}
	}
	if a.native && !a.prog.Modules[0].Fixed() {
		// The loader writes all of them: what else looks like one is a number, which
		// where programs lie at low addresses many do.
		for _, p := range a.pointers {
			word(p.Addr, p.Value)
		}
		return
	}
	for addr, w := range a.dataWords(a.prog.Text, a.prog.Etext) {
		word(addr, w)
	}
	a.words = append(a.words, a.writtenByAssembly(free)...)
	slices.SortFunc(a.words, func(x, y entryWord) int { return cmp.Compare(x.addr, y.addr) })
}
