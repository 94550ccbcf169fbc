package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/policy"
)

// A scenario is a setting and what Install has to do in it.
type scenario struct {
	name    string
	prepare func(self string) (string, error) // returns the program's name in the setting
	check   func() error
	pure    bool // only without cgo
	cgo     bool // only with cgo
	dies    bool // of SIGSYS, after it has said "installed"
}

func (s scenario) ends() string {
	if s.dies {
		return "SIGSYS"
	}
	return "ok"
}

// lying is the scenario in which the kernel cannot be asked either.
const lying = "seccomp(2) reports success"

// scenarios are those that this program can be in.
func scenarios() []scenario {
	return slices.DeleteFunc(allScenarios(), func(s scenario) bool { return s.cgo && !usesCgo || s.pure && usesCgo })
}

func allScenarios() []scenario {
	return []scenario{
		{name: "one thread", check: func() error { return everyThread(0, sysgate.MethodSeccomp, sysgate.EvidenceTasks) }},
		{name: "64 threads", check: func() error { return everyThread(64, sysgate.MethodSeccomp, sysgate.EvidenceTasks) }},
		{name: "threads that come and go", check: func() error { return restlessThreads(sysgate.MethodSeccomp) }},
		{name: "this thread", check: thisThread},
		{name: "log and spec_allow", check: logAndSpecAllow},
		{name: "actions of newer kernels", check: newActions},
		{name: "a thread with its own filter", check: ownFilter},
		{name: "a thread with its own filter, listener", check: ownFilterListener},
		{name: "openat denied", check: func() error { return denied("openat", "errno(EACCES)", sysgate.EvidenceMode) }},
		{name: "read denied", check: func() error { return denied("read", "errno(EACCES)", sysgate.EvidenceMode) }},
		{name: "getdents64 and prctl denied", check: func() error { return denied("getdents64, prctl", "errno(EACCES)", sysgate.EvidenceReply) }},
		{name: "openat kills", check: openatKills, dies: true},
		{name: "second filter", check: secondFilter},
		{name: "an older filter that kills", check: underKiller},
		{name: "no proc", prepare: withoutProc, check: func() error { return everyThread(4, sysgate.MethodSeccomp, sysgate.EvidenceMode) }},
		{name: "chroot", prepare: inChroot, check: func() error { return everyThread(4, sysgate.MethodSeccomp, sysgate.EvidenceMode) }},
		{name: "not root", prepare: asNobody, check: func() error { return everyThread(4, sysgate.MethodSeccomp, sysgate.EvidenceTasks) }},
		{name: "not root, keeping privileges", prepare: asNobody, check: withoutRight},
		{name: "seccomp(2) ENOSYS, one thread", pure: true, prepare: seccompAnswers(unix.ENOSYS), check: func() error { return everyThread(0, sysgate.MethodPrctl, sysgate.EvidenceReply) }},
		{name: "seccomp(2) ENOSYS, 64 threads", pure: true, prepare: seccompAnswers(unix.ENOSYS), check: func() error { return everyThread(64, sysgate.MethodPrctl, sysgate.EvidenceReply) }},
		{name: "seccomp(2) ENOSYS, threads that come and go", pure: true, prepare: seccompAnswers(unix.ENOSYS), check: func() error { return restlessThreads(sysgate.MethodPrctl) }},
		{name: "seccomp(2) EPERM", pure: true, prepare: seccompAnswers(unix.EPERM), check: func() error { return everyThread(4, sysgate.MethodPrctl, sysgate.EvidenceReply) }},
		{name: "seccomp(2) ENOSYS, cgo", cgo: true, prepare: seccompAnswers(unix.ENOSYS), check: reachesNoThread},
		{name: "seccomp(2) ENOSYS, flags", prepare: seccompAnswers(unix.ENOSYS), check: flagsWithoutSeccomp},
		{name: "seccomp(2) ENOSYS, tgkill denied", prepare: seccompAnswers(unix.ENOSYS), check: unreachable},
		{name: lying, prepare: seccompAnswers(0), check: lied},
	}
}

