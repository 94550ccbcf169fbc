package bpf

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBytes(t *testing.T) {
	p := Program{Jump(JeqK, 0xc000003e, 1, 2), Stmt(RetK, 0x7fff0000)}
	tests := []struct {
		bigEndian bool
		want      []byte
	}{
		{false, []byte{0x15, 0, 1, 2, 0x3e, 0, 0, 0xc0, 0x06, 0, 0, 0, 0, 0, 0xff, 0x7f}},
		{true, []byte{0, 0x15, 1, 2, 0xc0, 0, 0, 0x3e, 0, 0x06, 0, 0, 0x7f, 0xff, 0, 0}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, p.Bytes(tt.bigEndian)); diff != "" {
			t.Errorf("bigEndian %v: %s", tt.bigEndian, diff)
		}
		got, err := FromBytes(tt.want, tt.bigEndian)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("bigEndian %v: %s", tt.bigEndian, diff)
		}
	}
}

func TestFromBytesErrors(t *testing.T) {
	if _, err := FromBytes(nil, false); !errors.Is(err, ErrEmpty) {
		t.Errorf("no data: %v", err)
	}
	if _, err := FromBytes(make([]byte, 8*MaxLen+8), false); !errors.Is(err, ErrTooLong) {
		t.Errorf("4097 instructions: %v", err)
	}
	if _, err := FromBytes(make([]byte, 8*MaxLen), false); err != nil {
		t.Errorf("4096 instructions: %v", err)
	}
	for _, n := range []int{1, 7, 9, 8*MaxLen + 1} {
		if _, err := FromBytes(make([]byte, n), false); err == nil {
			t.Errorf("%d bytes: no error", n)
		}
	}
}

func FuzzFromBytes(f *testing.F) {
	f.Add(Program{Stmt(RetK, 1)}.Bytes(true), true)
	f.Add([]byte("123456789"), false)
	f.Fuzz(func(t *testing.T, raw []byte, bigEndian bool) {
		p, err := FromBytes(raw, bigEndian)
		if err != nil {
			return
		}
		if diff := cmp.Diff(raw, p.Bytes(bigEndian)); diff != "" {
			t.Error(diff)
		}
	})
}
