package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/observe"
)

// TestSocketCalls checks what socketcall of 386 is said to be for.
func TestSocketCalls(t *testing.T) {
	r := mustProfile(t, build(t, "./testdata/serve", []string{"GOARCH=386"}))
	i := slices.IndexFunc(r.Set.Calls, func(c observe.Call) bool { return c.Name == "socketcall" })
	if i < 0 {
		t.Fatal("socketcall is missing")
	}
	if e := r.Set.Calls[i].Evidence; r.OtherSockets || strings.Contains(e, "others") || !strings.Contains(e, "accept4, bind, connect") {
		t.Errorf("others %v, evidence %q", r.OtherSockets, e)
	}
	for _, name := range []string{"socket", "bind", "listen", "accept4", "getsockname"} {
		steps := r.Path(name)
		if len(steps) == 0 || steps[0].Func != "main.main" || !strings.HasSuffix(steps[len(steps)-1].Func, "socketcall") {
			t.Errorf("the path to %s is %v", name, steps)
		}
		if names(r)[name] {
			t.Errorf("%s is in the set by its own number", name)
		}
	}
	for _, name := range []string{"recvmmsg", "socketpair", "send"} {
		if len(r.Path(name)) > 0 {
			t.Errorf("a path to %s: %v", name, r.Path(name))
		}
	}
	for _, pkg := range []string{"./testdata/hello", "./testdata/machine"} {
		r := mustProfile(t, build(t, pkg, []string{"GOARCH=386"}))
		if want := pkg == "./testdata/machine"; r.OtherSockets != want || want != names(r)["socketcall"] {
			t.Errorf("%s: others %v, socketcall %v", pkg, r.OtherSockets, names(r)["socketcall"])
		}
	}
	if r := mustProfile(t, build(t, "./testdata/serve", nil)); r.OtherSockets {
		t.Error("amd64 has no socketcall")
	}
}
