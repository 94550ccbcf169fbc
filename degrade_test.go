package sysgate

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// kernels are what releases support that the man page seccomp(2) tells apart.
func kernelFeatures(release string) FeatureSet {
	k, err := abi.ParseKernel(release)
	if err != nil {
		panic(err)
	}
	f := FeatureSet{Release: k, Filters: true, Seccomp: !k.Before(abi.Kernel{Major: 3, Minor: 17})}
	for _, a := range actions {
		if !k.Before(a.since) {
			f.Actions = append(f.Actions, a.kind)
		}
	}
	for _, flag := range flags {
		if !k.Before(flag.since) {
			f.Flags = append(f.Flags, flag.name)
		}
	}
	return f
}

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDegrade(t *testing.T) {
	everything := Options{Log: true, SpecAllow: true, Listener: true, WaitKillable: true}
	tests := []struct {
		name    string
		release string
		policy  string
		options Options
		want    string // the policy
		wantOpt Options
		losses  []string // the features
		missing string   // what the error names
	}{
		{
			name: "nothing is missing", release: "6.18",
			policy:  "{version: 1, default_action: kill_process, bad_arch_action: kill_process, syscalls: [{action: log, names: [read]}, {action: user_notify, names: [openat]}]}",
			options: everything,
			want:    "{version: 1, default_action: kill_process, bad_arch_action: kill_process, syscalls: [{action: log, names: [read]}, {action: user_notify, names: [openat]}]}",
			wantOpt: everything,
		},
		{
			name: "kill_process, in every place", release: "4.9",
			policy: "{version: 1, default_action: kill_process, unknown_action: kill_process, x32_action: kill_process, syscalls: [{action: allow, names: [read]}, {action: kill_process, names: [ptrace]}]}",
			want:   "{version: 1, default_action: kill_thread, unknown_action: kill_thread, bad_arch_action: kill_thread, x32_action: kill_thread, syscalls: [{action: allow, names: [read]}, {action: kill_thread, names: [ptrace]}]}",
			losses: []string{"action kill_process"},
		},
		{
			name: "kill_process, which a policy means that says nothing of other architectures", release: "3.5",
			policy: "{default_action: errno, syscalls: [{action: allow, names: [read]}]}",
			want:   "{default_action: errno, bad_arch_action: kill_thread, syscalls: [{action: allow, names: [read]}]}",
			losses: []string{"action kill_process"},
		},
		{
			name: "user_notify and the listener", release: "4.19",
			policy:  "{version: 1, default_action: allow, syscalls: [{action: user_notify, names: [openat]}]}",
			options: everything,
			want:    "{version: 1, default_action: allow, syscalls: [{action: errno(ENOSYS), names: [openat]}]}",
			wantOpt: Options{Log: true, SpecAllow: true},
			losses:  []string{"flag new_listener", "action user_notify"},
		},
		{
			name: "a listener for every thread", release: "5.4",
			policy:  "{version: 1, default_action: allow, syscalls: [{action: user_notify, names: [openat]}]}",
			options: Options{Listener: true, WaitKillable: true},
			want:    "{version: 1, default_action: allow, syscalls: [{action: user_notify, names: [openat]}]}",
			losses:  []string{"flag tsync_esrch"},
		},
		{
			name: "a listener for one thread", release: "5.4",
			policy:  "{version: 1, default_action: allow, syscalls: [{action: user_notify, names: [openat]}]}",
			options: Options{Listener: true, WaitKillable: true, ThisThread: true},
			want:    "{version: 1, default_action: allow, syscalls: [{action: user_notify, names: [openat]}]}",
			wantOpt: Options{Listener: true, ThisThread: true},
			losses:  []string{"flag wait_killable_recv"},
		},
		{
			name: "flags", release: "4.9",
			policy:  "{version: 1, default_action: errno, bad_arch_action: kill_thread, syscalls: [{action: allow, names: [read]}]}",
			options: Options{Log: true, SpecAllow: true, KeepPrivileges: true},
			want:    "{version: 1, default_action: errno, bad_arch_action: kill_thread, syscalls: [{action: allow, names: [read]}]}",
			wantOpt: Options{KeepPrivileges: true},
			losses:  []string{"flag log", "flag spec_allow"},
		},
		{
			name: "log, for which nothing can stand", release: "4.9",
			policy:  "{version: 1, default_action: log, syscalls: [{action: errno, names: [read]}]}",
			missing: "action log (Linux 4.14)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := parse(t, tt.policy)
			before := parse(t, tt.policy)
			got, o, losses, err := Degrade(p, tt.options, kernelFeatures(tt.release))
			if !reflect.DeepEqual(p, before) {
				t.Error("the policy given was changed")
			}
			if tt.missing != "" {
				if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), tt.missing) || got != nil {
					t.Errorf("Degrade = %v, %v; want an error that names %s", got, err, tt.missing)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := format(t, got), format(t, parse(t, tt.want)); got != want {
				t.Errorf("policy\n%s\nwant\n%s", got, want)
			}
			if !reflect.DeepEqual(o, tt.wantOpt) {
				t.Errorf("options %+v, want %+v", o, tt.wantOpt)
			}
			var features []string
			for _, l := range losses {
				features = append(features, l.Feature)
				if l.Effect == "" {
					t.Errorf("%+v says nothing of the effect", l)
				}
			}
			if !slices.Equal(features, tt.losses) {
				t.Errorf("losses %q, want %q", features, tt.losses)
			}
		})
	}
}

