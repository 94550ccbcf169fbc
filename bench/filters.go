package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/figures"
)

// A compiler makes a program for a benchmark policy on some ABIs, and says how
// long that took in a warm process, at the least.
type compiler struct {
	name    string
	compile func(p *figures.Policy, abis ...abi.ABI) (bpf.Program, time.Duration, error)
}

// errNotSupported is the error of a compiler that lacks what the policy needs.
var errNotSupported = errors.New("not supported")

const policies = "../testdata/policies"

// repetitions of a compilation; the least time counts.
const repetitions = 40

// filters prints the tables of compilers. rounds is how often each program is
// loaded; 0 loads none.
func filters(out io.Writer, dir string, rounds int) error {
	shares, err := readShares()
	if err != nil {
		return err
	}
	compilers, err := compilers(dir, shares)
	if err != nil {
		return err
	}
	for _, name := range []string{"P1", "P2", "P3", "P4"} {
		p, err := figures.Read(policies, name)
		if err != nil {
			return err
		}
		if err := table(out, p, compilers, shares, rounds); err != nil {
			return err
		}
	}
	p, err := figures.Read(policies, "P1")
	if err != nil {
		return err
	}
	return severalABIs(out, p, compilers, rounds)
}

func readShares() (map[string]float64, error) {
	data, err := os.ReadFile(frequencyFile)
	if err != nil {
		return nil, err
	}
	return figures.ParseFrequency(string(data))
}

const frequencyFile = "../internal/compile/frequency.tsv"

// table prints the columns of one policy on amd64.
func table(out io.Writer, p *figures.Policy, compilers []compiler, shares map[string]float64, rounds int) error {
	fmt.Fprintf(out, "\n%s on amd64: instructions, executed instructions (testdata/policies defines the columns), microseconds\n\n", p.Name)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "instructions\tworst\tuniform\tweighted\tper run\tdenied\tcached\tsteps\tcompile µs\tattach µs\tnanoseconds: cached\tchecked\tdenied\t  compiler")
	for _, c := range compilers {
		program, took, err := c.compile(p, abi.AMD64)
		if errors.Is(err, errNotSupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", p.Name, c.name, err)
		}
		f := p.Measure(program, shares, emulate)
		l := load(program, p.Name, rounds)
		fmt.Fprintf(w, "%d\t%d\t%.2f\t%.2f\t%s\t%.2f\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t  %s\n",
			f.Instructions, f.Worst, f.Uniform, f.Weighted, number(f.PerRun, 2), f.Denied, f.ConstAllow, f.Steps, micro(took),
			micro(l.attach), number(l.cached, 1), number(l.checked, 1), number(l.denied, 1), c.name)
	}
	if l := load(nil, p.Name, rounds); l.cached > 0 {
		fmt.Fprintf(w, "\t\t\t\t\t\t\t\t\t\t%s\t%s\t\t  no filter\n", number(l.cached, 1), number(l.checked, 1))
	}
	return w.Flush()
}

// severalABIs prints the size of one policy on three ABIs in one program.
func severalABIs(out io.Writer, p *figures.Policy, compilers []compiler, rounds int) error {
	fmt.Fprintf(out, "\n%s on amd64, i386 and x32 in one program\n\n", p.Name)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "instructions\tcompile µs\tattach µs\t  compiler")
	for _, c := range compilers {
		program, took, err := c.compile(p, abi.AMD64, abi.I386, abi.X32)
		if errors.Is(err, errNotSupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s on three ABIs: %s: %w", p.Name, c.name, err)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t  %s\n", len(program), micro(took), micro(load(program, p.Name, rounds).attach), c.name)
	}
	return w.Flush()
}

func micro(d time.Duration) string { return number(float64(d.Nanoseconds())/1000, 0) }

func number(v float64, digits int) string {
	if v == 0 || math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func emulate(p bpf.Program, c abi.Call) (bool, int) {
	known := build.ConstAllow(p, c)
	return known.Allowed, known.Steps
}

// compilers returns all that are compared. dir is for what has to be built.
func compilers(dir string, shares map[string]float64) ([]compiler, error) {
	lib, err := buildLibseccomp(dir)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(frequencyFile)
	if err != nil {
		return nil, err
	}
	frequency, err := build.ParseFrequency(filepath.Base(frequencyFile), data)
	if err != nil {
		return nil, err
	}
	return []compiler{
		{"sysgate", sysgate(build.Options{}, false)},
		{"sysgate, typed", sysgate(build.Options{}, true)},
		{"sysgate --optimize uncached", sysgate(build.Options{Mode: build.Uncached}, false)},
		{"sysgate --optimize uncached --frequency", sysgate(build.Options{Mode: build.Uncached, Frequency: frequency}, false)},
		{"sysgate --optimize size", sysgate(build.Options{Mode: build.Size}, false)},
		{"libseccomp " + lib.version + ", optimize 1", lib.compiler(1)},
		{"libseccomp " + lib.version + ", optimize 2", lib.compiler(2)},
		{"go-seccomp-bpf v1.6.0", goSeccompBPF},
		{"gVisor pkg/seccomp", gVisor(nil)},
		{"gVisor pkg/seccomp, hot list", gVisor(shares)},
	}, nil
}

// sysgate compiles and proves, and tells the time of the compilation alone, as for
// the others.
func sysgate(o build.Options, typed bool) func(*figures.Policy, ...abi.ABI) (bpf.Program, time.Duration, error) {
	return func(p *figures.Policy, abis ...abi.ABI) (bpf.Program, time.Duration, error) {
		r, err := p.Resolve(typed, abis...)
		if err != nil {
			return nil, 0, err
		}
		var program bpf.Program
		least := time.Hour
		for range repetitions {
			filter, err := build.BuildFor(r, o)
			if err != nil {
				return nil, 0, err
			}
			program, least = filter.Program, min(least, filter.CompileTime)
		}
		return program, least, nil
	}
}
