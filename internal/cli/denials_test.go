package cli

import (
	"os"
	"testing"
)

func TestCallName(t *testing.T) {
	for _, tt := range []struct{ arch, number, want string }{
		{"c000003e", "49", "bind"},
		{"40000003", "102", "386:socketcall"},
		{"c000003e", "1073741873", "x32:bind"}, // 0x40000000 | 49
		{"c00000b7", "200", "arm64:bind"},
		{"c000003e", "9999", "arch c000003e number 9999"},
		{"12345678", "1", "arch 12345678 number 1"},
		{"c000003e", "99999999999", "arch c000003e number 99999999999"},
	} {
		if got := callName(tt.arch, tt.number); got != tt.want {
			t.Errorf("callName(%s, %s) = %q, want %q", tt.arch, tt.number, got, tt.want)
		}
	}
}

func TestRecord(t *testing.T) {
	line := `5,1234,99,-;audit: type=1326 audit(1592235264.942:94): auid=1000 uid=1000 gid=1000 ses=4 subj==unconfined ` +
		`pid=6664 comm="nc" exe="/usr/bin/nc.traditional" sig=31 arch=c000003e syscall=49 compat=0 ip=0x7ffb85de7497 code=0x80000000`
	m := record.FindStringSubmatch(line)
	if m == nil || m[1] != "6664" || m[2] != "c000003e" || m[3] != "49" {
		t.Errorf("record: %q", m)
	}
	if m := record.FindStringSubmatch(`audit: type=1326 audit(1.2:3): pid=1 comm="x" sig=0 arch=c000003e syscall=49 compat=0`); m != nil {
		t.Errorf("a record of a call that killed nobody matches: %q", m)
	}
}

// A log that cannot be read explains nothing, and is no error.
func TestNoLog(t *testing.T) {
	if calls := (denials{-1}).of(os.Getpid()); len(calls) > 0 {
		t.Errorf("calls %v without a log", calls)
	}
}
