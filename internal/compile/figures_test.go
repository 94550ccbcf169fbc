package compile

import (
	"math"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/figures"
)

const policies = "../../testdata/policies"

// benchmarkPolicy resolves P1, P2, P3 or P4.
func benchmarkPolicy(t testing.TB, name string, typed bool, abis ...abi.ABI) (*figures.Policy, func(Options) bpf.Program) {
	t.Helper()
	p, err := figures.Read(policies, name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve(typed, abis...)
	if err != nil {
		t.Fatal(err)
	}
	return p, func(o Options) bpf.Program {
		t.Helper()
		program, err := Compile(r, o)
		if err != nil {
			t.Fatal(err)
		}
		return program
	}
}

// emulate is ConstAllow as figures takes it.
func emulate(p bpf.Program, c abi.Call) (bool, int) {
	known := ConstAllow(p, c)
	return known.Allowed, known.Steps
}

// A goal is figures that a program must not exceed; 0 is no goal.
type goal struct {
	instructions, worst               int
	uniform, weighted, perRun, denied float64
}

// TestFigures holds the programs of the benchmark policies to the figures that
// docs/performance.md has, in every mode, and to all constant allows being
// answered by the kernel's bitmap. Counts do not depend on the machine.
func TestFigures(t *testing.T) {
	table := shares(t)
	frequency, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	constAllows := map[string]int{"P1": 306, "P2": 110, "P3": 37, "P4": 44}
	for _, mode := range []struct {
		name    string
		options Options
		typed   bool
		goals   map[string]goal
	}{
		{"cached", Options{}, false, map[string]goal{
			"P1": {63, 17, 0, 0, 7.65, 0},
			"P2": {68, 13, 0, 0, 0, 8.78},
			"P3": {111, 16, 0, 0, 10.40, 0},
			"P4": {97, 20, 0, 0, 10.19, 0},
		}},
		{"cached, typed", Options{}, true, map[string]goal{
			"P1": {59, 15, 0, 0, 7.65, 0},
			"P2": {68, 13, 0, 0, 0, 8.78},
			"P3": {111, 16, 0, 0, 10.40, 0},
			"P4": {85, 18, 0, 0, 8.26, 0},
		}},
		{"uncached", Options{Mode: Uncached}, false, map[string]goal{
			"P1": {67, 18, 9.42, 7.12, 0, 0},
			"P2": {63, 13, 10.03, 7.71, 0, 0},
			"P3": {116, 19, 9.28, 8.74, 0, 0},
			"P4": {99, 23, 9.23, 8.02, 0, 0},
		}},
		{"uncached, by frequency alone", Options{Mode: Uncached, Frequency: frequency}, false, map[string]goal{
			"P1": {70, 21, 0, 6.73, 0, 0},
			"P2": {66, 15, 0, 7.10, 0, 0},
			"P3": {115, 19, 0, 7.87, 0, 0},
			"P4": {97, 22, 0, 7.43, 0, 0},
		}},
		{"size", Options{Mode: Size}, false, map[string]goal{
			"P1": {61, 0, 0, 0, 0, 0},
			"P2": {60, 0, 0, 0, 0, 0},
			"P3": {103, 0, 0, 0, 0, 0},
			"P4": {94, 0, 0, 0, 0, 0},
		}},
	} {
		for _, name := range []string{"P1", "P2", "P3", "P4"} {
			p, program := benchmarkPolicy(t, name, mode.typed, abi.AMD64)
			got := p.Measure(program(mode.options), table, emulate)
			t.Logf("%-30s %s: %+v", mode.name, name, got)
			if got.ConstAllow != constAllows[name] {
				t.Errorf("%s, %s: the kernel answers %d numbers, want %d", mode.name, name, got.ConstAllow, constAllows[name])
			}
			want := mode.goals[name]
			exceeds := func(column string, got, limit float64) {
				if limit != 0 && math.IsNaN(got) || limit != 0 && got > limit {
					t.Errorf("%s, %s: %s: %.3f, want at most %v", mode.name, name, column, got, limit)
				}
			}
			exceeds("instructions", float64(got.Instructions), float64(want.instructions))
			exceeds("worst executed", float64(got.Worst), float64(want.worst))
			exceeds("mean executed", got.Uniform, want.uniform)
			exceeds("weighted mean executed", got.Weighted, want.weighted)
			exceeds("executed per run", got.PerRun, want.perRun)
			exceeds("executed on a denied call", got.Denied, want.denied)
		}
	}
}

// TestThreeABIs holds P1 on amd64, i386 and x32 to a size, and all constant allows
// to being answered from the bitmap on those that have one.
func TestThreeABIs(t *testing.T) {
	const limit = 290
	abis := []abi.ABI{abi.AMD64, abi.I386, abi.X32}
	_, program := benchmarkPolicy(t, "P1", false, abis...)
	for _, mode := range []Mode{Cached, Uncached, Size} {
		p := program(Options{Mode: mode})
		cached := map[abi.ABI]int{}
		for _, a := range abis {
			for nr := range a.Syscalls() {
				if ConstAllow(p, abi.Call{Arch: a.AuditArch(), NR: nr}).Allowed {
					cached[a]++
				}
			}
		}
		t.Logf("%v: %d instructions, constant allows %v", mode, len(p), cached)
		if len(p) > limit {
			t.Errorf("%v: %d instructions, want at most %d", mode, len(p), limit)
		}
		if want := 306; cached[abi.AMD64] != want {
			t.Errorf("%v: the kernel answers %d numbers of amd64, want %d", mode, cached[abi.AMD64], want)
		}
	}
}

func benchmarkCompile(b *testing.B, name string, abis ...abi.ABI) {
	_, program := benchmarkPolicy(b, name, false, abis...)
	b.ReportAllocs()
	least := time.Hour // tells more than the mean on a machine that others use
	for b.Loop() {
		start := time.Now()
		program(Options{})
		least = min(least, time.Since(start))
	}
	b.ReportMetric(float64(least.Nanoseconds()), "least-ns/op")
}

func BenchmarkCompileP1(b *testing.B) { benchmarkCompile(b, "P1", abi.AMD64) }
func BenchmarkCompileP2(b *testing.B) { benchmarkCompile(b, "P2", abi.AMD64) }
func BenchmarkCompileP3(b *testing.B) { benchmarkCompile(b, "P3", abi.AMD64) }
func BenchmarkCompileP4(b *testing.B) { benchmarkCompile(b, "P4", abi.AMD64) }

func BenchmarkCompileP1ThreeABIs(b *testing.B) {
	benchmarkCompile(b, "P1", abi.AMD64, abi.I386, abi.X32)
}