// getppid fails with EUCLEAN under this policy, everything else is allowed.
const denyGetppid = `
version: 1
default_action: allow
syscalls:
- action: errno(EUCLEAN)
  names: [getppid]
`

// features are those of the kernel, as the program finds it in its setting.
var features sysgate.FeatureSet

// install installs a policy. Every policy means kill_process for the calls of other
// architectures; a kernel that does not know it has to be refused, and then to be
// degraded to.
func install(text string, o sysgate.Options) (*sysgate.Installed, error) {
	in, err := installAsItIs(text, o)
	if features.HasAction(abi.KillProcess) || o.BestEffort {
		return in, err
	}
	if err == nil {
		return nil, errors.New("installed, though the kernel has no kill_process")
	}
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "action kill_process (Linux 4.14)") {
		return nil, err
	}
	o.BestEffort = true
	if in, err = installAsItIs(text, o); err != nil {
		return nil, err
	}
	return in, wantLoss(in, "action kill_process")
}

func installAsItIs(text string, o sysgate.Options) (*sysgate.Installed, error) {
	p, err := policy.Parse("test.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	return sysgate.Install(p, o)
}

// wantLoss returns an error if in does not report all of the losses.
func wantLoss(in *sysgate.Installed, features ...string) error {
	for _, f := range features {
		if !slices.ContainsFunc(in.Losses, func(l sysgate.Loss) bool { return l.Feature == f && l.Effect != "" }) {
			return fmt.Errorf("losses %v, want %s", in.Losses, f)
		}
	}
	return nil
}

// everyThread installs a filter with more threads running beside those of the
// runtime, and asks each whether it has it.
func everyThread(more int, method sysgate.Method, evidence sysgate.Evidence) error {
	results := startThreads(more)
	in, err := install(denyGetppid, sysgate.Options{})
	if err != nil {
		return err
	}
	if in.Method != method || in.Verified != evidence {
		return fmt.Errorf("installed by %q, verified by %q; want %q, %q", in.Method, in.Verified, method, evidence)
	}
	seen := map[int]bool{}
	for _, r := range append(results(), ask()) {
		if r.errno != unix.EUCLEAN {
			return fmt.Errorf("thread %d: getppid: errno %d", r.tid, r.errno)
		}
		seen[r.tid] = true
	}
	if len(seen) < more {
		return fmt.Errorf("%d threads answered, want %d", len(seen), more)
	}
	return everyStatus()
}

// everyStatus looks at the threads in /proc, if it is there: the filter of the test
// allows that.
func everyStatus() error {
	tasks, err := kernel.Tasks(true)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if t.Mode != 2 || t.NoNewPrivs == 0 {
			return fmt.Errorf("thread %+v", t)
		}
	}
	return nil
}

type answer struct {
	tid   int
	errno syscall.Errno
}

func ask() answer {
	_, _, errno := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	return answer{unix.Gettid(), errno}
}

// startThreads starts threads, which ask when the function that it returns is
// called.
func startThreads(n int) func() []answer {
	goAhead := make(chan bool)
	answers := make(chan answer)
	var started sync.WaitGroup
	for range n {
		started.Add(1)
		go func() {
			runtime.LockOSThread()
			started.Done()
			<-goAhead
			answers <- ask()
			select {} // a thread with a filter must not go back to the pool if only some have it
		}()
	}
	started.Wait()
	return func() []answer {
		close(goAhead)
		all := make([]answer, n)
		for i := range all {
			all[i] = <-answers
		}
		return all
	}
}

