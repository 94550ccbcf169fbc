package record

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/testkit"
)

// allowAll is the filter of a base that knows everything.
func allowAll(abi.Call) (bpf.Program, error) {
	return bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}, nil
}

// BenchmarkOverhead runs programs under each recorder and under the tools that do the
// same, and in between alone, and reports how many times longer they take: the best of
// some rounds each, from the program's start to its end, as time ("x") and as time of a
// CPU ("cpu-x": the program's, and that of another tool). What comes before the start
// is "setup-ms"; of another tool, all that it takes for a program that does nothing.
// "answer" is a loop in C that lets every call go on and does nothing else: what notify
// cannot be below. "base" is the filter of one instruction that allows everything: what no
// base can be below.
//
//	nice -n -15 go test -run '^$' -bench Overhead -benchtime 1x ./internal/record
func BenchmarkOverhead(b *testing.B) {
	testkit.NeedFilters(b)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skip(err)
	}
	goRoot := strings.TrimSpace(string(root))
	for _, workload := range []struct {
		name string
		args []string
	}{
		{"calls", []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=500000", "status=none"}},
		{"gofmt", []string{filepath.Join(goRoot, "bin", "gofmt"), "-l", filepath.Join(goRoot, "src", "crypto")}},
		{"forks", []string{"sh", "-c", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"}},
	} {
		b.Run(workload.name, func(b *testing.B) { overhead(b, workload.args) })
	}
}

// rounds are many, because other work on the machine only adds; but not of what is slow.
const rounds, fewRounds, slowRounds = 9, 5, 2

// A cost is what a run took.
type cost struct{ wall, cpu, setup time.Duration }

func overhead(b *testing.B, args []string) {
	compare := func(b *testing.B, rounds int, run func() (cost, error)) {
		var alone, with []cost
		for range rounds { // in a random order
			for list, run := range map[*[]cost]func() (cost, error){&alone: func() (cost, error) { return unwatched(b, args) }, &with: run} {
				c, err := measured(run)
				if err != nil {
					b.Fatal(err)
				}
				*list = append(*list, c)
			}
		}
		least := func(list []cost, of func(cost) time.Duration) float64 {
			times := make([]time.Duration, len(list))
			for i, c := range list {
				times[i] = of(c)
			}
			return slices.Min(times).Seconds()
		}
		wall := func(c cost) time.Duration { return c.wall }
		cpu := func(c cost) time.Duration { return c.cpu }
		b.ReportMetric(least(with, wall)/least(alone, wall), "x")
		b.ReportMetric(least(with, cpu)/least(alone, cpu), "cpu-x")
		b.ReportMetric(1000*least(with, func(c cost) time.Duration { return c.setup }), "setup-ms")
		b.ReportMetric(0, "ns/op")
	}
	for _, own := range []struct {
		name   string
		r      Recorder
		filter func(abi.Call) (bpf.Program, error)
		rounds int
	}{
		{"ebpf", ebpfRecorder{}, nil, rounds},
		{"base", notifyRecorder{}, allowAll, rounds},
		{"notify", notifyRecorder{}, tellAll, fewRounds},
		{"ptrace", ptraceRecorder{}, nil, slowRounds},
	} {
		b.Run(own.name, func(b *testing.B) {
			compare(b, own.rounds, func() (cost, error) {
				target := &Target{Command: command(b, args...), Filter: own.filter, Guard: []string{guardArg}}
				if err := own.r.Usable(target); err != nil {
					b.Skip(err)
				}
				result, err := own.r.Record(b.Context(), target)
				if err != nil {
					return cost{}, err
				}
				return cost{wall: result.Took, setup: result.Setup}, nil
			})
		})
	}
	b.Run("answer", func(b *testing.B) {
		testkit.Need(b, testkit.CC)
		program := filepath.Join(b.TempDir(), "answer")
		if out, err := exec.Command("gcc", "-O2", "-o", program, "testdata/answer.c").CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		compare(b, fewRounds, func() (cost, error) {
			out, err := exec.CommandContext(b.Context(), program, args...).Output()
			if err != nil {
				return cost{}, fmt.Errorf("answer: %w", err)
			}
			lines := strings.Fields(string(out)) // the program's own, and the last
			took, err := time.ParseDuration(lines[len(lines)-1] + "s")
			return cost{wall: took}, err
		})
	})
	for _, peer := range [][]string{
		{"strace", "-f", "-c", "-o", "/dev/null"},
		{"strace", "-f", "--seccomp-bpf", "-c", "-o", "/dev/null"},
		{"perf", "trace", "-s", "-o", "/dev/null"},
	} {
		b.Run(strings.Join(peer[:len(peer)-2], "_"), func(b *testing.B) {
			if _, err := exec.LookPath(peer[0]); err != nil {
				b.Skip(err)
			}
			compare(b, slowRounds, func() (cost, error) {
				setup, err := timed(append(slices.Clone(peer), "true"))
				if err != nil {
					return cost{}, err
				}
				took, err := timed(append(slices.Clone(peer), args...))
				return cost{wall: took - setup, setup: setup}, err
			})
		})
	}
}

// measured adds what children took of the CPUs.
func measured(run func() (cost, error)) (cost, error) {
	children := func() time.Duration {
		var u unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_CHILDREN, &u) // cannot fail
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := children()
	c, err := run()
	c.cpu = children() - before
	return c, err
}

// unwatched runs the program as a recorder does, without one.
func unwatched(b *testing.B, args []string) (cost, error) {
	prepared, err := launch.Prepare(command(b, args...))
	if err != nil {
		return cost{}, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	program, err := prepared.Start(nil)
	if err != nil {
		return cost{}, err
	}
	begun := time.Now()
	_, err = program.Wait()
	return cost{wall: time.Since(begun)}, err
}

func timed(args []string) (time.Duration, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = null, null
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%v: %w", args, err)
	}
	return time.Since(begun), nil
}
