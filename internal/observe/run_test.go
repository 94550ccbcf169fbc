package observe

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sysgate/sysgate/abi"
)

// number returns the number of a call.
func number(t testing.TB, a abi.ABI, name string) uint32 {
	t.Helper()
	nr, ok := a.Lookup(name)
	if !ok {
		t.Fatalf("%v has no %s", a, name)
	}
	return nr
}

func TestModesNameArguments(t *testing.T) {
	for name, args := range modeArgs {
		for _, arg := range args {
			found := false
			for _, a := range abi.All() {
				if nr, ok := a.Lookup(name); ok {
					if _, ok := a.ArgIndex(nr, arg); ok {
						found = true
					}
				}
			}
			if !found {
				t.Errorf("no ABI has %s(%s)", name, arg)
			}
		}
	}
	masks, ok := Modes(abi.AMD64, number(t, abi.AMD64, "socket"))
	if want := [6]uint64{0xffffffff, 0xffffffff, 0xffffffff}; !ok || masks != want {
		t.Errorf("modes of socket: %x, %v", masks, ok)
	}
	if masks, ok := Modes(abi.AMD64, number(t, abi.AMD64, "read")); ok {
		t.Errorf("modes of read: %x", masks)
	}
}

// aRun has every kind of call: with values, with too many, with none, of another
// ABI, and without a name.
func aRun(t testing.TB) *Run {
	var tally Tally
	socket := number(t, abi.AMD64, "socket")
	tally.Add(abi.AMD64, socket, [6]uint64{2, 1, 0, 0xdead}, 2)
	tally.Add(abi.AMD64, socket, [6]uint64{0xabcd_0000_0001, 1, 0}, 1) // high bits are not read
	tally.Add(abi.AMD64, socket, [6]uint64{1, 1, 0}, 1)
	for i := range uint64(maxValues + 1) {
		tally.Add(abi.AMD64, number(t, abi.AMD64, "ioctl"), [6]uint64{0, i}, 1)
	}
	m, isNew := tally.Add(abi.I386, number(t, abi.I386, "mkdir"), [6]uint64{}, 1)
	if !isNew {
		t.Error("mkdir is not new")
	}
	m.Denied, m.Exe, m.Stack = 1, "/bin/a b", []string{"main.main+0x12"}
	tally.Call(abi.AMD64, 6000)
	return &Run{
		Source: "a b", Recorder: "test", Start: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Calls: tally.Calls(),
		Lost: 3, Doubts: []string{"some"},
	}
}

func TestTally(t *testing.T) {
	var lines []string
	for _, c := range aRun(t).Calls {
		lines = append(lines, fmt.Sprintf("%v %s %d %v %d", c.ABI, c.Name, c.Count, c.Open, c.Values))
	}
	want := []string{
		"386 mkdir 1 false []",
		"amd64 ioctl 65 true []",
		"amd64 socket 4 false [{[1 1 0 0 0 0] 2} {[2 1 0 0 0 0] 2}]",
		"amd64  0 false []",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestStream(t *testing.T) {
	first := aRun(t)
	second := &Run{Source: "other", Recorder: "test"}
	var b bytes.Buffer
	for _, r := range []*Run{first, second} {
		if err := WriteRun(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	if !IsStream(b.Bytes()) {
		t.Errorf("not taken for a stream: %.40s", b.String())
	}
	got, err := ReadRuns(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*Run{first, second}, got); diff != "" {
		t.Errorf("runs (-written +read):\n%s", diff)
	}
}

func TestStreamErrors(t *testing.T) {
	const head = `{"run":{"version":1,"source":"a","recorder":"b"}}` + "\n"
	for text, want := range map[string]string{
		`{"call":{"abi":"amd64","nr":0}}`:                       "line 1: a call before",
		`{"run":{"version":2}}`:                                 "line 1: version 2",
		head + `{}`:                                             "line 2: neither",
		head + `{"call":{"abi":"z80","nr":0}}`:                  `unknown ABI "z80"`,
		head + `{"call":{"abi":"amd64","nr":0,"name":"write"}}`: `number 0 is "read" on amd64, not "write"`,
		head + `{"call":{"abi":"amd64","nr":41,"values":[{"args":{"0":"0x1","1":"x"}}]}}`: `argument 1 of a value of socket: "x"`,
		head + `{"call":`: "line 2: unexpected end",
	} {
		if _, err := ReadRuns(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestJoin(t *testing.T) {
	socket, read, getpid := number(t, abi.AMD64, "socket"), number(t, abi.AMD64, "read"), number(t, abi.AMD64, "getpid")
	runOf := func(f func(*Tally)) *Run {
		var tally Tally
		f(&tally)
		return &Run{Source: "a", Calls: tally.Calls(), Doubts: []string{"d"}, Lost: 1}
	}
	runs := []*Run{
		runOf(func(t *Tally) {
			t.Add(abi.AMD64, socket, [6]uint64{1, 1}, 1)
			t.Add(abi.AMD64, read, [6]uint64{}, 5)
		}),
		runOf(func(t *Tally) { t.Add(abi.AMD64, socket, [6]uint64{2, 1}, 3) }),
		runOf(func(t *Tally) { t.Add(abi.AMD64, socket, [6]uint64{2, 1}, 4) }),
	}
	static := &Set{ABI: abi.AMD64, Sources: []string{"bin"}, Sound: true, Calls: []Call{{NR: read, Name: "read", Class: Certain, Evidence: "main"}, {NR: getpid, Name: "getpid", Class: Implicit, Evidence: "libc"}}}
	got := Join(runs, []*Set{static})
	want := &Together{
		Runs: 3, Sources: []string{"a", "bin"}, Lost: 3, Doubts: []string{"d"}, Sound: true,
		Calls: []MadeOften{
			{Made: Made{ABI: abi.AMD64, NR: read, Name: "read", Count: 5}, Runs: 1, Static: "certain: main"},
			{Made: Made{ABI: abi.AMD64, NR: getpid, Name: "getpid"}, Static: "implicit: libc"},
			{Made: Made{ABI: abi.AMD64, NR: socket, Name: "socket", Count: 8, Values: []Value{{[6]uint64{1, 1}, 1}, {[6]uint64{2, 1}, 7}}}, Runs: 3},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("join (-want +got):\n%s", diff)
	}
	if again := Join(runs, nil); again.Sound {
		t.Error("runs alone are sound")
	}
}

func FuzzReadRuns(f *testing.F) {
	var b bytes.Buffer
	if err := WriteRun(&b, aRun(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		runs, err := ReadRuns(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		for _, r := range runs {
			if err := WriteRun(&b, r); err != nil {
				t.Fatal(err)
			}
		}
		again, err := ReadRuns(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(runs, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("what was read reads differently when written:\n%s", diff)
		}
	})
}
