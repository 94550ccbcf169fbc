package build

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

func benchmarkBuild(b *testing.B, abis ...abi.ABI) {
	r := testkit.BenchmarkPolicy(b, "P1", abis...)
	b.ReportAllocs()
	var compile, proof int64
	for b.Loop() {
		f, err := Build(r)
		if err != nil {
			b.Fatal(err)
		}
		compile += f.CompileTime.Nanoseconds()
		proof += f.ProofTime.Nanoseconds()
	}
	b.ReportMetric(float64(compile)/float64(b.N), "compile-ns/op")
	b.ReportMetric(float64(proof)/float64(b.N), "proof-ns/op")
}

func BenchmarkBuildP1(b *testing.B)          { benchmarkBuild(b, abi.AMD64) }
func BenchmarkBuildP1ThreeABIs(b *testing.B) { benchmarkBuild(b, abi.AMD64, abi.I386, abi.X32) }
