package audit

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestSpool: what is put in comes out, in order, whatever the sizes; it is bounded, and
// an error comes last.
func TestSpool(t *testing.T) {
	s := newSpool(1 << 20)
	put, got := 0, 0
	take := func() bool {
		datagram, ok, err := s.take()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return false
		}
		want := fmt.Appendf(nil, "%d", got)
		if got%100 == 99 {
			want = nil
		} else {
			want = append(want, bytes.Repeat([]byte("x"), got%700)...)
		}
		if !bytes.Equal(datagram, want) || (datagram == nil) != (want == nil) {
			t.Fatalf("%d: %q, want %q", got, datagram, want)
		}
		got++
		return true
	}
	for got < 50000 {
		for s.room(1000) {
			if put%100 == 99 {
				s.put(nil)
			} else {
				s.put(append(fmt.Appendf(nil, "%d", put), bytes.Repeat([]byte("x"), put%700)...))
			}
			put++
		}
		for range 1 + put%2000 {
			if !take() {
				break
			}
		}
	}
	if s.bytes > s.limit {
		t.Errorf("%d bytes", s.bytes)
	}
	other := newSpool(1 << 20)
	for range 5 {
		other.put([]byte("x"))
	}
	if _, ok, _ := other.take(); !ok || other.drop() != 4 || other.drop() != 0 || other.bytes != 0 {
		t.Errorf("dropped otherwise: %+v", other)
	}
	s.fail(errors.New("the end"))
	for got < put {
		take()
	}
	if _, ok, err := s.take(); ok || err == nil || s.bytes != 0 {
		t.Errorf("at the end: %v, %v, %d bytes", ok, err, s.bytes)
	}
}
