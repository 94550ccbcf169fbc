package kernel

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// message returns a netlink message of a type with words as its body.
func message(kind uint16, words ...uint32) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN)
	binary.NativeEndian.PutUint16(b[4:], kind)
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

func TestParseAuditStatus(t *testing.T) {
	refused := -int32(unix.EPERM)
	tests := []struct {
		name    string
		message []byte
		want    AuditStatus
		err     error // nil with a zero want: any
	}{
		{"status", message(unix.AUDIT_GET, 0, 1, 2, 77, 100, 64, 5, 6, 7, 8), AuditStatus{Enabled: true, Daemon: 77, RateLimit: 100, BacklogLimit: 64, Lost: 5}, nil},
		{"an old kernel's", message(unix.AUDIT_GET, 0, 2, 0, 0, 0, 64, 0, 0), AuditStatus{Enabled: true, BacklogLimit: 64}, nil},
		{"off", message(unix.AUDIT_GET, 0, 0, 0, 0, 0, 8192, 0, 0), AuditStatus{BacklogLimit: 8192}, nil},
		{"refused", message(unix.NLMSG_ERROR, uint32(refused), 0, 0, 0, 0), AuditStatus{}, unix.EPERM},
		{"short status", message(unix.AUDIT_GET, 0, 1, 2), AuditStatus{}, nil},
		{"short error", message(unix.NLMSG_ERROR), AuditStatus{}, nil},
		{"another type", message(unix.AUDIT_USER, 0, 1, 2, 3, 4, 5, 6, 7), AuditStatus{}, nil},
		{"no header", []byte{1, 2, 3}, AuditStatus{}, nil},
		{"nothing", nil, AuditStatus{}, nil},
	}
	for _, tt := range tests {
		got, err := parseAuditStatus(tt.message)
		if got != tt.want || tt.err != nil && !errors.Is(err, tt.err) || (err == nil) != (tt.want != AuditStatus{}) {
			t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func FuzzParseAuditStatus(f *testing.F) {
	f.Add(message(unix.AUDIT_GET, 0, 1, 2, 77, 100, 64, 5, 6))
	f.Add(message(unix.NLMSG_ERROR, ^uint32(0)))
	f.Fuzz(func(t *testing.T, message []byte) {
		if got, err := parseAuditStatus(message); err != nil && got != (AuditStatus{}) {
			t.Errorf("%x: %+v, %v", message, got, err)
		}
	})
}

// TestAuditGet asks the running kernel. Who may not ask has to be told so.
func TestAuditGet(t *testing.T) {
	available, err := AuditAvailable()
	if err != nil {
		t.Fatal(err)
	}
	if !available {
		t.Skip("this kernel has no audit system, or audit=0 switched it off")
	}
	caps, err := Capabilities()
	if err != nil {
		t.Fatal(err)
	}
	s, err := AuditGet()
	switch may := caps>>unix.CAP_AUDIT_CONTROL&1 != 0; {
	case !may && err == nil:
		t.Error("the status without CAP_AUDIT_CONTROL")
	case may && errors.Is(err, syscall.ECONNREFUSED):
		t.Skipf("the audit system does not talk to this namespace: %v", err)
	case may && err != nil:
		t.Error(err)
	case may && s.BacklogLimit == 0 && s.Enabled:
		t.Errorf("%+v: nothing may wait", s)
	}
}

func TestParseActions(t *testing.T) {
	// Both files of /proc/sys/kernel/seccomp, of Linux 6.18.
	got, err := parseActions("f", "kill_process kill_thread trap errno user_notif trace log allow\n")
	want := []abi.Action{abi.KillProcess, abi.KillThread, abi.Trap, abi.Errno, abi.UserNotify, abi.Trace, abi.Log, abi.Allow}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, err := parseActions("f", "\n"); err != nil || len(got) != 0 {
		t.Errorf("no action: %v, %v", got, err)
	}
	if _, err := parseActions("f", "errno explode"); err == nil {
		t.Error("an unknown action: no error")
	}
}

func FuzzParseActions(f *testing.F) {
	f.Add("kill_process kill_thread trap errno user_notif trace log allow\n")
	f.Fuzz(func(t *testing.T, text string) {
		actions, err := parseActions("f", text)
		for _, a := range actions {
			if err != nil || !a.Known() {
				t.Errorf("%q: %v, %v", text, actions, err)
			}
		}
	})
}

func TestActionsLogged(t *testing.T) {
	got, err := ActionsLogged()
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("before Linux 4.14, or without /proc")
	}
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(got, abi.Allow) {
		t.Errorf("%v: allow is never logged", got)
	}
}
