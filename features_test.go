package sysgate

import (
	"slices"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// TestAPILevel has the releases that libseccomp's levels follow (seccomp_api_get(3)).
func TestAPILevel(t *testing.T) {
	for release, want := range map[string]int{
		"3.5": 1, "3.16": 1, "3.17": 2, "4.13": 2, "4.14": 3, "4.16": 3, "4.17": 4, "4.20": 4, "5.0": 5, "5.6": 5, "5.7": 6, "5.18": 6, "5.19": 7, "6.18": 7,
	} {
		if got := kernelFeatures(release).APILevel(); got != want {
			t.Errorf("%s: level %d, want %d", release, got, want)
		}
	}
	if got := (FeatureSet{}).APILevel(); got != 0 {
		t.Errorf("no filters: level %d, want 0", got)
	}
	hole := kernelFeatures("6.18")
	hole.Flags = slices.DeleteFunc(hole.Flags, func(name string) bool { return name == flagSpecAllow })
	if got := hole.APILevel(); got != 3 {
		t.Errorf("without spec_allow: level %d, want 3", got)
	}
}

// TestLogs has the table that was measured with one filter a row (seccomp_log in
// kernel/seccomp.c).
func TestLogs(t *testing.T) {
	f := kernelFeatures("6.18")
	f.Audit = Audit{Known: true, Available: true}
	for _, a := range actions {
		if a.kind != abi.Allow {
			f.Logged = append(f.Logged, a.kind)
		}
	}
	tests := []struct {
		action           abi.Action
		without, withLog bool
	}{
		{abi.KillProcess, true, true},
		{abi.KillThread, true, true},
		{abi.Log, true, true},
		{abi.Trap, false, true},
		{abi.Errno.WithData(13), false, true},
		{abi.Trace, false, true},
		{abi.UserNotify, false, true},
		{abi.Allow, false, false},
	}
	for _, tt := range tests {
		for _, withLog := range []bool{false, true} {
			want := tt.without
			if withLog {
				want = tt.withLog
			}
			if got, known := f.Logs(tt.action, withLog); got != want || !known {
				t.Errorf("%v, flag log %v: %v, %v; want %v", tt.action, withLog, got, known, want)
			}
		}
	}

	few := f
	few.Logged = []abi.Action{abi.KillProcess}
	if got, known := few.Logs(abi.Errno, true); got || !known {
		t.Errorf("errno, which the administrator has not logged: %v, %v", got, known)
	}
	unknown := f
	unknown.Logged = nil
	if _, known := unknown.Logs(abi.Errno, true); known {
		t.Error("without actions_logged it is known what is logged")
	}
	if got, known := unknown.Logs(abi.Errno, false); got || !known {
		t.Errorf("errno without flag log: %v, %v", got, known)
	}
	off := f
	off.Audit.Available = false
	if got, known := off.Logs(abi.KillProcess, true); got || !known {
		t.Errorf("without an audit system: %v, %v", got, known)
	}
}
