package image

import "testing"

// goText returns the code of the go command and its address.
func goText(t testing.TB) ([]byte, uint64) {
	needAMD64(t)
	return textOf(t, goTool(t, "go"))
}

func BenchmarkDecode(b *testing.B) {
	code, addr := goText(b)
	b.SetBytes(int64(len(code)))
	n := 0
	for b.Loop() {
		for i := 0; i < len(code); n++ {
			in := DecodeAMD64(code[i:], addr+uint64(i))
			i += int(in.Len)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/inst")
}

func BenchmarkSweep(b *testing.B) {
	code, addr := goText(b)
	b.SetBytes(int64(len(code)))
	var in Inst
	n := 0
	for b.Loop() {
		for s := NewSweep(code, addr); s.Next(&in); n++ {
		}
	}
	b.ReportMetric(float64(n)/float64(b.N), "stops")
}