// format returns p as it is written once read again, whatever form it had.
func format(t *testing.T, p *policy.Policy) string {
	t.Helper()
	return string(parse(t, string(p.Format())).Format())
}

func TestDegradeWithoutFilters(t *testing.T) {
	p := parse(t, "{default_action: errno, syscalls: [{action: allow, names: [read]}]}")
	if _, _, _, err := Degrade(p, Options{}, FeatureSet{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Degrade without filters: %v", err)
	}
}

// TestDegradeNeverLooser goes through every set of actions that a kernel could
// have, with every action in every place of a policy: what becomes of it is known
// to the kernel, and it is as strict or stricter; but for kill_process, of which
// kill_thread is all that is left where it is missing.
func TestDegradeNeverLooser(t *testing.T) {
	cases, refused := 0, 0
	for set := range 1 << len(actions) {
		f := FeatureSet{Filters: true, Seccomp: true}
		for i, a := range actions {
			if set>>i&1 != 0 {
				f.Actions = append(f.Actions, a.kind)
			}
		}
		for _, a := range actions {
			for place := range 5 {
				cases++
				action := policy.Action{Kind: a.kind}
				if a.kind == abi.Errno {
					action.Errno = "EACCES"
				}
				p := withAction(place, action, f)
				got, _, losses, err := Degrade(p, Options{}, f)
				if err != nil {
					refused++
					if !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("%v of %v: %v", a.kind, f.Actions, err)
					}
					continue
				}
				compareActions(t, p, got, f, losses)
			}
		}
	}
	t.Logf("%d cases, %d of them refused", cases, refused)
	if refused == 0 || refused == cases {
		t.Error("nothing was compared, or nothing refused")
	}
}

// withAction returns a policy with an action in one of five places, and in the others
// one that f has: allow is for the rule that is not looked at.
func withAction(place int, a policy.Action, f FeatureSet) *policy.Policy {
	other := policy.Action{Kind: abi.Allow}
	if len(f.Actions) > 0 {
		other = policy.Action{Kind: f.Actions[0]}
	}
	p := &policy.Policy{
		Version: 1, ABIs: []abi.ABI{abi.AMD64}, Default: other, Unknown: &other, BadArch: &other, X32: &other,
		Rules: []policy.Rule{{Action: other, Calls: []policy.Pattern{{Name: "read"}}}},
	}
	switch place {
	case 0:
		p.Default = a
	case 1:
		p.Unknown = &a
	case 2:
		p.BadArch = &a
	case 3:
		p.X32 = &a
	case 4:
		p.Rules[0].Action = a
	}
	return p
}

