package refine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// sawCalls returns evidence of calls: "bind", "386:getpid", "nr:9999".
func sawCalls(t testing.TB, calls ...string) []Seen {
	t.Helper()
	var all []*observe.Violation
	for _, call := range calls {
		v := &observe.Violation{ABI: abi.AMD64, Arch: abi.AMD64.AuditArch(), Name: call, Action: abi.Errno, Exe: "/x", Count: 1}
		if name, ok := strings.CutPrefix(call, "386:"); ok {
			v.ABI, v.Arch, v.Name = abi.I386, abi.I386.AuditArch(), name
		}
		if call == "nr:9999" {
			v.NR, v.Name = 9999, ""
		} else {
			nr, ok := v.ABI.Lookup(v.Name)
			if !ok {
				t.Fatalf("no call %s", call)
			}
			v.NR = nr
		}
		all = append(all, v)
	}
	return Gather(all)
}

func none(string) bool { return false }

// TestAdmitList: names come in their place, comments and order stay.
func TestAdmitList(t *testing.T) {
	for _, tt := range []struct {
		name, list string
		seen       []string
		want       string
	}{
		{"in order", "# head\n\nclose\n# about read\nread\n", []string{"bind", "openat", "write", "read"}, "# head\n\n+bind+close\n+openat+# about read\nread\n+write+"},
		{"no order", "read # often\nclose", []string{"bind", "openat"}, "read # often\nclose\n+bind++openat+"},
		{"several a line", "close, read\n", []string{"bind"}, "close, read\n+bind+"},
		{"other ends of lines", "close\r\nread\r\n", []string{"openat"}, "close\r\n# seen once, errno: /x\r\nopenat\r\nread\r\n"},
		{"empty", "", []string{"bind"}, "+bind+"},
		{"all there", "bind\n", []string{"bind"}, "bind\n"},
		{"a service by another name", "setresuid\n", []string{"386:setresuid32"}, "setresuid\n"},
		{"a set", "@systemd/io-event\n", []string{"epoll_wait"}, "@systemd/io-event\n"},
	} {
		want := tt.want
		for _, call := range tt.seen {
			_, name, found := strings.Cut(":"+call, ":")
			if i := strings.LastIndex(name, ":"); found && i >= 0 {
				name = name[i+1:]
			}
			want = strings.ReplaceAll(want, "+"+name+"+\n", "# seen once, errno: /x\n"+name+"\n")
			want = strings.ReplaceAll(want, "+"+name+"+", "# seen once, errno: /x\n"+name+"\n")
		}
		text, _, err := AdmitList("list", []byte(tt.list), sawCalls(t, tt.seen...), none)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(want, string(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		again, c, err := AdmitList("list", text, sawCalls(t, tt.seen...), none)
		if err != nil || string(again) != string(text) || len(c.Admitted) > 0 {
			t.Errorf("%s: a second time: %v\n%s", tt.name, err, again)
		}
	}
}

// TestAdmitListApart: what is dangerous, decided, or has no name.
func TestAdmitListApart(t *testing.T) {
	seen := sawCalls(t, "ptrace", "bind", "nr:9999", "386:execve", "getpid", "386:getpid")
	list := "bind:errno(EPERM)\nread\n"
	text, c, err := AdmitList("list", []byte(list), seen, none)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); got != "bind:errno(EPERM)\n# seen 2 times, errno: /x\ngetpid\nread\n" {
		t.Errorf("%s", got)
	}
	if len(c.Admitted) != 2 || len(c.Apart) != 3 || len(c.Never) != 1 {
		t.Errorf("%d admitted, %d apart, %d never", len(c.Admitted), len(c.Apart), len(c.Never))
	}
	text, c, err = AdmitList("list", []byte(list), seen, func(call string) bool { return call == "ptrace" || call == "bind" })
	if err != nil || !strings.Contains(string(text), "\nptrace\n") || strings.Contains(string(text), "\nbind\n") || len(c.Apart) != 2 {
		t.Errorf("accepted: %v\n%s", err, text)
	}
	if _, _, err := AdmitList("list", []byte("bnd\n"), seen, none); err == nil {
		t.Error("a list with a name that is none")
	}
}

// FuzzAdmitList: whatever the list, its lines stay, and the change is exact
// (AdmitList checks that) or an error.
func FuzzAdmitList(f *testing.F) {
	f.Add("# head\n\nclose\n# about read\nread\n")
	f.Add("a, b\r\nread")
	f.Add("bind:kill_process\n@systemd/mount #x")
	f.Fuzz(func(t *testing.T, list string) {
		text, _, err := AdmitList("list", []byte(list), sawCalls(t, "bind", "openat", "386:getpid"), none)
		if err != nil {
			if strings.Contains(err.Error(), "internal error") {
				t.Error(err)
			}
			return
		}
		rest := string(text)
		for line := range strings.Lines(list) {
			_, after, ok := strings.Cut(rest, strings.TrimRight(line, "\r\n"))
			if !ok {
				t.Fatalf("%q is not in %q", line, text)
			}
			rest = after
		}
	})
}
