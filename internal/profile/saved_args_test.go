package profile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

func TestSavedArgs(t *testing.T) {
	r := &Result{Set: observe.Set{ABI: abi.AMD64, Sources: []string{"x"}, Sound: true, Calls: []observe.Call{{
		NR: 41, Name: "socket", Class: observe.Conditional, Evidence: "why", Sites: []string{"main.main (m/main.go:1)"},
		Args: []observe.Arg{{Index: 0, Name: "domain", Mask: 0xffffffff, Values: []observe.ArgValue{{N: 1, Sites: []string{"a"}}, {N: 0x10, Sites: []string{"b", "c"}}}}},
		Open: []observe.OpenArg{{Index: 1, Name: "type", Why: "computed"}},
	}}}}
	var b bytes.Buffer
	if err := Save(&b, r); err != nil {
		t.Fatal(err)
	}
	got, err := Load("x", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Set.Calls, got[0].Set.Calls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range [][2]string{
		{`"index": 0`, `"index": 6`},
		{`"bits": "0xffffffff"`, `"bits": "x"`},
		{`"value": "0x10"`, `"value": "0x1"`},
		{`"value": "0x10"`, `"value": "0x100000000"`},
		{`"value": "0x1"`, `"value": "one"`},
	} {
		text := strings.Replace(b.String(), bad[0], bad[1], 1)
		if text == b.String() {
			t.Fatalf("%s is not there", bad[0])
		}
		if _, err := Load("x", []byte(text)); err == nil || !strings.Contains(err.Error(), "call 1: argument") {
			t.Errorf("%s: %v", bad[1], err)
		}
	}
}