// restlessThreads installs a filter while threads start and end. None slips through,
// and those that start later have it.
func restlessThreads(method sysgate.Method) error {
	var stop atomic.Bool
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for !stop.Load() {
				ended := make(chan bool)
				go func() {
					runtime.LockOSThread() // and so the thread ends with the goroutine
					close(ended)
				}()
				<-ended
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	in, err := install(denyGetppid, sysgate.Options{})
	if err != nil {
		return err
	}
	if in.Method != method {
		return fmt.Errorf("installed by %q", in.Method)
	}
	late := startThreads(8)
	time.Sleep(20 * time.Millisecond)
	stop.Store(true)
	all.Wait()
	for _, r := range append(late(), ask()) {
		if r.errno != unix.EUCLEAN {
			return fmt.Errorf("thread %d: getppid: errno %d", r.tid, r.errno)
		}
	}
	return everyStatus()
}

func thisThread() error {
	others := startThreads(4)
	in, err := install(denyGetppid, sysgate.Options{ThisThread: true})
	if err != nil {
		return err
	}
	if in.Method != sysgate.MethodSeccomp || in.Verified != sysgate.EvidenceTasks {
		return fmt.Errorf("installed by %q, verified by %q", in.Method, in.Verified)
	}
	if mine := ask(); mine.errno != unix.EUCLEAN {
		return fmt.Errorf("the calling thread: getppid: errno %d", mine.errno)
	}
	for _, r := range others() {
		if r.errno != 0 {
			return fmt.Errorf("thread %d: getppid: errno %d", r.tid, r.errno)
		}
	}
	return nil
}

// logAndSpecAllow wants flags, which an old kernel has to be refused for by name.
func logAndSpecAllow() error {
	o := sysgate.Options{Log: true, SpecAllow: true}
	var missing []string
	for _, name := range []string{"log", "spec_allow"} {
		if !features.HasFlag(name) {
			missing = append(missing, "flag "+name)
		}
	}
	if len(missing) > 0 {
		_, err := installAsItIs(denyGetppid, o)
		for _, m := range missing {
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), m) {
				return fmt.Errorf("result of Install: %v, want an error that names the %s", err, m)
			}
		}
		o.BestEffort = true
	}
	in, err := install(denyGetppid, o)
	if err != nil {
		return err
	}
	return errors.Join(wantLoss(in, missing...), everyStatus())
}

var allowAll = bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}

// otherFilter gives another thread a filter of its own and returns its ID.
func otherFilter() (int, error) {
	tid := make(chan int)
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(allowAll, 0)); err != nil {
			failed <- err
			return
		}
		tid <- unix.Gettid()
		select {}
	}()
	select {
	case err := <-failed:
		return 0, err
	case id := <-tid:
		return id, nil
	}
}

func ownFilter() error { return diverging(sysgate.Options{}) }

func ownFilterListener() error {
	o := sysgate.Options{Listener: true}
	if features.HasFlag("tsync_esrch") {
		return diverging(o)
	}
	_, err := installAsItIs(denyGetppid, o)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "flag tsync_esrch (Linux 5.7)") {
		return fmt.Errorf("result of Install: %v, want an error that names the flag", err)
	}
	return nil
}

// newActions installs actions that old kernels lack. user_notify fails the call with
// ENOSYS in any case: nobody listens. For log there is nothing that could stand.
func newActions() error {
	const text = "version: 1\ndefault_action: allow\nbad_arch_action: kill_thread\nsyscalls:\n- {action: %s, names: [getpgid]}\n"
	var lost []string
	notify := fmt.Sprintf(text, "user_notify")
	if !features.HasAction(abi.UserNotify) {
		lost = []string{"action user_notify"}
		if _, err := install(notify, sysgate.Options{}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), lost[0]) {
			return fmt.Errorf("result of Install: %v, want an error that names the %s", err, lost[0])
		}
	}
	in, err := install(notify, sysgate.Options{BestEffort: true})
	if err != nil {
		return err
	}
	if err := wantLoss(in, lost...); err != nil || len(in.Losses) != len(lost) {
		return fmt.Errorf("losses %v: %w", in.Losses, err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_GETPGID, 0, 0, 0); errno != unix.ENOSYS {
		return fmt.Errorf("getpgid: errno %d, want ENOSYS", errno)
	}
	in, err = install(fmt.Sprintf(text, "log"), sysgate.Options{BestEffort: true})
	if features.HasAction(abi.Log) {
		return err
	}
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "action log (Linux 4.14)") {
		return fmt.Errorf("result of Install: %+v, %v, want an error that names the action log", in, err)
	}
	return nil
}

