package image

import (
	"strings"
	"testing"
)

// BenchmarkLoad loads programs of this system with their libraries.
func BenchmarkLoad(b *testing.B) {
	for _, path := range systemPrograms(b) {
		b.Run(path[strings.LastIndexByte(path, '/')+1:], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := Load(path, LoadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				p.Close()
			}
		})
	}
}