// compareActions holds p against what became of it, by what the two say of calls
// that reach every place.
func compareActions(t *testing.T, p, got *policy.Policy, f FeatureSet, losses []Loss) {
	t.Helper()
	before, _, err := p.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	after, _, err := got.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	amd64, i386 := abi.AMD64.AuditArch(), abi.I386.AuditArch()
	changed := false
	for _, c := range []abi.Call{{Arch: amd64, NR: 0}, {Arch: amd64, NR: 1}, {Arch: amd64, NR: 5000}, {Arch: amd64, NR: abi.X32Bit}, {Arch: i386, NR: 1}} {
		was, is := before.Eval(c), after.Eval(c)
		changed = changed || was.Action != is.Action
		leftOver := was.Action == abi.KillProcess && is.Action == abi.KillThread && !f.HasAction(abi.KillProcess)
		switch {
		case !f.HasAction(is.Action):
			t.Errorf("%v of %v: became %v, which the kernel does not know", was.Action, f.Actions, is.Action)
		case was.Action.Stricter(is.Action) && !leftOver:
			t.Errorf("%v of %v: became %v, which is looser", was.Action, f.Actions, is.Action)
		case was.Action != is.Action && f.HasAction(was.Action):
			t.Errorf("%v of %v: became %v without need", was.Action, f.Actions, is.Action)
		case was.Rule != is.Rule:
			t.Errorf("%v: decided by rule %d, was %d", c, is.Rule, was.Rule)
		}
	}
	if changed != (len(losses) > 0) {
		t.Errorf("%v: changed: %v, losses: %v", f.Actions, changed, losses)
	}
}

// TestDegradeOptions goes through every set of flags and of options: what is left
// needs no flag that is missing, what was dropped is a loss, and what has to do with
// security stays.
func TestDegradeOptions(t *testing.T) {
	p := parse(t, "{version: 1, default_action: errno, syscalls: [{action: allow, names: [read]}]}")
	all := kernelFeatures("6.18")
	for set := range 1 << len(flags) {
		f := all
		f.Flags = nil
		for i, flag := range flags {
			if set>>i&1 != 0 {
				f.Flags = append(f.Flags, flag.name)
			}
		}
		for bits := range 1 << 8 {
			on := func(i int) bool { return bits>>i&1 != 0 }
			o := Options{
				KeepPrivileges: on(0), ThisThread: on(1), Log: on(2), SpecAllow: on(3), Listener: on(4),
				WaitKillable: on(5) && on(4), BestEffort: on(6), Unverified: on(7),
			}
			_, got, losses, err := Degrade(p, o, f)
			if err != nil {
				t.Fatal(err)
			}
			at := fmt.Sprintf("%+v with flags %v: %+v", o, f.Flags, got)
			if missing := missingFlags(got, f); len(missing) > 0 {
				t.Fatalf("%s: needs %v", at, missing)
			}
			if got.KeepPrivileges != o.KeepPrivileges || got.ThisThread != o.ThisThread || got.Unverified != o.Unverified || got.BestEffort != o.BestEffort {
				t.Fatalf("%s: changed more than flags", at)
			}
			if got.Log && !o.Log || got.SpecAllow && !o.SpecAllow || got.Listener && !o.Listener || got.WaitKillable && !o.WaitKillable {
				t.Fatalf("%s: asks for more", at)
			}
			lost := 0
			for _, dropped := range []bool{o.Log != got.Log, o.SpecAllow != got.SpecAllow, o.Listener != got.Listener, o.WaitKillable && !got.WaitKillable && got.Listener} {
				if dropped {
					lost++
				}
			}
			if lost != len(losses) {
				t.Fatalf("%s: losses %v", at, losses)
			}
		}
	}
}
