package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
)

func TestMerge(t *testing.T) {
	a := &Set{
		ABI: abi.AMD64, Sources: []string{"a"}, Programs: []string{"a"}, Sound: true, Assumptions: []string{"x"},
		Calls: []Call{{NR: 0, Name: "read", Class: Certain, Evidence: "a reads"}, {NR: 3, Name: "close", Class: Implicit, Evidence: "a closes"}},
	}
	b := &Set{
		ABI: abi.AMD64, Sources: []string{"b"}, Programs: []string{"b"}, Sound: true, Assumptions: []string{"x", "y"},
		Calls: []Call{{NR: 0, Name: "read", Class: Certain, Evidence: "b reads"}, {NR: 1, Name: "write", Class: Assumed, Evidence: "b writes"}, {NR: 3, Name: "close", Class: Certain, Evidence: "b closes"}},
	}
	got, err := Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := &Set{
		ABI: abi.AMD64, Sources: []string{"a", "b"}, Programs: []string{"a", "b"}, Sound: true, Assumptions: []string{"x", "y"},
		Calls: []Call{{NR: 0, Name: "read", Class: Certain, Evidence: "a reads"}, {NR: 1, Name: "write", Class: Assumed, Evidence: "b writes", By: []string{"b"}}, {NR: 3, Name: "close", Class: Certain, Evidence: "b closes"}},
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

// Programs of several ABIs are one set for each, 64 bits first.
func TestMergeABIs(t *testing.T) {
	set := func(on abi.ABI, source string, calls ...Call) *Set {
		return &Set{ABI: on, Programs: []string{source}, Sound: true, Calls: calls}
	}
	read := Call{NR: 3, Name: "read", Class: Certain}
	got, err := MergeABIs(set(abi.I386, "a", read), set(abi.AMD64, "b"), set(abi.I386, "c", read), set(abi.I386, "d"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].ABI != abi.AMD64 || got[1].ABI != abi.I386 {
		t.Fatalf("sets %+v, want one of amd64, one of 386", got)
	}
	if diff := cmp.Diff([]string{"a", "c"}, got[1].Makers(got[1].Calls[0])); diff != "" {
		t.Errorf("makers of read (-want +got):\n%s", diff)
	}
}
