package image

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestPointerProgram(t *testing.T) {
	for _, tt := range []struct {
		name  string
		prog  []byte
		words int
		want  []byte // nil: damaged
	}{
		{"nothing", []byte{0}, 3, []byte{0}},
		{"bits", []byte{5, 0b10110, 0}, 8, []byte{0b10110}},
		{"bits over a byte", []byte{9, 0xff, 1, 0}, 9, []byte{0xff, 1}},
		{"repeat", []byte{2, 0b10, 0x82, 3, 0}, 8, []byte{0b10101010}},
		{"repeat a long pattern", []byte{2, 0b01, 0x80, 2, 1, 0}, 4, []byte{0b0101}},
		{"a part", []byte{2, 0b01, 0x81, 2, 0}, 4, []byte{0b0001}},
		{"a long count", append(binary.AppendUvarint([]byte{1, 1, 0x81}, 199), 0), 200, bytes.Repeat([]byte{0xff}, 25)},
		{"without end", []byte{1, 1}, 1, nil},
		{"too long", []byte{5, 0, 0}, 4, nil},
		{"cut short", []byte{16, 1}, 16, nil},
		{"repeats what is not there", []byte{1, 1, 0x82, 1, 0}, 8, nil},
		{"repeats too much", []byte{1, 1, 0x81, 9, 0}, 8, nil},
		{"a count without end", []byte{1, 1, 0x81, 0x80}, 8, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := runPointerProgram(tt.prog, tt.words)
			if ok != (tt.want != nil) || ok && !bytes.Equal(got, tt.want) {
				t.Errorf("%08b, %v; want %08b", got, ok, tt.want)
			}
		})
	}
}

func FuzzPointerProgram(f *testing.F) {
	f.Add([]byte{2, 0b10, 0x82, 3, 0}, uint16(8))
	f.Add([]byte{1, 1, 0x80, 0xff, 0xff, 3, 1, 0}, uint16(1000))
	f.Fuzz(func(t *testing.T, prog []byte, words uint16) {
		mask, ok := runPointerProgram(prog, int(words))
		if ok && len(mask) != (int(words)+7)/8 {
			t.Errorf("%d bytes for %d words", len(mask), words)
		}
	})
}
