package image

import "testing"

// BenchmarkSweepRISC sweeps the code of a Go program for each machine with
// instructions of one or two sizes.
func BenchmarkSweepRISC(b *testing.B) {
	for _, m := range []struct {
		arch  string
		sweep func(code []byte, addr uint64) *Sweep
	}{
		{"arm64", NewSweepARM64},
		{"arm", func(code []byte, addr uint64) *Sweep { return NewSweepARM(code, addr, Range{0x10000, 0x1000000}) }},
		{"riscv64", NewSweepRISCV64},
	} {
		b.Run(m.arch, func(b *testing.B) {
			code, addr := textOf(b, buildFor(b, "cmd/gofmt", "GOARCH="+m.arch))
			b.SetBytes(int64(len(code)))
			var in Inst
			n := 0
			for b.Loop() {
				for s := m.sweep(code, addr); s.Next(&in); n++ {
				}
			}
			b.ReportMetric(float64(n)/float64(b.N), "stops")
		})
	}
}
