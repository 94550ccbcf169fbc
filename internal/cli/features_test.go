package cli

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
)

// fullFeatures is Linux 6.18 with an audit daemon, as root sees it.
func fullFeatures() sysgate.FeatureSet {
	all := []abi.Action{abi.KillProcess, abi.KillThread, abi.Trap, abi.Errno, abi.UserNotify, abi.Trace, abi.Log, abi.Allow}
	return sysgate.FeatureSet{
		Release: abi.Kernel{Major: 6, Minor: 18}, Filters: true, Seccomp: true, Actions: all,
		Flags:  []string{"tsync", "log", "spec_allow", "new_listener", "tsync_esrch", "wait_killable_recv"},
		Logged: all[:7], LSMs: []string{"capability", "landlock"},
		Audit: sysgate.Audit{Known: true, Available: true, StatusKnown: true, Enabled: true, Daemon: 77, BacklogLimit: 64, Lost: 3},
	}
}

func TestPrintFeatures(t *testing.T) {
	quiet := fullFeatures() // the administrator silenced errno; nobody takes the records
	quiet.Logged = []abi.Action{abi.KillProcess, abi.Log}
	quiet.Audit.Daemon, quiet.Audit.RateLimit = 0, 100
	tests := []struct {
		name     string
		features sysgate.FeatureSet
		want     string
	}{
		{"everything", fullFeatures(), `kernel   6.18
filters  seccomp(2)
level    7
actions  kill_process kill_thread trap errno user_notify trace log allow
flags    tsync log spec_allow new_listener tsync_esrch wait_killable_recv
logged   kill_process kill_thread trap errno user_notify trace log
lsm      capability landlock
audit    there; records to process 77; no rate limit; 3 lost
denials  kill_process kill_thread log: logged; trap errno user_notify trace: logged with flag log
`},
		{"little is logged", quiet, `kernel   6.18
filters  seccomp(2)
level    7
actions  kill_process kill_thread trap errno user_notify trace log allow
flags    tsync log spec_allow new_listener tsync_esrch wait_killable_recv
logged   kill_process log
lsm      capability landlock
audit    there; records to the kernel's log (no daemon), where most of a burst is dropped; at most 100 a second; 3 lost
denials  kill_process log: logged; kill_thread trap errno user_notify trace: never logged
`},
		{"no audit system", sysgate.FeatureSet{
			Filters: true, Actions: []abi.Action{abi.KillThread, abi.Errno, abi.Allow}, Logged: []abi.Action{},
			Audit: sysgate.Audit{Known: true},
		}, `kernel   -
filters  prctl(2); seccomp(2) is missing
level    1
actions  kill_thread errno allow
flags    none
logged   none
lsm      -
audit    none, or switched off at boot (audit=0)
denials  kill_thread errno: never logged
`},
		{"nothing", sysgate.FeatureSet{}, `kernel   -
filters  none
level    0
actions  none
flags    none
logged   -
lsm      -
audit    -
denials  none
`},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if err := printFeatures(&out, tt.features); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, out.String(), tt.want)
		}
	}
	unprivileged := fullFeatures()
	unprivileged.Audit = sysgate.Audit{Known: true, Available: true}
	if got := auditText(unprivileged.Audit); !strings.Contains(got, "CAP_AUDIT_CONTROL") {
		t.Errorf("audit status that may not be seen: %s", got)
	}
	unprivileged.Logged = nil
	if got := denialsText(unprivileged); got != "-" {
		t.Errorf("denials where it is not known what is logged: %s", got)
	}
}

func TestPrintFeaturesJSON(t *testing.T) {
	decode := func(f sysgate.FeatureSet) map[string]any {
		t.Helper()
		var out bytes.Buffer
		var got map[string]any
		if err := printFeaturesJSON(&out, f); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		return got
	}
	got := decode(fullFeatures())
	want := map[string]any{
		"kernel": "6.18", "filters": true, "seccomp": true, "api_level": 7.0,
		"actions": []any{"kill_process", "kill_thread", "trap", "errno", "user_notify", "trace", "log", "allow"},
		"flags":   []any{"tsync", "log", "spec_allow", "new_listener", "tsync_esrch", "wait_killable_recv"},
		"logged":  []any{"kill_process", "kill_thread", "trap", "errno", "user_notify", "trace", "log"},
		"lsms":    []any{"capability", "landlock"},
		"audit": map[string]any{
			"available": true, "enabled": true, "daemon": 77.0, "rate_limit": 0.0, "backlog_limit": 64.0, "lost": 3.0,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
	if silent := (sysgate.FeatureSet{Logged: []abi.Action{}}); !reflect.DeepEqual(decode(silent)["logged"], []any{}) {
		t.Errorf("nothing is logged, as is known: %v", decode(silent))
	}
	got = decode(sysgate.FeatureSet{})
	want = map[string]any{"filters": false, "seccomp": false, "api_level": 0.0, "actions": []any{}, "flags": []any{}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("nothing: %v\nwant\n%v", got, want)
	}
}
