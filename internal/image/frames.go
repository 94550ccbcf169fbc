package image

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"
	"sort"
)

// A frame is one frame description entry (FDE) of a module's unwind data:
// the code that it is about, and where it is itself.
type frame struct {
	start, end uint64
	addr       uint64
}

// Encodings of pointers in unwind data (Linux Standard Base, "DWARF Extensions").
const (
	encOmit     = 0xff
	encFormat   = 0x0f
	encRelative = 0x70
	encPC       = 0x10
	encData     = 0x30
	encIndirect = 0x80
)

// A common is a common information entry (CIE), which frames share.
type common struct {
	codeAlign    uint64
	dataAlign    int64
	encoding     byte   // of code addresses
	returns      uint64 // the register, or column, that stands for the return address
	augmented    bool   // frames have augmentation data
	signal       bool   // the code is where a signal handler returns to
	instructions []byte
}

// An unwindReader reads the unwind data of a module.
type unwindReader struct {
	m       *Module
	commons map[uint64]*common // by address; nil: malformed
}

// maxFrames bounds the frames of a module.
const maxFrames = maxFuncs

// readFrames returns the frames of the module, ascending: those that
// .eh_frame_hdr lists, or all of .eh_frame.
func (m *Module) readFrames() []frame {
	r := &unwindReader{m: m, commons: map[uint64]*common{}}
	out := r.listed()
	if out == nil {
		out = r.all()
	}
	if byStart := func(a, b frame) int { return cmp.Compare(a.start, b.start) }; !slices.IsSortedFunc(out, byStart) {
		slices.SortFunc(out, byStart)
	}
	return out
}

// listed reads .eh_frame_hdr, in the encodings that every linker uses: relative
// to the field, a count, relative to the table.
func (r *unwindReader) listed() (out []frame) {
	if r.m.object.unwind == 0 {
		return nil
	}
	at := r.m.Base + r.m.object.unwind
	b := r.m.bytes(at)
	if len(b) < 12 || string(b[:4]) != "\x01\x1b\x03\x3b" {
		return nil
	}
	n := uint64(binary.LittleEndian.Uint32(b[8:]))
	if n > uint64(len(b)-12)/8 {
		return nil
	}
	out = make([]frame, 0, n)
	for i := range n {
		if f, ok := r.frame(at + uint64(int64(int32(binary.LittleEndian.Uint32(b[16+8*i:]))))); ok {
			out = append(out, f)
		}
	}
	return out
}

// frameTable returns where .eh_frame starts, as .eh_frame_hdr or the section headers say, or
// where it looks like it, and its size if that is known, [MaxSpan] if not.
func (m *Module) frameTable() (at, size uint64) {
	size = MaxSpan
	if b := m.bytes(m.Base + m.object.unwind); m.object.unwind != 0 && len(b) >= 8 && b[1] == 0x1b {
		at = m.Base + m.object.unwind + 4 + uint64(int64(int32(binary.LittleEndian.Uint32(b[4:]))))
	} else if s, ok := m.object.section(func(name string, _ elf.SectionType) bool { return name == ".eh_frame" }); ok && s.addr != 0 {
		at, size = m.Base+s.addr, uint64(len(s.data))
	} else if m.object.unwind == 0 && m.object.sections.End == 0 {
		at = m.searchFrames()
	}
	return at, size
}

// Distances returns where what the dynamic loader and those who unwind the stack read
// lies: it says how far functions are, for nobody else.
func (m *Module) Distances() []Range {
	out := m.tables()
	if b := m.bytes(m.Base + m.object.unwind); m.object.unwind != 0 && len(b) >= 12 {
		start := m.Base + m.object.unwind
		out = append(out, Range{start, start + 12 + 8*uint64(binary.LittleEndian.Uint32(b[8:]))})
	}
	start, size := m.frameTable()
	at := start
	for b := m.bytes(at); start != 0 && len(b) >= 4 && at-start < size; b = m.bytes(at) {
		length := uint64(binary.LittleEndian.Uint32(b))
		if length == 0 && size == MaxSpan || length > uint64(len(b)-4) {
			break
		}
		at += 4 + length
	}
	return append(out, Range{start, at})
}

// all reads all of .eh_frame.
func (r *unwindReader) all() (out []frame) {
	m := r.m
	at, size := m.frameTable()
	if at == 0 {
		return nil
	}
	for end := at + size; at < end && len(out) < maxFrames; {
		b := m.bytes(at)
		if len(b) < 8 {
			return out
		}
		length := uint64(binary.LittleEndian.Uint32(b))
		if length == 0 && size == MaxSpan || length > uint64(len(b)-4) {
			return out
		}
		if length >= 4 && binary.LittleEndian.Uint32(b[4:]) != 0 {
			if f, ok := r.frame(at); ok {
				out = append(out, f)
			}
		}
		at += 4 + length
	}
	return out
}

// searchFrames finds .eh_frame by the common entry that compilers start it with.
func (m *Module) searchFrames() uint64 {
	entry := []byte("\x00\x00\x00\x00\x01zR\x00")
	for _, s := range m.segments() {
		if i := bytes.Index(s.Data, entry); i >= 4 && !s.Write {
			return s.Addr + uint64(i) - 4
		}
	}
	return 0
}

