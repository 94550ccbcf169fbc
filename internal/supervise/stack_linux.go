package supervise

import (
	"bufio"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/kernel"
)

const (
	maxFrames  = 16
	maxGuesses = 8    // frames of code without frame information
	scanBytes  = 2048 // of a stack without frame information
)

// Stacks says which functions threads are in, the innermost first. In Go programs
// that is exact: their tables have the size of every frame, stripped or not. Of other
// code it is the function that makes the call, and then, marked with "?", what the
// stack has that looks like the address of a return. It keeps the tables of files
// that it has read; it is for one goroutine.
type Stacks struct {
	modules map[string]*module
}

// A module is a file with code.
type module struct {
	program *image.Program // of Go; nil: another
	symbols []elf.Symbol   // functions, ascending
	loads   []elf.ProgHeader
}

// Close lets go of the files.
func (s *Stacks) Close() error {
	var errs []error
	for _, m := range s.modules {
		if m.program != nil {
			errs = append(errs, m.program.Close())
		}
	}
	s.modules = nil
	return errors.Join(errs...)
}

// Of returns the stack of the thread whose call waits; nil where it cannot be read.
// It counts only after [kernel.Listener.Valid].
func (s *Stacks) Of(n kernel.Notification) []string {
	sp, err := stackPointer(n.TID)
	if err != nil {
		return nil
	}
	regions, err := codeOf(n.TID)
	if err != nil {
		return nil
	}
	word := uint64(8)
	if n.Call.Arch == abi.I386.AuditArch() {
		word = 4
	}
	w := walk{s, n.TID, regions, word, sp}
	return w.frames(n.Call.IP)
}

// stackPointer returns the stack pointer of a thread that is in a system call, the
// field before the last of /proc/PID/syscall (proc_pid_syscall(5)). A thread that has
// just told its supervisor of a call may still be about to go to sleep.
func stackPointer(tid int) (uint64, error) {
	const tries, pause = 40, 250 * time.Microsecond
	for n := 0; ; n++ {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
		if err != nil {
			return 0, err
		}
		fields := strings.Fields(string(data))
		if len(fields) >= 2 {
			return strconv.ParseUint(fields[len(fields)-2], 0, 64)
		}
		if n == tries {
			return 0, fmt.Errorf("thread %d runs", tid)
		}
		time.Sleep(pause)
	}
}

// A region is memory that is mapped executable.
type region struct {
	start, end, offset uint64
	path               string // of the file, as this process can open it
	name               string // as the thread's process knows it
}

// codeOf returns the executable memory of a thread's process.
func codeOf(tid int) ([]region, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", tid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var regions []region
	for in := bufio.NewScanner(f); in.Scan(); {
		// 7f..-7f.. r-xp 00001000 08:01 1234   /path
		fields := strings.Fields(in.Text())
		if len(fields) < 5 || !strings.Contains(fields[1], "x") {
			continue
		}
		low, high, _ := strings.Cut(fields[0], "-")
		var r region
		var errs [3]error
		r.start, errs[0] = strconv.ParseUint(low, 16, 64)
		r.end, errs[1] = strconv.ParseUint(high, 16, 64)
		r.offset, errs[2] = strconv.ParseUint(fields[2], 16, 64)
		if errors.Join(errs[:]...) != nil {
			continue
		}
		if i := strings.IndexByte(in.Text(), '/'); i >= 0 {
			r.name = in.Text()[i:]
			r.path = fmt.Sprintf("/proc/%d/map_files/%s", tid, fields[0])
			if _, err := os.Stat(r.path); err != nil { // takes CAP_CHECKPOINT_RESTORE
				r.path = fmt.Sprintf("/proc/%d/root%s", tid, r.name)
			}
		}
		regions = append(regions, r)
	}
	return regions, nil
}

// A walk goes up one stack.
type walk struct {
	stacks  *Stacks
	tid     int
	regions []region
	word    uint64
	sp      uint64
}

// frames returns the functions from the one that holds pc on.
func (w *walk) frames(pc uint64) []string {
	var frames []string
	for len(frames) < maxFrames {
		name, depth, exact := w.function(pc, len(frames) == 0)
		if name == "" {
			break
		}
		frames = append(frames, name)
		if !exact {
			return append(frames, w.scan(min(maxGuesses, maxFrames-len(frames)))...)
		}
		if depth < 0 || uint64(depth) > 1<<20 {
			break
		}
		w.sp += uint64(depth)
		next, ok := w.read(w.sp)
		if !ok || next == 0 {
			break
		}
		w.sp += w.word
		pc = next
	}
	return frames
}

func (w *walk) read(addr uint64) (uint64, bool) {
	data := make([]byte, w.word)
	if _, err := kernel.ReadMemory(w.tid, addr, data); err != nil {
		return 0, false
	}
	if w.word == 4 {
		return uint64(binary.NativeEndian.Uint32(data)), true
	}
	return binary.NativeEndian.Uint64(data), true
}

