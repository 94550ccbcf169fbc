package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
)

func known(index int, name string, values ...uint64) Arg {
	a := Arg{Index: index, Name: name, Mask: 0xffffffff}
	for _, n := range values {
		a.Values = append(a.Values, ArgValue{n, []string{name}})
	}
	return a
}

// TestMergeArgs checks that an argument is known where each set that has the call
// knows it, and has the values of all.
func TestMergeArgs(t *testing.T) {
	socket := func(args []Arg, open ...OpenArg) *Set {
		return &Set{ABI: abi.AMD64, Calls: []Call{{NR: 41, Name: "socket", Class: Certain, Args: args, Open: open}}}
	}
	for _, tt := range []struct {
		name string
		sets []*Set
		args []Arg
		open []int
	}{
		{"one", []*Set{socket([]Arg{known(0, "domain", 1)})}, []Arg{known(0, "domain", 1)}, nil},
		{"both", []*Set{socket([]Arg{known(0, "domain", 1, 10)}), socket([]Arg{known(0, "domain", 1, 2)})}, []Arg{known(0, "domain", 1, 2, 10)}, nil},
		{"the second open", []*Set{socket([]Arg{known(0, "domain", 1)}), socket(nil, OpenArg{0, "domain", "why"})}, nil, []int{0}},
		{"the first open", []*Set{socket(nil, OpenArg{0, "domain", "why"}), socket([]Arg{known(0, "domain", 1)})}, nil, []int{0}},
		{"the second not asked", []*Set{socket([]Arg{known(0, "domain", 1)}), socket(nil)}, nil, []int{0}},
		{"the first not asked", []*Set{socket(nil), socket([]Arg{known(0, "domain", 1)})}, nil, nil},
		{"another call", []*Set{socket([]Arg{known(0, "domain", 1)}), {ABI: abi.AMD64, Calls: []Call{{NR: 0, Name: "read"}}}}, []Arg{known(0, "domain", 1)}, nil},
		{
			"one of two",
			[]*Set{socket([]Arg{known(0, "domain", 1), known(1, "type", 2)}), socket([]Arg{known(1, "type", 3)}, OpenArg{0, "domain", "why"})},
			[]Arg{known(1, "type", 2, 3)},
			[]int{0},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			merged, err := Merge(tt.sets...)
			if err != nil {
				t.Fatal(err)
			}
			got := merged.Calls[len(merged.Calls)-1]
			var open []int
			for _, o := range got.Open {
				open = append(open, o.Index)
			}
			if diff := cmp.Diff(tt.args, got.Args); diff != "" || !cmp.Equal(open, tt.open) {
				t.Errorf("args (-want +got):\n%s open %v, want %v", diff, open, tt.open)
			}
		})
	}
}

func TestCloseOff(t *testing.T) {
	c := Call{Args: []Arg{known(0, "domain", 1), known(2, "protocol", 0)}, Open: []OpenArg{{1, "type", "before"}}}
	c.CloseOff("now")
	want := []OpenArg{{0, "domain", "now"}, {1, "type", "before"}, {2, "protocol", "now"}}
	if diff := cmp.Diff(want, c.Open); diff != "" || c.Args != nil {
		t.Errorf("args %v, open (-want +got):\n%s", c.Args, diff)
	}
}
