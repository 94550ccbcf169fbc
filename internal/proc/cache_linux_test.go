package proc

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/internal/testkit"
)

// watch watches the processes of this machine.
func watch(t *testing.T) *Cache {
	t.Helper()
	c, err := Watch(t.Context(), "/proc")
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ECONNREFUSED):
		testkit.Unable(t, "needs CAP_NET_ADMIN and the process events connector: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	return c
}

// TestWatch knows a process that has ended.
func TestWatch(t *testing.T) {
	c := watch(t)
	cmd := exec.Command("sleep", "0.5")
	if err := cmd.Run(); err != nil {
		t.Skipf("needs sleep: %v", err)
	}
	pid := cmd.Process.Pid
	for range 100 {
		if p := c.Lookup(pid); p != nil && p.Command() == "sleep 0.5" && strings.HasSuffix(p.Exe, "sleep") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%+v", c.Lookup(pid))
}

// TestWatchFirst looks at the priority of the thread that reads, and at what it is told:
// neither ends of processes nor changes of their names are in its way.
func TestWatchFirst(t *testing.T) {
	watch(t)
	first := 0
	for range 100 {
		tasks, err := filepath.Glob("/proc/self/task/*/stat")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			stat, _ := os.ReadFile(task)
			if fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(fields) > 16 && fields[16] == "-20" {
				first++
			}
		}
		if first > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if first == 0 && unix.Geteuid() == 0 {
		t.Error("no thread is before others")
	}
	if got := listenRequest(eventFork | eventExec); len(got) != cnHeader+8 || binary.NativeEndian.Uint16(got[unix.NLMSG_HDRLEN+16:]) != 8 || got[cnHeader+4] != 3 {
		t.Errorf("% x", got)
	}
}

// event returns a message of the connector.
func event(what uint32, data ...uint32) []byte {
	b := make([]byte, cnHeader+eventHeader)
	binary.NativeEndian.PutUint32(b[cnHeader:], what)
	for _, w := range data {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

func TestCacheEvents(t *testing.T) {
	root := host(t, map[string]string{"7/status": status, "7/cmdline": "nc\x00-l\x00"})
	c := &Cache{root: root, known: map[int]*Process{}}
	c.event(event(eventExec, 8, 7)) // a thread of 7
	c.event(event(eventFork, 7, 7, 9, 9))
	c.event(event(eventFork, 7, 7, 10, 7)) // a thread
	c.event(event(eventExec, 11, 11))      // gone
	if p := c.Lookup(7); p == nil || p.Command() != "nc -l" {
		t.Errorf("%+v", p)
	}
	if p := c.Lookup(9); p == nil || p.Command() != "nc -l" || p.PID != 9 || p.PPID != 7 {
		t.Errorf("%+v", p)
	}
	if c.Lookup(10) != nil || c.Lookup(11) != nil {
		t.Error("knows a thread or a process that it never saw")
	}
	c.event(event(eventExec, 9, 9)) // gone, but it was born
	if p := c.Lookup(9); p == nil || p.Args != nil || p.Name != "" || !p.Dead || p.PPID != 7 || p.Parent != c.Lookup(7).Name {
		t.Errorf("%+v", p)
	}
	c.event(event(eventFork, 12, 12, 9, 9)) // of an unknown parent
	if c.Lookup(9) != nil {
		t.Error("an ID that is used again has its old process")
	}
	for pid := range 2 * maxCached {
		c.put(&Process{PID: 100 + pid})
	}
	if len(c.known) != maxCached || c.Lookup(99+2*maxCached) == nil || c.Lookup(100) != nil {
		t.Errorf("%d known", len(c.known))
	}
	if (*Cache)(nil).Lookup(1) != nil {
		t.Error("no cache knows something")
	}
}

func FuzzCacheEvent(f *testing.F) {
	f.Add(event(eventFork, 1, 1, 2, 2))
	f.Fuzz(func(t *testing.T, message []byte) {
		(&Cache{root: "/nonexistent", known: map[int]*Process{}}).event(message)
	})
}
