package refine

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

func action(t *testing.T, text string) *policy.Action {
	t.Helper()
	a, err := policy.ParseAction(text)
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

func TestParseList(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []Item
	}{
		{"", nil},
		{"# nothing\n\n", nil},
		{"bind", []Item{{Name: "bind"}}},
		{"bind,listen", []Item{{Name: "bind"}, {Name: "listen"}}},
		{"  bind\tlisten ,, accept # all of them\r\nptrace\n", []Item{{Name: "bind"}, {Name: "listen"}, {Name: "accept"}, {Name: "ptrace"}}},
		{"setuid32 breakpoint", []Item{{Name: "setuid32"}, {Name: "breakpoint"}}},
		{"@systemd/mount", []Item{{Name: "@systemd/mount"}}},
		{
			"bind:kill_process,listen:errno(EACCES),@systemd/mount:log",
			[]Item{{"bind", action(t, "kill_process")}, {"listen", action(t, "errno(EACCES)")}, {"@systemd/mount", action(t, "log")}},
		},
	} {
		got, err := ParseList("list", tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestParseListErrors(t *testing.T) {
	for _, tt := range []struct {
		text, pos, msg, hint string
	}{
		{"bnd", "list:1:1", `unknown system call "bnd"`, `did you mean "bind"?`},
		{"read\n# ok\n write, wirte", "list:3:9", `unknown system call "wirte"`, `did you mean "write"?`},
		{"@bind", "list:1:1", `unknown set "@bind"`, "sysgate sets"},
		{"@docker/default", "list:1:1", `the set "@docker/default" has conditions`, "under names in a policy"},
		{"bind:", "list:1:1", `"" is no action`, "kill_process"},
		{"bind:maim", "list:1:1", `"maim" is no action`, "kill_process"},
		{"xyzzyxyzzyxyzzy", "list:1:1", "unknown system call", ""},
	} {
		_, err := ParseList("list", tt.text)
		var e *policy.Error
		if !errors.As(err, &e) {
			t.Errorf("%q: error %v, want a *policy.Error", tt.text, err)
			continue
		}
		if e.Pos.String() != tt.pos || !strings.Contains(e.Msg, tt.msg) || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%q: error %q at %v, hint %q; want %q at %s, hint %q", tt.text, e.Msg, e.Pos, e.Hint, tt.msg, tt.pos, tt.hint)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("bind,listen:kill_process # x\n@systemd/mount")
	f.Add("a:b:c,,:\n#")
	f.Fuzz(func(t *testing.T, text string) {
		items, err := ParseList("list", text)
		if err != nil {
			_ = err.Error()
			return
		}
		for _, item := range items {
			if _, ok := policy.Set(item.Name); !ok && !abi.Known(item.Name) {
				t.Errorf("%q gave the unknown name %q", text, item.Name)
			}
		}
	})
}

func TestNames(t *testing.T) {
	machine := []abi.ABI{abi.AMD64, abi.I386, abi.X32}
	for _, tt := range []struct {
		list      string
		on        []abi.ABI
		names     []string
		elsewhere []string
	}{
		{"bind", machine, []string{"bind"}, nil},
		{"setuid", []abi.ABI{abi.AMD64}, []string{"setuid"}, nil},
		{"setuid", machine, []string{"setuid", "setuid32"}, nil},
		{"setuid32", machine, []string{"setuid", "setuid32"}, nil},
		{"newstat", []abi.ABI{abi.AMD64}, []string{"stat"}, nil},
		{"send", machine, []string{"send"}, nil}, // 386 has it in socketcall only
		{"send", []abi.ABI{abi.AMD64}, nil, []string{"send"}},
		{"breakpoint,bind,breakpoint", machine, []string{"bind"}, []string{"breakpoint"}},
		{"@systemd/reboot", []abi.ABI{abi.AMD64}, []string{"kexec_file_load", "kexec_load", "reboot"}, nil},
	} {
		items, err := ParseList("list", tt.list)
		if err != nil {
			t.Fatal(err)
		}
		names, elsewhere := Names(items, tt.on...)
		if diff := cmp.Diff(tt.names, names); diff != "" {
			t.Errorf("%s on %v: names (-want +got):\n%s", tt.list, tt.on, diff)
		}
		if diff := cmp.Diff(tt.elsewhere, elsewhere); diff != "" {
			t.Errorf("%s on %v: elsewhere (-want +got):\n%s", tt.list, tt.on, diff)
		}
	}
}
