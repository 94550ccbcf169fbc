package image

import (
	"crypto/sha256"
	"encoding/binary"
	"sort"
)

// An Extent is one function of a module that is not Go's: where it starts and ends,
// from the start of [Module.Range].
type Extent struct {
	Entry, End uint32
	// Stub says that it is a stub of a procedure linkage table, which jumps where the
	// slot says; 0 for those that lead into the dynamic loader.
	Stub bool
	Slot uint32
	// Unknown says that it is none that is known: see [Program.Unknown].
	Unknown bool
}

// extents returns the functions of the module, without those in skip: those that
// start at starts, each with what fills up the code behind it.
func (m *Module) extents(skip Range) []Extent {
	starts := m.starts(skip)
	out := make([]Extent, 0, len(starts))
	for i, s := range starts {
		seg := segmentAt(m.segments(), s.start)
		stop := seg.Addr + uint64(len(seg.Data))
		if i+1 < len(starts) {
			stop = min(stop, starts[i+1].start)
		}
		if s.start < skip.Start {
			stop = min(stop, skip.Start)
		}
		end := uint32(m.padded(max(s.end, s.start+1), stop) - m.Range.Start)
		if n := len(out); s.flows && n > 0 {
			out[n-1].End = end
			continue
		}
		x := Extent{Entry: uint32(s.start - m.Range.Start), End: end, Stub: s.stub, Unknown: s.unknown}
		if s.slot != 0 {
			x.Slot = uint32(s.slot - m.Range.Start)
		}
		out = append(out, x)
	}
	return out
}

// padded returns where the instructions without effect end that start at end, up
// to stop: a function has those behind it, but no zeros.
func (m *Module) padded(end, stop uint64) uint64 {
	for end < stop {
		b := m.bytes(end)
		in := m.space.Decode(b[:min(uint64(len(b)), stop-end)], end)
		if in.Op != OpNop && in.Op != OpInt3 {
			break
		}
		end += uint64(in.Len)
	}
	return min(end, stop)
}

// fits reports that list can be the functions of the module: there are some,
// ascending, each in code that the file holds.
func (m *Module) fits(list []Extent) bool {
	end := uint64(0)
	for _, x := range list {
		at := m.Range.Start + uint64(x.Entry)
		s := segmentAt(m.segments(), at)
		if x.Entry >= x.End || at < end || s == nil || !s.Exec || m.Range.Start+uint64(x.End) > s.Addr+uint64(len(s.Data)) {
			return false
		}
		end = m.Range.Start + uint64(x.End)
	}
	return len(list) > 0
}

// Functions returns where the functions of module m are: the indices from first up
// to last.
func (p *Program) Functions(m *Module) (first, last int) {
	index := func(addr uint64) int {
		return sort.Search(len(p.Funcs), func(i int) bool { return p.Text+uint64(p.Funcs[i].Entry) >= addr })
	}
	return index(m.Range.Start), index(m.Range.End)
}

// Extents returns the functions of the module but Go's: what [LoadOptions.Layout] may
// return for another program with the same library.
func (m *Module) Extents() []Extent { return m.functions }

// Libraries returns the modules other than the executable, ascending by address.
func (p *Program) Libraries() []*Module { return p.placed[min(1, len(p.placed)):] }

// Bindings is a digest of what the dynamic loader binds the module's references to,
// as far as it matters to where the module's functions are: to what of its own, to
// something of others, or to nothing. ok is false where the loader copies objects
// of others into the module.
func (m *Module) Bindings() (digest [32]byte, ok bool) { return m.bindings, !m.copies }

// A bindingsDigest makes Bindings, one reference after the other.
type bindingsDigest struct{ list []byte }

func (d *bindingsDigest) add(m *Module, r relocation, s *slot) {
	to, class := uint64(0), byte(0)
	switch {
	case s.target == 0:
	case s.target >= m.Range.Start && s.target < m.Range.End:
		to, class = s.target-m.Base, 1
	default:
		class = 2
	}
	if s.resolver {
		class += 2
	}
	d.list = binary.LittleEndian.AppendUint64(d.list, r.addr)
	d.list = binary.LittleEndian.AppendUint64(d.list, to)
	d.list = append(d.list, class)
}

func (d *bindingsDigest) sum() [32]byte { return sha256.Sum256(d.list) }
