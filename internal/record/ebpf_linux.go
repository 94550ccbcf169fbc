package record

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proc"
)

// ebpfRecorder counts in the kernel.
type ebpfRecorder struct{}

func (ebpfRecorder) Name() string { return "ebpf" }

func (ebpfRecorder) Usable(t *Target) error {
	release, err := kernel.Release()
	if err != nil {
		return err
	}
	needs := abi.Kernel{Major: 5, Minor: 13} // bpf_task_storage_get at tracepoints
	switch {
	case t.Based:
		return errors.New("cannot leave out what a base policy knows")
	case machines[runtime.GOARCH] == nil:
		return fmt.Errorf("is for amd64 and arm64, not %s", runtime.GOARCH)
	case release.Before(needs):
		return fmt.Errorf("needs Linux %v, this is %v", needs, release)
	case !capable(unix.CAP_SYS_ADMIN) && !(capable(unix.CAP_BPF) && capable(unix.CAP_PERFMON)):
		return errors.New("needs CAP_BPF and CAP_PERFMON")
	}
	if initial, err := proc.Initial("/proc"); err != nil {
		return err
	} else if !initial {
		return errors.New("works in the initial PID namespace only: elsewhere the kernel's numbers of processes are others")
	}
	// Root without CAP_SYS_RESOURCE in a container, lockdown(7): only trying tells.
	probe, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, License: programLicense,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("the kernel takes no program: %w", err)
	}
	return probe.Close()
}

// capable reports whether this thread has a capability in effect.
func capable(number int) bool {
	set, err := kernel.Capabilities()
	return err == nil && set>>number&1 != 0
}

// programLicense is what the kernel asks of programs that call the helpers which
// read its memory. It is said of the instructions that are loaded, which this
// package assembles.
const programLicense = "Dual MIT/GPL"

// An ebpfSession is programs in the kernel.
type ebpfSession struct {
	maps    ebpfMaps
	links   []link.Link
	machine *machine
	exits   *ebpf.Program // sys_exit
	waiters []int         // the CPUs of those who attach it when a filter is installed; nil: it is attached
}

func (s *ebpfSession) Close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	if s.exits != nil {
		errs = append(errs, s.exits.Close())
	}
	for m := range s.maps.specs() {
		if *m != nil {
			errs = append(errs, (*m).Close())
		}
	}
	return errors.Join(errs...)
}

// openEBPF loads and attaches the programs. Nothing is watched yet. running: what is
// watched may run already. filtered: it may be under a filter.
func openEBPF(running, filtered bool) (s *ebpfSession, err error) {
	s = &ebpfSession{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	release, err := kernel.Release()
	if err != nil {
		return s, err
	}
	o, err := kernelOffsets()
	if err != nil {
		return s, err
	}
	s.machine = o.machine
	for m, spec := range s.maps.specs() {
		if *m, err = ebpf.NewMap(spec); err != nil {
			return s, fmt.Errorf("ebpf: map %s: %w", spec.Name, err)
		}
	}
	if err := s.putModes(); err != nil {
		return s, err
	}
	if !filtered && !release.Before(loopSince) {
		if s.waiters, err = waiterCPUs(); err != nil {
			return s, err
		}
	}
	follows := s.waiters != nil
	if s.exits, err = load("sys_exit", s.maps.exit(o, running)); err != nil {
		return s, err
	}
	for _, p := range []struct {
		tracepoint string
		code       asm.Instructions
	}{
		// A task is never watched by half: the calls come last.
		{"sched_process_exit", s.maps.end()},
		{"sched_process_fork", s.maps.fork(o)},
		{"sched_process_exec", s.maps.exec(o)},
		{"sys_enter", s.maps.enter(o, running, follows)},
	} {
		if p.tracepoint == "sys_enter" && !follows {
			if err := s.watchExits(); err != nil {
				return s, err
			}
		}
		program, err := load(p.tracepoint, p.code)
		if err != nil {
			return s, err
		}
		if err := errors.Join(s.attach(program), program.Close()); err != nil { // the link holds it
			return s, err
		}
	}
	return s, nil
}

// load loads a program for a tracepoint.
func load(tracepoint string, code asm.Instructions) (*ebpf.Program, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: tracepoint, Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: tracepoint,
		Instructions: code, License: programLicense,
	})
	if err != nil {
		return nil, fmt.Errorf("ebpf: %s: %w", tracepoint, err)
	}
	return program, nil
}

func (s *ebpfSession) attach(program *ebpf.Program) error {
	l, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err != nil {
		return fmt.Errorf("ebpf: attach %v: %w", program, err)
	}
	s.links = append(s.links, l)
	return nil
}

