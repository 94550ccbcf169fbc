package monitor

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proc"
)

// rfc5424 is the grammar of a message (RFC 5424, 6), as far as sysgate uses it.
var rfc5424 = regexp.MustCompile(`^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([!-~]{1,255}) sysgate (\d+) (\w+) ` +
	`\[origin software="sysgate" swVersion="v1"\]\[seccomp@32473((?: [!-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")+)\] ` + "\xef\xbb\xbf" + `(.*)$`)

// nasty is a violation by a program that chose its names for those who read them.
func nasty() Event {
	return Event{
		Event: audit.Event{Violation: &observe.Violation{
			Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Serial: 7, ABI: abi.AMD64, Arch: abi.AMD64.AuditArch(), NR: 49, Name: "bind",
			Action: abi.KillProcess, Signal: 31, PID: 12, Comm: `a"]\ b`, Exe: "/x\n<0>1 evil", UID: 0, GID: 0, LoginUID: observe.Unset, Count: 3,
		}},
		Process: &proc.Process{Args: []string{"x", strings.Repeat("ä", 3000)}},
	}
}

// syslogServer listens on every transport and gives what arrives, a message each.
func syslogServers(t *testing.T) (addresses map[string]string, messages chan string) {
	t.Helper()
	messages = make(chan string, 100)
	dir := t.TempDir()
	datagrams := func(network, address string) net.PacketConn {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			buf := make([]byte, 1<<17)
			for {
				n, _, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				messages <- string(buf[:n])
			}
		}()
		return c
	}
	addresses = map[string]string{"unix": "unix://" + dir + "/log"}
	datagrams("unixgram", dir+"/log")
	addresses["udp"] = "udp://" + datagrams("udp", "127.0.0.1:0").LocalAddr().String()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	addresses["tcp"] = "tcp://" + l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			for {
				size, err := r.ReadString(' ')
				if err != nil {
					break
				}
				n, err := strconv.Atoi(strings.TrimSpace(size))
				if err != nil {
					messages <- "no count of octets: " + size
					break
				}
				text := make([]byte, n)
				if _, err := io.ReadFull(r, text); err != nil {
					break
				}
				messages <- string(text)
			}
			c.Close()
		}
	}()
	return addresses, messages
}

// TestSyslog sends over each transport, and reads what arrives by the grammar.
func TestSyslog(t *testing.T) {
	addresses, messages := syslogServers(t)
	for name, address := range addresses {
		s, err := NewSyslog(address, "v1", abi.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		lost := Event{Event: audit.Event{Loss: &audit.Loss{Records: 4, Reason: "gaps"}}}
		if n, err := s.Send(t.Context(), []Event{nasty(), lost}); n != 2 || err != nil {
			t.Fatalf("%s: %d sent, %v", name, n, err)
		}
		for i, want := range []struct{ priority, id, text string }{
			{"83", "violation", `2026-01-02T03:04:05.006Z a"]\ b[12] bind → kill_process`},
			{"83", "lost", "LOST: 4 records were lost: gaps"},
		} {
			var m []string
			select {
			case text := <-messages:
				if m = rfc5424.FindStringSubmatch(text); m == nil {
					t.Fatalf("%s: no message of RFC 5424: %q", name, text)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s: message %d did not arrive", name, i)
			}
			if m[1] != want.priority || m[5] != want.id || !strings.HasPrefix(m[7], want.text) {
				t.Errorf("%s: %.900q", name, m[1:])
			}
			if i == 0 {
				for _, part := range []string{` seccomp.call="bind"`, ` seccomp.count="3"`, ` process.pid="12"`, ` process.name="a\"\]\\ b"`, ` process.executable="/x\\n<0>1 evil"`} {
					if !strings.Contains(m[6], part) {
						t.Errorf("%s: no %s in %.900s", name, part, m[6])
					}
				}
				if m[2] != "2026-01-02T03:04:05.006Z" || m[4] != strconv.Itoa(os.Getpid()) {
					t.Errorf("%s: %q", name, m[:5])
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSyslogAgain: a daemon that was away and came back gets what waited.
func TestSyslogAgain(t *testing.T) {
	path := t.TempDir() + "/log"
	s, err := NewSyslog("unix://"+path, "v1", abi.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	o := NewOutlet("syslog", s, OutletOptions{Pause: time.Millisecond})
	o.Write(seen(49, 1))
	time.Sleep(20 * time.Millisecond)
	l, err := net.Listen("unix", path) // one that takes streams
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), `seccomp.call="bind"`) {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if err := o.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSyslogAddress(t *testing.T) {
	for _, bad := range []string{"udp://host", "tcp:514", "unix://host", "/dev/log", "http://x:1", "udp://:"} {
		if _, err := NewSyslog(bad, "", abi.AMD64); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	s, err := NewSyslog("", "", abi.AMD64)
	if err != nil || s.address != "/dev/log" {
		t.Errorf("%+v, %v", s, err)
	}
	s.address = t.TempDir() + "/none"
	if _, err := s.Send(t.Context(), []Event{nasty()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no daemon: %v", err)
	}
}

// TestSyslogStream ends messages to a daemon that takes a stream, so that it can
// tell them apart.
func TestSyslogStream(t *testing.T) {
	path := t.TempDir() + "/log"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := NewSyslog("unix://"+path, "v1", abi.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), []Event{seen(49, 1), seen(41, 1)}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(all), "\n"); len(lines) != 3 || !strings.Contains(lines[1], "socket") {
		t.Errorf("%q", all)
	}
}

func FuzzSyslogMessage(f *testing.F) {
	f.Add(`a"]\ b`, "/x\n<0>1 evil", "\xff\u2028")
	f.Fuzz(func(t *testing.T, comm, exe, arg string) {
		e := nasty()
		e.Violation.Comm, e.Violation.Exe, e.Process.Args = comm, exe, []string{arg}
		s := Syslog{host: comm, version: "v1", native: abi.AMD64}
		if text := string(s.message(e, time.Now())); !rfc5424.MatchString(text) {
			t.Errorf("no message of RFC 5424: %q", text)
		}
	})
}