// region returns the code at an address.
func (w *walk) region(addr uint64) (region, bool) {
	i := slices.IndexFunc(w.regions, func(r region) bool { return r.start <= addr && addr < r.end })
	if i < 0 {
		return region{}, false
	}
	return w.regions[i], true
}

// function returns the function that the return address pc leads into; exact says
// that depth is how far above the stack pointer its own return address lies.
func (w *walk) function(pc uint64, innermost bool) (name string, depth int64, exact bool) {
	r, ok := w.region(pc - 1)
	if !ok {
		return "", 0, false
	}
	if r.path == "" {
		return fmt.Sprintf("%#x", pc), 0, false
	}
	m := w.stacks.module(r)
	if m.program != nil {
		addr := pc - r.start + r.offset
		at, ok := m.address(addr - 1)
		if i, found := m.program.Find(at); ok && found {
			name = m.program.Name(i)
			if file, line := m.program.Line(i, at); file != "" {
				name += fmt.Sprintf(" (%s:%d)", filepath.Base(file), line)
			}
			for _, d := range m.program.Depths(i) {
				// The instruction that made the call may be the last of its range.
				if at < d.End {
					return name, d.Depth, !m.program.WritesSP(i) || innermost
				}
			}
			return name, 0, false
		}
	}
	return m.symbol(r, pc-r.start+r.offset), 0, false
}

// scan returns what the stack has that looks like the address of a return: one that
// follows a call instruction.
func (w *walk) scan(most int) []string {
	data := make([]byte, scanBytes)
	n, _ := kernel.ReadMemory(w.tid, w.sp, data) // as far as the stack goes
	var frames []string
	for at := 0; at+int(w.word) <= n && len(frames) < most; at += int(w.word) {
		addr := binary.NativeEndian.Uint64(append(slices.Clone(data[at:at+int(w.word)]), make([]byte, 8)...))
		r, ok := w.region(addr - 1)
		if !ok || r.path == "" || !w.followsCall(addr) {
			continue
		}
		frames = append(frames, "? "+w.stacks.module(r).symbol(r, addr-r.start+r.offset))
	}
	return frames
}

// followsCall reports whether an x86 call instruction ends before addr: e8 with four
// bytes, or ff /2 with its forms of operands.
func (w *walk) followsCall(addr uint64) bool {
	code := make([]byte, 7)
	if _, err := kernel.ReadMemory(w.tid, addr-7, code); err != nil {
		return false
	}
	if code[2] == 0xe8 {
		return true
	}
	for _, at := range []int{5, 4, 3, 1, 0} { // 2, 3, 4, 6 and 7 bytes
		if code[at] == 0xff && code[at+1]>>3&7 == 2 {
			return true
		}
	}
	return false
}

// module returns the tables of the file behind a region.
func (s *Stacks) module(r region) *module {
	if m, ok := s.modules[r.name]; ok {
		return m
	}
	if s.modules == nil {
		s.modules = map[string]*module{}
	}
	m := &module{}
	s.modules[r.name] = m
	f, err := elf.Open(r.path)
	if err != nil {
		return m
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			m.loads = append(m.loads, p.ProgHeader)
		}
	}
	// A file without a table of symbols has only the other.
	static, _ := f.Symbols()
	dynamic, _ := f.DynamicSymbols()
	for _, sym := range slices.Concat(static, dynamic) {
		if elf.ST_TYPE(sym.Info) == elf.STT_FUNC && sym.Value != 0 {
			m.symbols = append(m.symbols, sym)
		}
	}
	slices.SortStableFunc(m.symbols, func(a, b elf.Symbol) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
	if program, err := image.Load(r.path, image.LoadOptions{Alone: true}); err == nil {
		if program.Foreign() {
			_ = program.Close() // it was only looked at
		} else {
			m.program = program
		}
	}
	return m
}

// address returns the address that the file has for an offset in it.
func (m *module) address(offset uint64) (uint64, bool) {
	for _, p := range m.loads {
		if p.Off <= offset && offset < p.Off+p.Filesz {
			return p.Vaddr + offset - p.Off, true
		}
	}
	return 0, false
}

// symbol names the place at an offset in the file: its function, or the file alone.
func (m *module) symbol(r region, offset uint64) string {
	place := fmt.Sprintf("%s+%#x", filepath.Base(r.name), offset)
	addr, ok := m.address(offset)
	if !ok {
		return place
	}
	i, found := slices.BinarySearchFunc(m.symbols, addr, func(s elf.Symbol, addr uint64) int {
		switch {
		case s.Value < addr:
			return -1
		case s.Value > addr:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 || m.symbols[i].Size > 0 && addr > m.symbols[i].Value+m.symbols[i].Size {
		return place
	}
	return fmt.Sprintf("%s+%#x (%s)", m.symbols[i].Name, addr-m.symbols[i].Value, filepath.Base(r.name))
}