func diverging(o sysgate.Options) error {
	tid, err := otherFilter()
	if err != nil {
		return err
	}
	_, err = install(denyGetppid, o)
	var thread *sysgate.ThreadError
	if !errors.As(err, &thread) || thread.TID != tid || !errors.Is(err, sysgate.ErrThread) {
		return fmt.Errorf("result of Install: %v, want an error about thread %d", err, tid)
	}
	if r := ask(); r.errno != 0 {
		return fmt.Errorf("the filter is in place after all: errno %d", r.errno)
	}
	return nil
}

// denied installs a filter that denies calls which the loader would like to make.
func denied(names, action string, evidence sysgate.Evidence) error {
	text := fmt.Sprintf("version: 1\ndefault_action: allow\nsyscalls:\n- {action: %s, names: [%s]}\n- {action: errno(EUCLEAN), names: [getppid]}\n", action, names)
	others := startThreads(4)
	in, err := install(text, sysgate.Options{})
	if err != nil {
		return err
	}
	if in.Verified != evidence {
		return fmt.Errorf("verified by %q, want %q", in.Verified, evidence)
	}
	for _, r := range others() {
		if r.errno != unix.EUCLEAN {
			return fmt.Errorf("thread %d: getppid: errno %d", r.tid, r.errno)
		}
	}
	return nil
}

// openatKills dies of an openat, but not of one of the loader's.
func openatKills() error {
	if !features.HasAction(abi.KillProcess) {
		return skip("the kernel has no kill_process")
	}
	if err := denied("openat", "kill_process", sysgate.EvidenceMode); err != nil {
		return err
	}
	fmt.Println("installed")
	_, err := os.Open("/")
	return fmt.Errorf("still here: %v", err)
}

// secondFilter puts a stricter filter on top of another.
func secondFilter() error {
	if err := everyThread(4, sysgate.MethodSeccomp, sysgate.EvidenceTasks); err != nil {
		return err
	}
	in, err := install(strings.ReplaceAll(denyGetppid, "getppid", "getpgrp, getpgid"), sysgate.Options{})
	if err != nil {
		return err
	}
	if in.Verified != sysgate.EvidenceReply {
		return fmt.Errorf("verified by %q, though what the first filter denies is not known", in.Verified)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_GETPGID, 0, 0, 0); errno != unix.EUCLEAN {
		return fmt.Errorf("getpgid: errno %d", errno)
	}
	tasks, err := kernel.Tasks(true)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if t.Filters >= 0 && t.Filters != 2 {
			return fmt.Errorf("thread %+v, want two filters", t)
		}
	}
	return nil
}

// underKiller installs a filter under an older one that kills for what a loader might
// do beside installing.
func underKiller() error {
	var a bpf.Assembler
	kill := a.NewLabel()
	a.Stmt(bpf.LdAbs, bpf.OffsetNR)
	for _, name := range []string{"uname", "capget", "open", "openat", "openat2", "getdents64", "readlink", "readlinkat", "stat", "newfstatat", "statx", "socket", "getuid", "geteuid", "getppid"} {
		if nr, ok := abi.Native().Lookup(name); ok {
			a.If(bpf.JeqK, nr, kill, bpf.Next)
		}
	}
	a.Stmt(bpf.RetK, uint32(abi.Allow))
	a.Bind(kill)
	a.Stmt(bpf.RetK, uint32(abi.KillProcess))
	p, err := a.Assemble()
	if err != nil {
		return err
	}
	if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(p, kernel.TSync)); err != nil {
		return err
	}
	in, err := install(strings.ReplaceAll(denyGetppid, "getppid", "getpgid"), sysgate.Options{Log: true})
	if err != nil {
		return err
	}
	if in.Method != sysgate.MethodSeccomp || in.Verified != sysgate.EvidenceReply {
		return fmt.Errorf("installed by %q, verified by %q", in.Method, in.Verified)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_GETPGID, 0, 0, 0); errno != unix.EUCLEAN {
		return fmt.Errorf("getpgid: errno %d", errno)
	}
	return nil
}

func withoutRight() error {
	_, err := install(denyGetppid, sysgate.Options{KeepPrivileges: true})
	if !errors.Is(err, sysgate.ErrPrivileges) || !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("result of Install: %v, want ErrPrivileges", err)
	}
	return nil
}

