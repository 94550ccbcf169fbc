package compile

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestFigures holds the programs of the benchmark policies to sizes, and to all
// constant allows being answered by the kernel's bitmap. Counts do not depend on
// the machine.
func TestFigures(t *testing.T) {
	tests := []struct {
		name                        string
		abis                        []abi.ABI
		instructions, worst, cached int
		mean                        float64 // executed, over the known numbers, all arguments 0
	}{
		{"P1", []abi.ABI{abi.AMD64}, 72, 19, 306, 9.5},
		{"P2", []abi.ABI{abi.AMD64}, 68, 13, 110, 10.1},
		{"P3", []abi.ABI{abi.AMD64}, 126, 19, 37, 9.4},
		{"P4", []abi.ABI{abi.AMD64}, 105, 23, 44, 9.4},
		{"P1", []abi.ABI{abi.AMD64, abi.I386, abi.X32}, 290, 30, 306, 11},
	}
	for _, test := range tests {
		r := testkit.BenchmarkPolicy(t, test.name, test.abis...)
		program, err := Compile(r)
		if err != nil {
			t.Fatal(err)
		}
		steps, count, worst, allowed := 0, 0, 0, 0
		for nr := range abi.AMD64.Syscalls() {
			c := abi.Call{NR: nr, Arch: abi.AMD64.AuditArch()}
			steps += program.Run(c, false).Steps
			count++
			if cached(program, c) {
				allowed++
			}
		}
		calls := testkit.NewCallGen(r, 1)
		for range 50_000 {
			c := calls.Next()
			result := program.Run(c, false)
			if want := r.Eval(c).Action; result.Return != want {
				t.Fatalf("%s: %+v: got %v, want %v", test.name, c, result.Return, want)
			}
			worst = max(worst, result.Steps)
		}
		mean := float64(steps) / float64(count)
		t.Logf("%s %v: %d instructions, executed: at most %d, mean %.2f; %d numbers of amd64 cached", test.name, test.abis, len(program), worst, mean, allowed)
		if len(program) > test.instructions || worst > test.worst || mean > test.mean || allowed != test.cached {
			t.Errorf("want at most %d instructions, %d executed, mean %.2f; %d cached", test.instructions, test.worst, test.mean, test.cached)
		}
	}
}

func benchmarkCompile(b *testing.B, name string, abis ...abi.ABI) {
	r := testkit.BenchmarkPolicy(b, name, abis...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileP1(b *testing.B) { benchmarkCompile(b, "P1", abi.AMD64) }
func BenchmarkCompileP2(b *testing.B) { benchmarkCompile(b, "P2", abi.AMD64) }
func BenchmarkCompileP3(b *testing.B) { benchmarkCompile(b, "P3", abi.AMD64) }
func BenchmarkCompileP4(b *testing.B) { benchmarkCompile(b, "P4", abi.AMD64) }

func BenchmarkCompileP1ThreeABIs(b *testing.B) {
	benchmarkCompile(b, "P1", abi.AMD64, abi.I386, abi.X32)
}
