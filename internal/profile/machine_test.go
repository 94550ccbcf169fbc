package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/image"
)

// analysed opens a program and resolves its sites.
func analysed(t testing.TB, path string) *analysis {
	t.Helper()
	p, err := image.Load(path, image.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	s, err := sweep(p, newSummaries(nil), func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	a, err := newAnalysis(p, s)
	if err != nil {
		t.Fatal(err)
	}
	if a.native {
		a.reach = a.graph()
	}
	a.resolveAll(func(int, int) {})
	return a
}

// A machineTest is what number the site of a function can have, or why it is not
// known.
type machineTest struct {
	fn      string
	numbers []uint32
	reason  string
}

// machineTests are those of testdata/machine on every machine.
var machineTests = []machineTest{
	{"partial", []uint32{201}, ""},
	{"swapped", []uint32{202}, ""},
	{"conditional", []uint32{203, 204}, ""},
	{"pushed", []uint32{205}, ""},
	{"pointed", []uint32{206}, ""},
	{"shifted", []uint32{207}, ""},
	{"looped", []uint32{208}, ""},
	{"copied", []uint32{209}, ""},
	{"tabled", nil, "read from a table"},
	{"tail", []uint32{212}, ""},
	{"wrapped", []uint32{213}, ""},
	{"jumped", []uint32{214, 215}, ""},
	{"zeroed", []uint32{216}, ""},
	{"added", []uint32{217}, ""},
	{"negated", []uint32{218}, ""},
	{"constantWord", []uint32{219}, ""},
	{"dead", []uint32{220}, ""},
	{"deadUnknown", nil, "no way is known that leads here"},
	{"unknownRegister", nil, "not followed"},
	{"highByte", nil, "not followed"},
	{"partlyWritten", nil, "written in part"},
	{"setBetween", []uint32{221}, "the result of another system call"},
	{"dispatched", []uint32{224, 225}, ""},
	{"strayTarget", nil, "entered in its middle"},
}

// ownMachineTests are those that a machine has alone, or its own way.
var ownMachineTests = map[string][]machineTest{
	"amd64": {
		{"far", nil, "may jump anywhere"},
		{"farSkipped", []uint32{238}, ""},
		{"hidden", nil, "inside another, and a jump leads into one"},
		{"bitSet", nil, "near to a table that main.bitSet writes"},
		{"legacy", nil, "32-bit system call"},
		{"fast", nil, "32-bit system call"},
	},
	"arm": {
		{"literal", []uint32{0xf0002}, ""},
		{"perhaps", []uint32{226, 227}, ""},
		{"block", nil, "a stack whose depth is not known"},
		{"oldABI", nil, "not followed"},
	},
	"arm64": {
		{"hidden", []uint32{233}, ""},
		{"bitSet", nil, "whose address is taken in main.bitSet"},
		{"legacy", []uint32{20}, ""},
		{"fast", []uint32{20}, ""},
		{"paired", []uint32{226, 227, 227}, ""},
		{"bothPaired", nil, "written through a pointer"},
		{"largeFrame", []uint32{229}, ""},
		{"constantLoaded", []uint32{230}, ""},
		{"belowStack", nil, "written through a pointer"},
		{"stored", []uint32{231, 232}, ""},
		{"movedWide", nil, "not followed"},
		{"framePassed", nil, "address is known to a callee"},
	},
	"386": {
		{"sockets", []uint32{102, 102}, ""},
		{"vsyscall", []uint32{239}, ""},
		{"far", nil, "may jump anywhere"},
		{"farSkipped", []uint32{238}, ""},
		{"hidden", nil, "inside another, and a jump leads into one"},
		{"bitSet", nil, "near to a table that main.bitSet writes"},
		{"legacy", []uint32{20}, ""},
		{"fast", []uint32{20}, ""},
		{"allPushed", nil, "not followed"},
		{"constantAddress", []uint32{219}, ""},
		{"tableWritten", nil, "near to a table that main.tableWritten writes"},
		{"tableRead", []uint32{219}, ""},
		{"passedAddress", []uint32{229}, ""},
		{"taken", nil, "whose address is taken in main.passedAddress"},
		{"stored", []uint32{230, 231}, ""},
	},
}

// TestMachine checks value flow through code that only an assembler writes.
func TestMachine(t *testing.T) {
	for arch, own := range ownMachineTests {
		t.Run(arch, func(t *testing.T) {
			testMachine(t, arch, slices.Concat(machineTests, own))
		})
	}
}

func testMachine(t *testing.T, arch string, tests []machineTest) {
	a := analysed(t, build(t, "./testdata/machine", []string{"GOARCH=" + arch}))
	numbers, reasons := map[string][]uint32{}, map[string][]string{}
	for nr, links := range a.numbers {
		for _, l := range links {
			name := a.prog.Name(l.fn)
			numbers[name] = append(numbers[name], nr)
		}
	}
	for _, l := range a.lost {
		name := a.prog.Name(l.at.fn)
		reasons[name] = append(reasons[name], l.why.reason)
	}
	for _, tt := range tests {
		t.Run(tt.fn, func(t *testing.T) {
			got := slices.Sorted(slices.Values(numbers["main."+tt.fn]))
			if !slices.Equal(got, tt.numbers) {
				t.Errorf("numbers %v, want %v", got, tt.numbers)
			}
			why := strings.Join(append(reasons["main."+tt.fn], reasons[tt.fn]...), "; ")
			if tt.reason == "" && why != "" || !strings.Contains(why, tt.reason) {
				t.Errorf("reason %q, want %q", why, tt.reason)
			}
		})
	}
}

// TestModels checks that each model recognises its function in a program that
// links it, and that its source is one that links it too: the numbers are those
// of the source's callers.
func TestModels(t *testing.T) {
	for _, tt := range []struct {
		pkg    string
		source bool
	}{{"./testdata/hello", false}, {"./testdata/setid", true}} {
		a := analysed(t, build(t, tt.pkg, nil))
		for _, m := range models {
			if m.kept { // of old releases: TestReleases
				continue
			}
			lost := slices.DeleteFunc(slices.Clone(a.lost), func(l lostSite) bool { return a.prog.Name(l.at.fn) != m.site })
			if len(lost) != 1 || !a.modelled(lost[0]) {
				t.Errorf("%s: %s: %d sites, none modelled", tt.pkg, m.site, len(lost))
			}
			linked := slices.ContainsFunc(a.prog.Funcs, func(image.Func) bool { return false })
			for i := range a.prog.Funcs {
				linked = linked || a.prog.Name(i) == m.source
			}
			if linked != tt.source {
				t.Errorf("%s: %s linked: %v", tt.pkg, m.source, linked)
			}
		}
		for i := range a.lost {
			if !a.modelled(a.lost[i]) {
				t.Errorf("%s: %s is not modelled", tt.pkg, a.prog.Name(a.lost[i].at.fn))
			}
		}
	}
	// The same loss anywhere else is one.
	a := analysed(t, build(t, "./testdata/hello", nil))
	for i := range a.prog.Funcs {
		if a.prog.Name(i) == "main.main" {
			if at := (&link{fn: i, addr: a.entry(i), next: a.lost[0].at.next}); a.modelled(lostSite{at: at}) {
				t.Error("main.main is modelled")
			}
		}
	}
}

// TestReturns checks which functions are known not to come back.
func TestReturns(t *testing.T) {
	want := map[string]bool{
		"runtime.panicdivide": false, "runtime.panicIndex": false, "runtime.exitThread": false, "runtime.gopanic": false, "runtime.throw": false,
		"runtime.mcall": true, "runtime.breakpoint": true, "runtime.Gosched": true, "runtime.gopark": true, "runtime.systemstack": true,
		"fmt.Println": true, "runtime.mallocgc": true, "runtime.memmove": true, "runtime.morestack": true,
	}
	a := analysed(t, build(t, "./testdata/adversary", nil))
	want["main.recovers"] = true
	for i := range a.prog.Funcs {
		if w, ok := want[a.prog.Name(i)]; ok && a.returns(a.entry(i)) != w {
			t.Errorf("%s returns: %v", a.prog.Name(i), !w)
		}
	}
}
