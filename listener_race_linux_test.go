package sysgate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestListenerRace has the target change the name of a file while the supervisor
// looks at it: what is answered with a descriptor is what was looked at, and what the
// kernel goes on with is not.
func TestListenerRace(t *testing.T) {
	for _, proceed := range []bool{false, true} {
		t.Run(fmt.Sprintf("ContinueUnsafe=%v", proceed), func(t *testing.T) {
			need(t)
			testkit.Need(t, testkit.WaitKillable)
			const dirEnv = "SYSGATE_TEST_DIR"
			if os.Getenv(roleEnv) == "" {
				dir := t.TempDir()
				t.Setenv(dirEnv, dir)
				for _, name := range []string{"harmless", "secrets!"} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			p := start(t, notify("openat(_, _, _, mode == 0o1234)"), sysgate.Options{WaitKillable: true}, func(t *testing.T) {
				good, secret := openWhileChanging(t, os.Getenv(dirEnv))
				fmt.Printf("opened: %d harmless, %d secret\n", good, secret)
			})
			harmless, err := os.Open(filepath.Join(os.Getenv(dirEnv), "harmless"))
			if err != nil {
				t.Fatal(err)
			}
			defer harmless.Close()
			p.serve(t, func(_ context.Context, r *sysgate.Request) {
				name, err := r.ReadString(r.Arg(1), 4096)
				switch {
				case err != nil:
				case !strings.HasSuffix(name, "/harmless"):
					err = r.Fail(unix.EACCES)
				case proceed:
					time.Sleep(100 * time.Microsecond)
					err = r.ContinueUnsafe()
				default:
					_, err = r.ReturnFD(sysgate.Descriptor{FD: int(harmless.Fd())})
				}
				if err != nil {
					t.Errorf("%v: %v", r, err)
				}
			})
			var good, secret int
			_, result, _ := strings.Cut(p.output.String(), "opened: ")
			if _, err := fmt.Sscanf(result, "%d harmless, %d secret", &good, &secret); err != nil {
				t.Fatalf("%v\n%s", err, p.output.String())
			}
			if good == 0 || proceed != (secret > 0) {
				t.Errorf("opened %d times what is harmless, %d times what is secret", good, secret)
			}
		})
	}
}

// openWhileChanging opens a file whose name another thread changes all the time, and
// counts what it got.
func openWhileChanging(t *testing.T, dir string) (harmless, secret int) {
	for dir += "/"; len(dir)%8 != 0; {
		dir += "/"
	}
	buffer := make([]uint64, len(dir)/8+2) // the name's last part is one word, and a 0 follows
	path := unsafe.Slice((*byte)(unsafe.Pointer(&buffer[0])), 8*len(buffer))
	copy(path, dir)
	part := &buffer[len(dir)/8]
	word := func(name string) (w uint64) {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&w)), 8), name)
		return w
	}
	good, bad := word("harmless"), word("secrets!")
	atomic.StoreUint64(part, good)
	var stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for !stop.Load() {
			atomic.StoreUint64(part, bad)
			runtime.Gosched() // there is no other preemption here; see start
			atomic.StoreUint64(part, good)
			runtime.Gosched()
		}
	}()
	for range 500 {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, 0, uintptr(unsafe.Pointer(&path[0])), unix.O_RDONLY, 0o1234, 0, 0)
		if errno == unix.EACCES {
			continue
		}
		got := make([]byte, 8)
		if _, err := unix.Read(int(fd), got); errno != 0 || err != nil {
			t.Fatalf("openat: errno %d, read: %v", errno, err)
		}
		if string(got) == "secrets!" {
			secret++
		} else {
			harmless++
		}
		unix.Close(int(fd))
	}
	return harmless, secret
}