// frame reads the frame at addr.
func (r *unwindReader) frame(addr uint64) (frame, bool) {
	c, b, at, ok := r.entry(addr)
	if !ok {
		return frame{}, false
	}
	start, n, ok := r.pointer(b, at, c.encoding)
	if !ok {
		return frame{}, false
	}
	size, _, ok := r.pointer(b[n:], 0, c.encoding&encFormat)
	if !ok || start+size < start {
		return frame{}, false
	}
	f := frame{start, start + size, addr}
	if c.signal {
		// The unwinder looks up the address before the one that is returned to.
		f.start++
	}
	s := segmentAt(r.m.segments(), f.start)
	return f, f.start < f.end && s != nil && s.Exec && f.end-s.Addr <= uint64(len(s.Data))
}

// entry returns the common part of the frame at addr, and what follows the
// pointer to it, with its address.
func (r *unwindReader) entry(addr uint64) (c *common, b []byte, at uint64, ok bool) {
	b = r.m.bytes(addr)
	if len(b) < 8 {
		return nil, nil, 0, false
	}
	length := uint64(binary.LittleEndian.Uint32(b))
	back := uint64(binary.LittleEndian.Uint32(b[4:]))
	if length < 4 || length > uint64(len(b)-4) || back == 0 {
		return nil, nil, 0, false
	}
	where := addr + 4 - back
	c, known := r.commons[where]
	if !known {
		c = r.common(where)
		r.commons[where] = c
	}
	return c, b[8 : 4+length], addr + 8, c != nil
}

// common reads the entry at addr.
func (r *unwindReader) common(addr uint64) *common {
	b := r.m.bytes(addr)
	if len(b) < 12 {
		return nil
	}
	length := uint64(binary.LittleEndian.Uint32(b))
	if length < 8 || length > uint64(len(b)-4) || binary.LittleEndian.Uint32(b[4:]) != 0 {
		return nil
	}
	b = b[8 : 4+length]
	version, augmentation := b[0], cbytes(b, 1)
	if len(b) < 2+len(augmentation) {
		return nil
	}
	d := dwarf{b: b[2+len(augmentation):]}
	c := &common{codeAlign: d.unsigned(), dataAlign: d.signed()}
	if version == 1 {
		c.returns = uint64(d.byte())
	} else {
		c.returns = d.unsigned()
	}
	if len(augmentation) > 0 && augmentation[0] != 'z' {
		return nil // an old compiler's, whose length is not stated
	}
	if len(augmentation) > 0 {
		c.augmented = true
		n := d.unsigned()
		data := dwarf{b: d.take(n)}
		for _, a := range augmentation[1:] {
			switch a {
			case 'R':
				c.encoding = data.byte()
			case 'S':
				c.signal = true
			case 'L':
				data.skip(1)
			case 'P':
				e := data.byte()
				_, n, ok := r.pointer(data.b, 0, e&encFormat)
				if !ok {
					return nil
				}
				data.skip(uint64(n))
			}
		}
		d.bad = d.bad || data.bad
	}
	c.instructions = d.b
	if d.bad || c.encoding&encIndirect != 0 || c.codeAlign == 0 {
		return nil
	}
	return c
}

// pointer reads an encoded pointer from b, which lies at addr; n is its length.
func (r *unwindReader) pointer(b []byte, addr uint64, encoding byte) (v uint64, n int, ok bool) {
	le := binary.LittleEndian
	form := encoding & encFormat
	if form == 0 { // an address
		form = 4
		if r.m.object.size == 4 {
			form = 3
		}
	}
	need := [...]int{2: 2, 3: 4, 4: 8, 8: 0, 10: 2, 11: 4, 12: 8}
	if int(form) >= len(need) || need[form] == 0 || len(b) < need[form] {
		return 0, 0, false
	}
	switch form {
	case 2:
		v = uint64(le.Uint16(b))
	case 3:
		v = uint64(le.Uint32(b))
	case 4, 12:
		v = le.Uint64(b)
	case 10:
		v = uint64(int64(int16(le.Uint16(b))))
	case 11:
		v = uint64(int64(int32(le.Uint32(b))))
	}
	switch encoding & encRelative {
	case 0:
	case encPC:
		v += addr
	default:
		return 0, 0, false
	}
	if r.m.object.size == 4 {
		v = uint64(uint32(v))
	}
	return v, need[form], true
}

// framesIn returns the frames that have code in [start, end).
func (m *Module) framesIn(start, end uint64) []frame {
	frames := m.frames()
	i := sort.Search(len(frames), func(i int) bool { return frames[i].end > start })
	j := i
	for j < len(frames) && frames[j].start < end {
		j++
	}
	return frames[i:j]
}

// A dwarf is bytes of unwind data that are being read; bad is set at their end.
type dwarf struct {
	b   []byte
	bad bool
}

func (d *dwarf) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *dwarf) skip(n uint64) { d.take(n) }

func (d *dwarf) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *dwarf) unsigned() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// signed reads a signed LEB128 number.
func (d *dwarf) signed() int64 {
	v, shift := int64(0), uint(0)
	for {
		b := d.byte()
		if shift < 64 {
			v |= int64(b&0x7f) << shift
		}
		shift += 7
		if d.bad {
			return 0
		}
		if b&0x80 == 0 {
			if b&0x40 != 0 && shift < 64 {
				v |= -1 << shift
			}
			return v
		}
	}
}
