package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

func TestDeathOf(t *testing.T) {
	const line = `5,1234,99,-;audit: type=1326 audit(1592235264.942:94): auid=1000 uid=1000 gid=1000 ses=4 subj==unconfined ` +
		`pid=6664 comm="nc" exe="/usr/bin/nc.traditional" sig=31 arch=c000003e syscall=49 compat=0 ip=0x7ffb85de7497 code=0x80000000`
	for _, tt := range []struct{ line, want string }{
		{line, callOn(abi.AMD64, "bind")},
		{strings.Replace(line, "arch=c000003e syscall=49", "arch=40000003 syscall=102", 1), callOn(abi.I386, "socketcall")},
		{strings.Replace(line, "pid=6664", "pid=666", 1), ""},
		{strings.Replace(line, "sig=31", "sig=0", 1), ""}, // it killed nobody
		{"12" + strings.TrimPrefix(line, "5"), ""},        // a program wrote it
		{"5,1234,99,-;eth0: link up", ""},
	} {
		if got, ok := deathOf(6664, []byte(tt.line)); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", tt.line, got, ok, tt.want)
		}
	}
}

// callOn returns a call as this machine names it.
func callOn(a abi.ABI, name string) string {
	if abi.Native() == a {
		return name
	}
	return a.String() + ":" + name
}

// A log that cannot be read explains nothing, and is no error.
func TestNoLog(t *testing.T) {
	if calls := (denials{-1}).of(os.Getpid()); len(calls) > 0 {
		t.Errorf("calls %v without a log", calls)
	}
}