// putModes says which arguments are looked at.
func (s *ebpfSession) putModes() error {
	for i, table := range s.machine.tables {
		for n := range uint32(numbers) {
			masks, ok := observe.Modes(table.a, table.base+n)
			if !ok {
				continue
			}
			entry := make([]byte, modesSize)
			for arg, mask := range masks {
				binary.NativeEndian.PutUint64(entry[8*arg:], mask)
			}
			binary.NativeEndian.PutUint32(entry[modesAny:], 1)
			if arg, ok := installs[table.a.SyscallName(table.base+n)]; ok {
				binary.NativeEndian.PutUint32(entry[modesInstall:], arg+1)
			}
			if err := s.maps.Modes.Put(uint32(i*numbers)+n, entry); err != nil {
				return fmt.Errorf("ebpf: modes: %w", err)
			}
		}
	}
	return nil
}

// watch has a thread watched, in a state.
func (s *ebpfSession) watch(tid int, state uint32) error {
	entry := make([]byte, 8)
	binary.NativeEndian.PutUint32(entry, state)
	if err := s.maps.Watched.Put(uint32(tid), entry); err != nil {
		return fmt.Errorf("ebpf: watch thread %d: %w", tid, err)
	}
	return nil
}

// left returns the threads that are watched.
func (s *ebpfSession) left() (tids []int, err error) {
	var tid uint32
	var entry []byte
	tasks := s.maps.Watched.Iterate()
	for tasks.Next(&tid, &entry) {
		tids = append(tids, int(tid))
	}
	// A map that changes meanwhile cannot be read to its end.
	if err := tasks.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, fmt.Errorf("ebpf: tasks: %w", err)
	}
	return tids, nil
}

