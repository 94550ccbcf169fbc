package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func users(string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	if me.Uid != strconv.Itoa(os.Getuid()) {
		return fmt.Errorf("user %v", me)
	}
	if _, err := user.LookupId("0"); err != nil {
		return err
	}
	if _, err := user.Lookup("root"); err != nil {
		return err
	}
	if _, err := user.LookupGroupId("0"); err != nil {
		return err
	}
	_, err = me.GroupIds()
	return err
}

func host(string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("no host name")
	}
	var uts syscall.Utsname
	var info syscall.Sysinfo_t
	var usage syscall.Rusage
	var limit syscall.Rlimit
	var times syscall.Tms
	_, timesErr := syscall.Times(&times)
	_, groupsErr := os.Getgroups()
	return errors.Join(
		syscall.Uname(&uts),
		syscall.Sysinfo(&info),
		syscall.Getrusage(syscall.RUSAGE_SELF, &usage),
		syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit),
		timesErr,
		groupsErr,
		positive(os.Getpid(), os.Getppid(), syscall.Gettid(), os.Getpagesize()),
		notNegative(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid()),
	)
}

func positive(values ...int) error {
	for _, v := range values {
		if v <= 0 {
			return fmt.Errorf("%v: not all are positive", values)
		}
	}
	return nil
}

func notNegative(values ...int) error {
	for _, v := range values {
		if v < 0 {
			return fmt.Errorf("%v: a value is negative", values)
		}
	}
	return nil
}

func signals(string) error {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1)
	defer signal.Stop(got)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	select {
	case <-got:
		return nil
	case <-time.After(time.Minute):
		return errors.New("no signal")
	}
}

func timers(string) error {
	time.Sleep(2 * time.Millisecond)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 3 {
		<-tick.C
	}
	_, err := time.LoadLocation("Europe/Berlin")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		// A machine without time zones has no such location, and says so in a way
		// of its own.
		if _, missing := os.Stat("/usr/share/zoneinfo/Europe/Berlin"); missing == nil {
			return err
		}
	}
	return nil
}

// threads has the runtime start some: each goroutine locks one.
func threads(string) error {
	var all sync.WaitGroup
	failed := make(chan error, 32)
	for range cap(failed) {
		all.Go(func() {
			runtime.LockOSThread() // and ends with it
			if syscall.Gettid() <= 0 {
				failed <- errors.New("no thread")
			}
			time.Sleep(time.Millisecond)
			for range 10 {
				runtime.Gosched()
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

func memory(string) error {
	blocks := make([][]byte, 0, 64)
	for range cap(blocks) {
		block := make([]byte, 1<<20)
		if _, err := io.ReadFull(rand.Reader, block[:64]); err != nil {
			return err
		}
		blocks = append(blocks, block)
	}
	runtime.KeepAlive(blocks)
	debug.FreeOSMemory()
	mapped, err := syscall.Mmap(-1, 0, 1<<16, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return errors.Join(
		syscall.Mprotect(mapped, syscall.PROT_READ),
		syscall.Madvise(mapped, syscall.MADV_DONTNEED),
		syscall.Mlock(mapped),
		syscall.Munlock(mapped),
		syscall.Munmap(mapped),
	)
}

// cpuProfile runs the profiler, which has a timer on every thread.
func cpuProfile(dir string) error {
	f, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	until := time.Now().Add(50 * time.Millisecond)
	for time.Now().Before(until) {
		runtime.Gosched()
	}
	pprof.StopCPUProfile()
	return f.Close()
}

// watch sees a file appear.
func watch(dir string) error {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "inotify")
	defer f.Close()
	mark, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_CREATE)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		return err
	}
	if n, err := f.Read(make([]byte, 4096)); err != nil || n == 0 {
		return fmt.Errorf("%d bytes of events: %w", n, err)
	}
	_, err = syscall.InotifyRmWatch(fd, uint32(mark))
	return err
}

// denied says that the filter is there, and that other programs cannot be
// started.
var denied bool

func noExec(string) error {
	if !denied {
		// A program that is not there: one that is would be watched as well.
		if err := exec.Command("/sysgate.invalid").Run(); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("sysgate.invalid: %v", err)
		}
		return nil
	}
	if err := exec.Command("/bin/sh", "-c", "exit 0").Run(); !errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("a program was started, or failed in another way: %v", err)
	}
	return nil
}
