package profile

import (
	"encoding/binary"

	"github.com/sysgate/sysgate/internal/image"
)

// A summary in a cache is lists of numbers of 32 bits, little-endian, each list after
// its length: fast to read, and one after the other what the struct has. Who wrote it
// is this very program (see summaries), so there are no versions.

// encode returns the summary as bytes.
func (s *summary) encode() []byte {
	var entries, stubs, unknown []uint32
	for i, f := range s.funcs {
		entries = append(entries, f.Entry, f.End)
		if f.Stub {
			stubs = append(stubs, uint32(i), f.Slot)
		}
		if f.Unknown {
			unknown = append(unknown, uint32(i))
		}
	}
	var slots, sites []uint32
	for _, x := range s.slots {
		slots = append(slots, x.addr, bit(x.stub)|bit(x.bound)<<1)
	}
	for _, x := range s.sites {
		sites = append(sites, x.fn, x.addr, uint32(x.op))
	}
	crossings := func(list []summaryCrossing) (out []uint32) {
		for _, c := range list {
			out = append(out, c.fn<<1|bit(c.jump), uint32(c.target), uint32(c.target>>32))
		}
		return out
	}
	lists := [...][]uint32{
		entries, stubs, unknown, slots, s.callAt, s.calls, s.refAt, s.refs, sites, crossings(s.strays), crossings(s.wild),
		s.unclear, s.unfollowed, s.overlapping, s.computed, s.falls,
	}
	size := 0
	for _, list := range lists {
		size += 4 + 4*len(list)
	}
	out := make([]byte, 0, size)
	for _, list := range lists {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(list)))
		for _, v := range list {
			out = binary.LittleEndian.AppendUint32(out, v)
		}
	}
	return out
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// decodeSummary reads what encode wrote. It establishes that all numbers of functions,
// slots and list elements are in range.
func decodeSummary(b []byte) (*summary, bool) {
	r := summaryReader{b: b}
	s := &summary{}
	entries, stubs, unknown := r.list(2), r.list(2), r.list(1)
	slots := r.list(2)
	s.callAt, s.calls, s.refAt, s.refs = r.list(1), r.list(1), r.list(1), r.list(1)
	sites, strays, wild := r.list(3), r.list(3), r.list(3)
	s.unclear, s.unfollowed, s.overlapping = r.list(1), r.list(1), r.list(1)
	s.computed, s.falls = r.list(1), r.list(1)
	n := uint32(len(entries) / 2)
	ok := !r.bad && len(r.b) == 0 && n > 0 && n <= throughMask
	ok = ok && ascends(s.callAt, n, len(s.calls)) && ascends(s.refAt, n, len(s.refs))
	if !ok {
		return nil, false
	}
	s.funcs = make([]image.Extent, n)
	for i := range s.funcs {
		s.funcs[i].Entry, s.funcs[i].End = entries[2*i], entries[2*i+1]
	}
	for ; len(stubs) > 0; stubs = stubs[2:] {
		if ok = ok && stubs[0] < n; ok {
			s.funcs[stubs[0]].Stub, s.funcs[stubs[0]].Slot = true, stubs[1]
		}
	}
	for _, i := range unknown {
		if ok = ok && i < n; ok {
			s.funcs[i].Unknown = true
		}
	}
	for ; len(slots) > 0; slots = slots[2:] {
		s.slots = append(s.slots, summarySlot{slots[0], slots[1]&1 != 0, slots[1]&2 != 0})
	}
	for _, c := range s.calls {
		if c&throughCall == 0 {
			ok = ok && c < n
		} else {
			ok = ok && int(c&throughMask) < len(s.slots)
		}
	}
	for ; len(sites) > 0; sites = sites[3:] {
		if ok = ok && sites[0] < n; ok {
			f := s.funcs[sites[0]]
			ok = sites[1] >= f.Entry && sites[1] < f.End
		}
		s.sites = append(s.sites, summarySite{sites[0], sites[1], image.Op(sites[2])})
	}
	crossings := func(list []uint32) (out []summaryCrossing) {
		for ; len(list) > 0; list = list[3:] {
			ok = ok && list[0]>>1 < n
			out = append(out, summaryCrossing{list[0] >> 1, uint64(list[1]) | uint64(list[2])<<32, list[0]&1 != 0})
		}
		return out
	}
	s.strays, s.wild = crossings(strays), crossings(wild)
	for _, list := range [...][]uint32{s.unclear, s.unfollowed, s.overlapping, s.computed, s.falls} {
		for i, fn := range list {
			ok = ok && fn < n && (i == 0 || list[i-1] < fn)
		}
	}
	return s, ok
}

// ascends reports that at says where the lists of n functions start and end in one of
// the given length.
func ascends(at []uint32, n uint32, length int) bool {
	if len(at) != int(n)+1 || at[0] != 0 || int(at[n]) != length {
		return false
	}
	for i := range n {
		if at[i] > at[i+1] {
			return false
		}
	}
	return true
}

// A summaryReader reads lists; bad is set where there is none.
type summaryReader struct {
	b   []byte
	bad bool
}

// list reads a list whose length is a multiple of size.
func (r *summaryReader) list(size uint32) []uint32 {
	if r.bad || len(r.b) < 4 {
		r.bad = true
		return nil
	}
	n := binary.LittleEndian.Uint32(r.b)
	b := r.b[4:]
	if n%size != 0 || uint64(n) > uint64(len(b))/4 {
		r.bad = true
		return nil
	}
	out := make([]uint32, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	r.b = b[4*n:]
	return out
}