func (r ebpfRecorder) Record(ctx context.Context, t *Target) (result *Result, err error) {
	begun := time.Now()
	own, err := kernel.Mode()
	if err != nil {
		return nil, err
	}
	s, err := openEBPF(t.attaches(), t.attaches() || own != 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	result = &Result{Run: &observe.Run{Recorder: r.Name()}}
	var doubts []string
	if s.waiters != nil {
		stop, err := s.awaitFilter()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if t.attaches() {
		result.Run.Start = time.Now()
		if err := s.watchProcess(t.PID); err != nil {
			return nil, err
		}
		result.Setup = time.Since(begun)
		doubts = append(doubts, "the program ran before the recording began")
	} else if err := s.start(ctx, t, result, begun); err != nil {
		return nil, err
	}
	if err := s.waitForRest(ctx, t, result); err != nil {
		return nil, err
	}
	left, err := s.left()
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		doubts = append(doubts, fmt.Sprintf("the recording ended before the program: %d of its threads went on", len(left)))
	}
	result.Run.Doubts = doubts
	return result, s.read(result.Run)
}

// watchProcess watches a process that runs, and what it has started. Threads that start
// meanwhile are watched as children of those that are, or seen by the next look.
func (s *ebpfSession) watchProcess(pid int) error {
	seen := map[int]bool{}
	for {
		tids, err := tree(pid)
		if err != nil {
			return err
		}
		before := len(seen)
		for _, tid := range tids {
			if seen[tid] {
				continue
			}
			seen[tid] = true
			if err := s.watch(tid, taskArmed); err != nil {
				return err
			}
		}
		if len(seen) == before {
			return s.forgetEnded()
		}
	}
}

// forgetEnded: a thread that ended before it was watched is not told of any more.
func (s *ebpfSession) forgetEnded() error {
	watched, err := s.left()
	if err != nil {
		return err
	}
	for _, tid := range watched {
		if unix.Kill(tid, 0) == nil {
			continue
		}
		if err := s.maps.Watched.Delete(uint32(tid)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("ebpf: forget thread %d: %w", tid, err)
		}
	}
	return nil
}

// start runs the command to its end. Its first process is a child of a thread that
// is watched for this moment.
func (s *ebpfSession) start(ctx context.Context, t *Target, result *Result, begun time.Time) error {
	prepared, err := launch.Prepare(t.Command)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self := unix.Gettid()
	if err := s.watch(self, 0); err != nil {
		return errors.Join(err, prepared.Close())
	}
	result.Run.Start = time.Now()
	program, err := prepared.Start(nil)
	started := time.Now()
	result.Setup = started.Sub(begun)
	forget := s.maps.Watched.Delete(uint32(self))
	if err != nil {
		return err
	}
	result.Status, result.Ended, err = wait(ctx, t, program)
	result.Took = time.Since(started)
	return errors.Join(err, forget)
}

// waitForRest waits until nothing is watched any more, and says so if that takes.
func (s *ebpfSession) waitForRest(ctx context.Context, t *Target, result *Result) error {
	rest, stop := restOf(ctx, t, result)
	defer stop()
	const first, last = time.Millisecond, 200 * time.Millisecond
	said := t.attaches()
	for pause := first; ; pause = min(2*pause, last) {
		left, err := s.left()
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if pause == last && !said {
			said = true
			t.sayLeft(left)
		}
		select {
		case <-rest.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// read reads what was counted.
func (s *ebpfSession) read(run *observe.Run) error {
	exes := map[uint32]string{}
	var path []byte
	var id uint32
	all := s.maps.Exes.Iterate()
	for all.Next(&path, &id) {
		text, _, _ := strings.Cut(string(path), "\x00")
		exes[id] = text
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("ebpf: executables: %w", err)
	}
	var tally observe.Tally
	first := map[*observe.Made]uint64{}
	add := func(m *observe.Made, e ebpfCount, denied bool) {
		if m.Count += e.count; denied {
			m.Denied += e.count
		}
		if when, ok := first[m]; !ok || e.first < when {
			first[m], m.Exe = e.first, exes[e.exe]
		}
	}
	for _, counts := range []*ebpf.Map{s.maps.Counts, s.maps.Denied} {
		for index := range uint32(numbers * abis) {
			var cpus [][]byte
			if err := counts.Lookup(index, &cpus); err != nil {
				return fmt.Errorf("ebpf: counts: %w", err)
			}
			for _, data := range cpus {
				if e := countOf(data); e.count > 0 {
					m, _ := tally.Call(s.machine.callAt(index))
					add(m, e, counts == s.maps.Denied)
				}
			}
		}
	}
	var key, value []byte
	others := s.maps.Others.Iterate()
	for others.Next(&key, &value) {
		index, nr := binary.NativeEndian.Uint32(key), binary.NativeEndian.Uint32(key[4:])
		a := s.machine.tables[index].a
		if a == abi.AMD64 && nr&abi.X32Bit != 0 && nr != ^uint32(0) {
			a = abi.X32
		}
		m, _ := tally.Call(a, nr)
		add(m, countOf(value), binary.NativeEndian.Uint32(key[8:]) == 1)
	}
	if err := others.Err(); err != nil {
		return fmt.Errorf("ebpf: numbers: %w", err)
	}
	if err := s.readValues(&tally); err != nil {
		return err
	}
	if err := s.readMisses(run); err != nil {
		return err
	}
	run.Calls = tally.Calls()
	return nil
}

func (s *ebpfSession) readValues(tally *observe.Tally) error {
	var key []byte
	var n uint64
	values := s.maps.Values.Iterate()
	for values.Next(&key, &n) {
		var args [6]uint64
		for i := range args {
			args[i] = binary.NativeEndian.Uint64(key[8+8*i:])
		}
		a, nr := s.machine.callAt(binary.NativeEndian.Uint32(key))
		tally.AddValue(a, nr, args, n)
	}
	if err := values.Err(); err != nil {
		return fmt.Errorf("ebpf: values: %w", err)
	}
	for index := range uint32(numbers * abis) {
		if err := s.maps.Open.Lookup(index, &n); err != nil {
			return fmt.Errorf("ebpf: values: %w", err)
		}
		if n > 0 {
			m, _ := tally.Call(s.machine.callAt(index))
			m.Open = true
		}
	}
	return nil
}

// readMisses says what had no room.
func (s *ebpfSession) readMisses(run *observe.Run) error {
	var misses [counters]uint64
	for i := range misses {
		if err := s.maps.Special.Lookup(uint32(i), &misses[i]); err != nil {
			return fmt.Errorf("ebpf: counters: %w", err)
		}
	}
	if n := misses[missTask]; n > 0 {
		run.Doubts = append(run.Doubts, fmt.Sprintf("%d threads too many at a time: their calls are missing", n))
	}
	if n := misses[missExe]; n > 0 {
		run.Doubts = append(run.Doubts, fmt.Sprintf("%d executables too many: which of them made a call first is not known", n))
	}
	if misses[missExits] > 0 {
		run.Doubts = append(run.Doubts, "the program installed a filter, and sysgate was too busy to follow: the first calls that it denied may be missing")
	}
	run.Lost = misses[missNumber]
	return nil
}

// An ebpfCount is an entry of a count.
type ebpfCount struct {
	count, first uint64
	exe          uint32
}

func countOf(data []byte) ebpfCount {
	return ebpfCount{
		binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[countTime:]),
		binary.NativeEndian.Uint32(data[countExe:]),
	}
}

// callAt returns the call at an index of the tables.
func (m *machine) callAt(index uint32) (abi.ABI, uint32) {
	table := m.tables[index/numbers]
	return table.a, table.base + index%numbers
}

// statusField returns a number of /proc/PID/status.
func statusField(data []byte, name string) (int, error) {
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.TrimSpace(text))
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// processes returns the processes that threads belong to, with their names.
func processes(tids []int) []string {
	var names []string
	for _, tid := range tids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
		if err != nil {
			continue // it has ended meanwhile
		}
		var name, tgid string
		for line := range strings.Lines(string(data)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			switch key {
			case "Name":
				name = strings.TrimSpace(value)
			case "Tgid":
				tgid = strings.TrimSpace(value)
			}
		}
		if text := fmt.Sprintf("%s (%s)", name, tgid); !slices.Contains(names, text) {
			names = append(names, text)
		}
	}
	return names
}
