package supervise

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A module is a file with code.
type module struct {
	machine abi.ABI        // None: it could not be read
	program *image.Program // of Go; nil: another
	unwind  *image.Unwind  // nil: none
	symbols []elf.Symbol   // functions, ascending
	loads   []elf.ProgHeader
}

func (m *module) close() error {
	var errs []error
	if m.program != nil {
		errs = append(errs, m.program.Close())
	}
	if m.unwind != nil {
		errs = append(errs, m.unwind.Close())
	}
	return errors.Join(errs...)
}

// module returns the tables of the file behind a region.
func (s *Stacks) module(r region, tid int) *module {
	if m, ok := s.modules[r.key]; ok {
		return m
	}
	m := &module{}
	switch {
	case r.path != "":
		m.open(r.path)
	case r.name == vdso:
		m.openMemory(r, tid)
	default:
		return m // code that the program made: it has no file
	}
	if s.modules == nil {
		s.modules = map[string]*module{}
	}
	s.modules[r.key] = m
	return m
}

// open reads a file. What it lacks stays empty.
func (m *module) open(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if !m.readELF(f) {
		return
	}
	if u, err := image.OpenUnwind(path); err == nil {
		m.unwind, m.machine = u, u.Machine
	}
	if _, err := buildinfo.Read(f); err != nil {
		return
	}
	if program, err := image.Load(path, image.LoadOptions{Alone: true}); err == nil {
		m.program, m.machine = program, program.ABI
	}
}

// openMemory reads the file that the kernel has put into the thread's memory.
func (m *module) openMemory(r region, tid int) {
	data := make([]byte, min(r.end-r.start, 1<<20))
	if _, err := kernel.ReadMemory(tid, r.start, data); err != nil || !m.readELF(bytes.NewReader(data)) {
		return
	}
	if u, err := image.ParseUnwind(r.name, data); err == nil {
		m.unwind, m.machine = u, u.Machine
	}
}

// readELF reads where the file lies in memory, and its symbols.
func (m *module) readELF(in io.ReaderAt) bool {
	f, err := elf.NewFile(in)
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			m.loads = append(m.loads, p.ProgHeader)
		}
	}
	// A file without a table of symbols has only the other.
	static, _ := f.Symbols()
	dynamic, _ := f.DynamicSymbols()
	for _, sym := range slices.Concat(static, dynamic) {
		if kind := elf.ST_TYPE(sym.Info); (kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC) && sym.Value != 0 {
			m.symbols = append(m.symbols, sym)
		}
	}
	slices.SortStableFunc(m.symbols, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	return true
}

// address returns the address that the file was linked for of one in a region.
func (m *module) address(r region, addr uint64) (uint64, bool) {
	offset := addr - r.start + r.offset
	for _, p := range m.loads {
		if p.Off&^4095 <= offset && offset < p.Off+p.Filesz {
			return p.Vaddr + offset - p.Off, true
		}
	}
	return 0, false
}

// goDepth returns how far above the stack pointer the return address of a function of Go
// lies, if its tables say it. Functions that switch stacks have none but where they make
// a system call themselves.
func (m *module) goDepth(at uint64, innermost bool) (int64, bool) {
	if m.program == nil {
		return 0, false
	}
	i, found := m.program.Find(at)
	if goText := m.program.GoText; !found || at < goText.Start || at >= goText.End || m.program.WritesSP(i) && !innermost {
		return 0, false
	}
	for _, d := range m.program.Depths(i) {
		if at < d.End { // the instruction that made the call may be the last of its range
			return d.Depth, !d.Unknown
		}
	}
	return 0, false
}

// name names the function that holds the address at; pc is where it goes on, or is.
func (m *module) name(r region, at, pc uint64) string {
	if r.name == "" {
		return fmt.Sprintf("%#x", pc)
	}
	if m.program != nil {
		if addr, ok := m.address(r, at); ok {
			if i, found := m.program.Find(addr); found {
				name := m.program.Name(i)
				if file, line := m.program.Line(i, addr); file != "" {
					name += fmt.Sprintf(" (%s:%d)", filepath.Base(file), line)
				}
				return name
			}
		}
	}
	return m.symbol(r, at, pc)
}

// symbol names a place by the symbol before it, or by the file alone.
func (m *module) symbol(r region, at, pc uint64) string {
	place := fmt.Sprintf("%s+%#x", filepath.Base(r.name), pc-r.start+r.offset)
	addr, ok := m.address(r, at)
	if !ok {
		return place
	}
	i, found := slices.BinarySearchFunc(m.symbols, addr, func(s elf.Symbol, addr uint64) int { return cmp.Compare(s.Value, addr) })
	if !found {
		i--
	}
	if i < 0 || m.symbols[i].Size > 0 && addr >= m.symbols[i].Value+m.symbols[i].Size {
		return place
	}
	return fmt.Sprintf("%s+%#x (%s)", m.symbols[i].Name, addr-m.symbols[i].Value+pc-at, filepath.Base(r.name))
}