// reachesNoThread: Go does not know the threads of C, so that it cannot give each the
// filter where there is no tsync.
func reachesNoThread() error {
	for _, keep := range []bool{false, true} {
		_, err := install(denyGetppid, sysgate.Options{KeepPrivileges: keep})
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "cgo") || errors.Is(err, sysgate.ErrPrivileges) {
			return fmt.Errorf("result of Install: %v, want an error about cgo", err)
		}
	}
	if r := ask(); r.errno != 0 {
		return fmt.Errorf("the filter is in place after all: errno %d", r.errno)
	}
	return nil
}

// flagsWithoutSeccomp wants flags where only prctl(2) is left, which has none.
func flagsWithoutSeccomp() error {
	o := sysgate.Options{Log: true, SpecAllow: true, ThisThread: usesCgo}
	_, err := installAsItIs(denyGetppid, o)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "flag log") || !strings.Contains(err.Error(), "flag spec_allow") {
		return fmt.Errorf("result of Install: %v, want an error that names the flags", err)
	}
	o.BestEffort = true
	in, err := install(denyGetppid, o)
	if err != nil {
		return err
	}
	if err := wantLoss(in, "flag log", "flag spec_allow"); err != nil {
		return err
	}
	if r := ask(); r.errno != unix.EUCLEAN {
		return fmt.Errorf("getppid: errno %d", r.errno)
	}
	return nil
}

// unreachable wants a filter under which the threads cannot be given it.
func unreachable() error {
	text := "version: 1\ndefault_action: allow\nsyscalls:\n- {action: errno, names: [tgkill]}\n"
	_, err := install(text, sysgate.Options{})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "tgkill") {
		return fmt.Errorf("result of Install: %v, want an error that names tgkill", err)
	}
	// One thread needs no other.
	in, err := install(text, sysgate.Options{ThisThread: true})
	if err != nil {
		return err
	}
	if in.Method != sysgate.MethodPrctl {
		return fmt.Errorf("installed by %q", in.Method)
	}
	return nil
}

func lied() error {
	if _, err := sysgate.Features(); err == nil || !strings.Contains(err.Error(), "reports success") {
		return fmt.Errorf("result of Features: %v", err)
	}
	in, err := install(denyGetppid, sysgate.Options{})
	if err == nil {
		return fmt.Errorf("installed: %+v", in)
	}
	if !strings.Contains(err.Error(), "reports success") {
		return err
	}
	return nil
}

// withoutProc takes /proc away.
func withoutProc(self string) (string, error) {
	runtime.LockOSThread()
	if os.Geteuid() != 0 {
		return "", skip("needs root")
	}
	err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		ignore(unix.EINVAL, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")),
		unix.Unmount("/proc", unix.MNT_DETACH),
	)
	return self, err
}

func inChroot(self string) (string, error) {
	if os.Geteuid() != 0 {
		return "", skip("needs root")
	}
	dir, err := os.MkdirTemp(filepath.Dir(self), "chroot")
	if err != nil {
		return "", err
	}
	if err := copyFile(filepath.Join(dir, "installer"), self); err != nil {
		return "", err
	}
	return "/installer", errors.Join(unix.Chroot(dir), os.Chdir("/"))
}

func asNobody(self string) (string, error) {
	if os.Geteuid() != 0 {
		return self, nil
	}
	const nobody = 65534
	return self, errors.Join(syscall.Setgroups(nil), syscall.Setresgid(nobody, nobody, nobody), syscall.Setresuid(nobody, nobody, nobody))
}

// seccompAnswers gives the program a filter that answers seccomp(2), as an older
// kernel or a container runtime does.
func seccompAnswers(errno syscall.Errno) func(string) (string, error) {
	return func(self string) (string, error) {
		runtime.LockOSThread()
		p := bpf.Program{
			bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
			bpf.Jump(bpf.JeqK, unix.SYS_SECCOMP, 0, 1),
			bpf.Stmt(bpf.RetK, uint32(abi.Errno.WithData(uint16(errno)))),
			bpf.Stmt(bpf.RetK, uint32(abi.Allow)),
		}
		return self, errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(p, 0))
	}
}
