package seccomp_test

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/seccomp"
)

func TestActionText(t *testing.T) {
	for _, test := range []struct {
		action seccomp.Action
		text   string
	}{
		{seccomp.ActionKillThread, "kill_thread"},
		{seccomp.ActionKillProcess, "kill_process"},
		{seccomp.ActionTrap, "trap"},
		{seccomp.ActionErrno, "errno"},
		{seccomp.ActionTrace, "trace"},
		{seccomp.ActionLog, "log"},
		{seccomp.ActionAllow, "allow"},
		{seccomp.ActionUserNotify, "user_notify"},
		{seccomp.ActionErrno | 13, "errno(EACCES)"},
		{seccomp.ActionErrno | 1, "errno(EPERM)"},
		{seccomp.ActionErrno | 4095, "errno(4095)"},
		{seccomp.ActionTrap | 7, "trap(7)"},
		{seccomp.ActionTrace | 0xffff, "trace(65535)"},
	} {
		if got := test.action.String(); got != test.text {
			t.Errorf("%#x is %q, want %q", uint32(test.action), got, test.text)
		}
		for _, s := range []string{test.text, strings.ToUpper(test.text), strings.ToLower(test.text)} {
			var got seccomp.Action = 99
			if err := got.Unpack(s); err != nil || got != test.action {
				t.Errorf("Unpack(%q) = %#x, %v; want %#x", s, uint32(got), err, uint32(test.action))
			}
		}
	}
}

func TestActionUnknown(t *testing.T) {
	for _, a := range []seccomp.Action{1, 0x10000, 0x7fff0001, 0x7ffc0001, 0x7fc00001, 0x80000001, 0x50000 | 4096, 0xffffffff} {
		if got := a.String(); got != "unknown" {
			t.Errorf("%#x is %q", uint32(a), got)
		}
	}
}

func TestUnpackErrors(t *testing.T) {
	for _, test := range []struct {
		into interface{ Unpack(string) error }
		text string
		want string
	}{
		{new(seccomp.Action), "Deny", "invalid action: deny"},
		{new(seccomp.Action), "", "invalid action: "},
		{new(seccomp.Action), "unknown", "invalid action: unknown"},
		{new(seccomp.Action), " allow", "invalid action:  allow"},
		{new(seccomp.Action), "327681", "invalid action: 327681"},
		{new(seccomp.Action), "fake_success", "invalid action: fake_success"},
		{new(seccomp.Action), "errno(EWHAT)", "invalid action: errno(ewhat): "},
		{new(seccomp.Action), "errno(0)", "invalid action: errno(0): "},
		{new(seccomp.Action), "errno(4096)", "invalid action: errno(4096): "},
		{new(seccomp.Action), "trap(65536)", "invalid action: trap(65536): "},
		{new(seccomp.Action), "allow(1)", "invalid action: allow(1): "},
		{new(seccomp.Action), "()", "invalid action: (): "},
		{new(seccomp.Operation), "Above", "invalid operation: above"},
		{new(seccomp.Operation), "", "invalid operation: "},
		{new(seccomp.FilterFlag), "Sync", "invalid flag: sync"},
		{new(seccomp.FilterFlag), "tsync|", "invalid flag: tsync|"},
		{new(seccomp.FilterFlag), "4", "invalid flag: 4"},
		{new(seccomp.FilterFlag), "unknown", "invalid flag: unknown"},
	} {
		before := reflect.ValueOf(test.into).Elem().Interface()
		err := test.into.Unpack(test.text)
		if err == nil || err.Error() != test.want && !(strings.HasSuffix(test.want, ": ") && strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("Unpack(%q): %v, want %q", test.text, err, test.want)
		}
		if after := reflect.ValueOf(test.into).Elem().Interface(); after != before {
			t.Errorf("Unpack(%q) failed and left %v", test.text, after)
		}
	}
}

func TestOperationText(t *testing.T) {
	if len(seccomp.Operations) != 8 {
		t.Fatalf("operations %v", seccomp.Operations)
	}
	for _, o := range seccomp.Operations {
		for _, s := range []string{string(o), strings.ToLower(string(o)), strings.ToUpper(string(o))} {
			var got seccomp.Operation
			if err := got.Unpack(s); err != nil || got != o {
				t.Errorf("Unpack(%q) = %v, %v", s, got, err)
			}
		}
	}
}

