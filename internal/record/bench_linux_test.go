package record

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
)

// allowAll is the filter of a base that knows everything.
func allowAll(abi.Call) (bpf.Program, error) {
	return bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}, nil
}

// BenchmarkOverhead runs programs under each recorder and under the tools that do the
// same, and reports how many times longer they take than alone, all in one run: the
// best of some rounds, and for other tools without the time that they take for a
// program that does nothing. "setup-ms" is that time, or the recorder's own.
//
//	go test -run '^$' -bench Overhead -benchtime 1x ./internal/record
func BenchmarkOverhead(b *testing.B) {
	testkit.NeedFilters(b)
	gofmt, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skip(err)
	}
	root := strings.TrimSpace(string(gofmt))
	for _, workload := range []struct {
		name string
		args []string
	}{
		{"calls", []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200000", "status=none"}},
		{"gofmt", []string{filepath.Join(root, "bin", "gofmt"), "-l", filepath.Join(root, "src", "strings")}},
		{"shell", []string{"sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do ls / >/dev/null; done"}},
	} {
		b.Run(workload.name, func(b *testing.B) { overhead(b, workload.args) })
	}
}

// rounds are many, because other work on the machine only adds; but not of what is slow.
const rounds, slowRounds = 9, 2

func overhead(b *testing.B, args []string) {
	alone := best(b, rounds, func() (time.Duration, time.Duration, error) {
		took, err := timed(args)
		return took, 0, err
	})
	report := func(b *testing.B, rounds int, run func() (took, setup time.Duration, err error)) {
		var setups []time.Duration
		took := best(b, rounds, func() (time.Duration, time.Duration, error) {
			took, setup, err := run()
			setups = append(setups, setup)
			return took, setup, err
		})
		b.ReportMetric(float64(took)/float64(alone), "x")
		b.ReportMetric(slices.Min(setups).Seconds()*1000, "setup-ms")
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
		{"notify", notifyRecorder{}, tellAll, rounds},
		{"ptrace", ptraceRecorder{}, nil, slowRounds},
	} {
		b.Run(own.name, func(b *testing.B) {
			report(b, own.rounds, func() (took, setup time.Duration, err error) {
				target := &Target{Command: command(b, args...), Filter: own.filter, Guard: []string{guardArg}}
				if err := own.r.Usable(target); err != nil {
					b.Skip(err)
				}
				result, err := own.r.Record(b.Context(), target)
				if err != nil {
					return 0, 0, err
				}
				return result.Took, result.Setup, nil
			})
		})
	}
	for _, peer := range [][]string{
		{"strace", "-f", "-c", "-o", "/dev/null"},
		{"strace", "-f", "--seccomp-bpf", "-c", "-o", "/dev/null"},
		{"perf", "trace", "-s", "-o", "/dev/null"},
	} {
		b.Run(strings.Join(peer[:len(peer)-2], "_"), func(b *testing.B) {
			if _, err := exec.LookPath(peer[0]); err != nil {
				b.Skip(err)
			}
			report(b, slowRounds, func() (took, setup time.Duration, err error) {
				if setup, err = timed(append(slices.Clone(peer), "true")); err != nil {
					return 0, 0, err
				}
				took, err = timed(append(slices.Clone(peer), args...))
				return took - setup, setup, err
			})
		})
	}
}

func best(b *testing.B, rounds int, run func() (took, setup time.Duration, err error)) time.Duration {
	b.Helper()
	least := time.Duration(1 << 62)
	for range rounds {
		took, _, err := run()
		if err != nil {
			b.Fatal(err)
		}
		least = min(least, took)
	}
	return least
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
