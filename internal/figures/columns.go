package figures

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// Columns are the figures of one program on one policy, on amd64. The README of
// testdata/policies defines them; executed instructions count the return.
type Columns struct {
	Instructions int
	Worst        int     // executed, over the numbers 0 to 599 and the boundary vectors
	Uniform      float64 // mean executed, each known number once
	Weighted     float64 // mean executed, calls as frequent as the table says
	PerRun       float64 // the same over the named calls that still run the filter
	Denied       float64 // mean executed over the numbers that the policy does not name
	ConstAllow   int     // numbers of amd64 that the kernel answers from its bitmap
	Steps        int     // instructions that the kernel emulates to find that out
}

// Measure returns the figures of a program. cached says whether the kernel
// answers a call from its bitmap, and after how many emulated instructions it
// knows; frequency is the share of each call.
func (p *Policy) Measure(program bpf.Program, frequency map[string]float64, cached func(bpf.Program, abi.Call) (bool, int)) Columns {
	c := Columns{Instructions: len(program)}
	steps := func(call abi.Call) int {
		call.Arch = abi.AMD64.AuditArch()
		return program.Run(call, false).Steps
	}
	entries := p.byNumber()
	for nr := range uint32(600) {
		for _, args := range boundary(entries[nr]) {
			c.Worst = max(c.Worst, steps(abi.Call{NR: nr, Args: args}))
		}
	}
	var all, denied, weighted, perRun mean
	for nr, name := range abi.AMD64.Syscalls() {
		if nr > lastKnown {
			continue
		}
		var one mean
		for _, args := range satisfying(entries[nr]) {
			one.add(1, float64(steps(abi.Call{NR: nr, Args: args})))
		}
		all.add(1, one.value())
		inBitmap, _ := cached(program, abi.Call{Arch: abi.AMD64.AuditArch(), NR: nr})
		if inBitmap {
			c.ConstAllow++
		}
		if entries[nr] == nil {
			denied.add(1, one.value())
			continue
		}
		share := frequency[name]
		weighted.add(share, one.value())
		if !inBitmap {
			perRun.add(share, one.value())
		}
	}
	for _, a := range []abi.ABI{abi.AMD64, abi.I386} {
		for nr := range uint32(470) {
			_, n := cached(program, abi.Call{Arch: a.AuditArch(), NR: nr})
			c.Steps += n
		}
	}
	c.Uniform, c.Weighted, c.PerRun, c.Denied = all.value(), weighted.value(), perRun.value(), denied.value()
	return c
}

// lastKnown is the last of the 385 numbers that the columns are about.
const lastKnown = 471

type mean struct{ sum, weight float64 }

func (m *mean) add(weight, v float64) { m.sum, m.weight = m.sum+weight*v, m.weight+weight }

func (m *mean) value() float64 {
	if m.weight == 0 {
		return 0
	}
	return m.sum / m.weight
}

// byNumber returns the entries of each number of amd64 that has any.
func (p *Policy) byNumber() map[uint32][]Entry {
	entries := map[uint32][]Entry{}
	for _, e := range p.Syscalls {
		for _, name := range e.Names {
			if nr, ok := abi.AMD64.Lookup(name); ok {
				entries[nr] = append(entries[nr], e)
			}
		}
	}
	return entries
}

// A vector is the six arguments of a call.
type vector = [6]uint64

// satisfying returns the ok vectors of a number with these entries: one that
// satisfies each.
func satisfying(entries []Entry) []vector {
	var out []vector
	for _, e := range entries {
		var v vector
		for _, arg := range e.Args {
			v[arg.Index] = arg.satisfying()
		}
		out = append(out, v)
	}
	if out == nil {
		out = []vector{{}}
	}
	return out
}

func (a Arg) satisfying() uint64 {
	switch v, _ := a.valueAndMask(); a.Op {
	case "SCMP_CMP_LT":
		return v - 1
	case "SCMP_CMP_GT":
		return v + 1
	default:
		return v
	}
}

// valueAndMask returns what the argument is compared with, and the mask. A mask
// of 32 ones is no mask but OCI's way to write a 32-bit comparison.
func (a Arg) valueAndMask() (v, m uint64) {
	if a.Op != "SCMP_CMP_MASKED_EQ" {
		return a.Value, 0
	}
	if a.Value == 1<<32-1 {
		return a.ValueTwo, 0
	}
	return a.ValueTwo, a.Value
}

// boundary returns the boundary vectors of a number with these entries.
func boundary(entries []Entry) []vector {
	const low = 1<<32 - 1
	values := [6]map[uint64]bool{}
	for i := range values {
		values[i] = map[uint64]bool{0: true}
	}
	for _, e := range entries {
		for _, arg := range e.Args {
			v, m := arg.valueAndMask()
			for _, x := range []uint64{v, v + 1, v - 1, m, v | m, v | 0x80, low} {
				values[arg.Index][x&low] = true
			}
			for bit := range 32 {
				if m>>bit&1 != 0 {
					values[arg.Index][1<<bit] = true
				}
			}
		}
	}
	out := []vector{{}}
	for i := range values {
		var next []vector
		for _, x := range slices.Sorted(maps.Keys(values[i])) {
			for _, v := range out {
				v[i] = x
				next = append(next, v)
			}
		}
		out = next
	}
	return out
}

// ParseFrequency reads a table of shares: a header, then a name, a tab and a
// number on every line.
func ParseFrequency(text string) (map[string]float64, error) {
	shares := map[string]float64{}
	for line := range strings.Lines(text) {
		name, number, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if name == "syscall" {
			continue
		}
		share, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, fmt.Errorf("share of %q: %w", name, err)
		}
		shares[name] = share
	}
	return shares, nil
}