func TestFilterFlagText(t *testing.T) {
	for flag, want := range map[seccomp.FilterFlag]string{
		0:                           "",
		seccomp.FilterFlagTSync:     "tsync",
		seccomp.FilterFlagLog:       "log",
		3:                           "tsync|log",
		4:                           "unknown",
		seccomp.FilterFlagTSync | 8: "tsync|unknown",
		0xffffffff:                  "tsync|log|unknown",
	} {
		if got := flag.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint32(flag), got, want)
		}
	}
	for text, want := range map[string]seccomp.FilterFlag{
		"": 0, "tsync": 1, "TSYNC": 1, "log": 2, "log|tsync": 3, "tsync | log": 3, "0": 0, "1": 1, "3": 3, "0x2": 2,
	} {
		var got seccomp.FilterFlag = 99
		if err := got.Unpack(text); err != nil || got != want {
			t.Errorf("Unpack(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

// actions draws the actions that the kernel knows, with data.
func actions() *rapid.Generator[seccomp.Action] {
	return rapid.OneOf(
		rapid.SampledFrom([]seccomp.Action{
			seccomp.ActionKillThread, seccomp.ActionKillProcess, seccomp.ActionTrap, seccomp.ActionErrno,
			seccomp.ActionTrace, seccomp.ActionLog, seccomp.ActionAllow, seccomp.ActionUserNotify,
		}),
		rapid.Custom(func(t *rapid.T) seccomp.Action {
			return seccomp.ActionErrno | seccomp.Action(rapid.Uint16Range(1, 4095).Draw(t, "errno"))
		}),
		rapid.Custom(func(t *rapid.T) seccomp.Action {
			kind := rapid.SampledFrom([]seccomp.Action{seccomp.ActionTrap, seccomp.ActionTrace}).Draw(t, "kind")
			return kind | seccomp.Action(rapid.Uint16().Draw(t, "data"))
		}),
	)
}

// Every value reads back what it writes, as text, JSON and YAML.
func TestValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		action := actions().Draw(t, "action")
		flag := seccomp.FilterFlag(rapid.Uint32Range(0, 3).Draw(t, "flag"))
		operation := rapid.SampledFrom(seccomp.Operations).Draw(t, "operation")
		roundTrip(t, action)
		roundTrip(t, flag)
		roundTrip(t, operation)
	})
}

func roundTrip[T comparable](t *rapid.T, v T) {
	text, err := any(v).(encoding.TextMarshaler).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var fromText T
	if err := any(&fromText).(encoding.TextUnmarshaler).UnmarshalText(text); err != nil || fromText != v {
		t.Fatalf("text %q: read %v, %v; want %v", text, fromText, err, v)
	}
	inJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON T
	if err := json.Unmarshal(inJSON, &fromJSON); err != nil || fromJSON != v {
		t.Fatalf("JSON %s: read %v, %v; want %v", inJSON, fromJSON, err, v)
	}
	inYAML, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML T
	if err := yaml.Unmarshal(inYAML, &fromYAML); err != nil || fromYAML != v {
		t.Fatalf("YAML %q: read %v, %v; want %v", inYAML, fromYAML, err, v)
	}
}

// Numbers were the only form that encoding/json read before there was one with
// names.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]seccomp.Action{"0": 0, "327680": seccomp.ActionErrno, "327693": seccomp.ActionErrno | 13, "2147483648": seccomp.ActionKillProcess} {
		var fromJSON, fromYAML seccomp.Action = 99, 99
		if err := json.Unmarshal([]byte(text), &fromJSON); err != nil || fromJSON != want {
			t.Errorf("JSON %s: %v, %v", text, fromJSON, err)
		}
		if err := yaml.Unmarshal([]byte(text), &fromYAML); err != nil || fromYAML != want {
			t.Errorf("YAML %s: %v, %v", text, fromYAML, err)
		}
	}
	for _, text := range []string{"1", "-1", "1.5", "4294967296", "null", "{}", "[]", "true"} {
		var action seccomp.Action
		if err := json.Unmarshal([]byte(text), &action); err == nil {
			t.Errorf("JSON %s is action %v", text, action)
		}
	}
	var flag seccomp.FilterFlag
	if err := json.Unmarshal([]byte("3"), &flag); err != nil || flag != 3 {
		t.Errorf("JSON 3: %v, %v", flag, err)
	}
	if err := json.Unmarshal([]byte("null"), &flag); err == nil {
		t.Errorf("JSON null is flag %v", flag)
	}
}

func FuzzUnpack(f *testing.F) {
	for _, s := range []string{"errno", "errno(EACCES)", "trap(0x7)", "ERRNO(4095)", "errno(", "tsync|log", "0x3", "BitsSet", "allow()", "errno(\x00)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var action, again seccomp.Action
		if err := action.Unpack(s); err == nil {
			if err := again.Unpack(action.String()); err != nil || again != action {
				t.Errorf("%q is %v, which reads as %v, %v", s, action, again, err)
			}
		}
		var flag, sameFlag seccomp.FilterFlag
		if err := flag.Unpack(s); err == nil {
			if err := sameFlag.Unpack(flag.String()); err != nil || sameFlag != flag {
				t.Errorf("%q is %v, which reads as %v, %v", s, flag, sameFlag, err)
			}
		}
		var operation seccomp.Operation
		if err := operation.Unpack(s); err == nil && !strings.EqualFold(string(operation), s) {
			t.Errorf("%q is %v", s, operation)
		}
	})
}
