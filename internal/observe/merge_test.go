package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
)

func TestMerge(t *testing.T) {
	a := &Set{
		ABI: abi.AMD64, Sources: []string{"a"}, Sound: true, Assumptions: []string{"x"},
		Calls: []Call{{0, "read", Certain, "a reads"}, {3, "close", Implicit, "a closes"}},
	}
	b := &Set{
		ABI: abi.AMD64, Sources: []string{"b"}, Sound: true, Assumptions: []string{"x", "y"},
		Calls: []Call{{0, "read", Certain, "b reads"}, {1, "write", Assumed, "b writes"}, {3, "close", Certain, "b closes"}},
	}
	got, err := Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := &Set{
		ABI: abi.AMD64, Sources: []string{"a", "b"}, Sound: true, Assumptions: []string{"x", "y"},
		Calls: []Call{{0, "read", Certain, "a reads"}, {1, "write", Assumed, "b writes"}, {3, "close", Certain, "b closes"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merge (-want +got):\n%s", diff)
	}
	b.Sound = false
	if got, err := Merge(a, b); err != nil || got.Sound {
		t.Errorf("merge with a set that is not sound: sound %v, error %v", got.Sound, err)
	}
	for _, sets := range [][]*Set{nil, {a, {ABI: abi.I386}}} {
		if _, err := Merge(sets...); err == nil {
			t.Errorf("Merge(%v) succeeded", sets)
		}
	}
}
