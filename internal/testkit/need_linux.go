package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A Feature is something of the machine that a test needs.
type Feature struct {
	name  string
	since abi.Kernel   // the release that must have it; zero: it is up to the machine
	probe func() error // nil error: it is there
}

// What tests need.
var (
	// Root is user ID 0.
	Root = Feature{name: "root", probe: func() error {
		if os.Geteuid() != 0 {
			return errors.New("not root")
		}
		return nil
	}}
	// CC is a C compiler, gcc.
	CC = Feature{name: "gcc", probe: func() error {
		_, err := exec.LookPath("gcc")
		return err
	}}
	// KillProcess is the action kill_process.
	KillProcess = Feature{"kill_process", abi.Kernel{Major: 4, Minor: 14}, func() error { return action(abi.KillProcess) }}
	// LogAction is the action log.
	LogAction = Feature{"log", abi.Kernel{Major: 4, Minor: 14}, func() error { return action(abi.Log) }}
	// Notify is user notification.
	Notify = Feature{"user_notify", abi.Kernel{Major: 5, Minor: 0}, func() error { return action(abi.UserNotify) }}
	// Filter is seccomp(2) with its oldest flag.
	Filter = Feature{"seccomp filter", abi.Kernel{Major: 3, Minor: 17}, func() error { return flags(kernel.TSync) }}
	// TSyncESRCH is the flag that lets tsync and listeners go together.
	TSyncESRCH = Feature{"tsync_esrch", abi.Kernel{Major: 5, Minor: 7}, func() error { return flags(kernel.TSyncESRCH) }}
	// WaitKillable is the flag wait_killable_recv.
	WaitKillable = Feature{"wait_killable_recv", abi.Kernel{Major: 5, Minor: 19}, func() error {
		return flags(kernel.NewListener | kernel.WaitKillableRecv)
	}}
	// KernelOracle is what [NewOracle] needs.
	KernelOracle = Feature{name: "kernel oracle", probe: func() error {
		if runtime.GOARCH != "amd64" {
			return fmt.Errorf("fires calls of amd64 and 386, not of %s", runtime.GOARCH)
		}
		return errors.Join(CC.probe(), Filter.probe())
	}}
)

// Need skips the test if the machine lacks f and may lack it: an older kernel,
// not root, a tool that is not installed. If the kernel is new enough to have f
// and does not, the test fails.
func Need(t testing.TB, f Feature) {
	t.Helper()
	err := f.probe()
	if err == nil {
		return
	}
	if f.since != (abi.Kernel{}) {
		release, releaseErr := kernel.Release()
		if releaseErr != nil {
			t.Fatal(releaseErr)
		}
		if !release.Before(f.since) {
			t.Fatalf("kernel %v lacks %s, which %v brought: %v", release, f.name, f.since, err)
		}
	}
	t.Skipf("needs %s: %v", f.name, err)
}

func action(a abi.Action) error {
	ok, err := kernel.ActionAvailable(a)
	if err == nil && !ok {
		err = errors.New("the kernel does not know it")
	}
	return err
}

func flags(f kernel.Flags) error {
	ok, err := kernel.FlagsAvailable(f)
	if err == nil && !ok {
		err = errors.New("the kernel does not know it")
	}
	return err
}
