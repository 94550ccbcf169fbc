package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/figures"
)

//go:embed c/libseccomp.c
var libseccompSource []byte

// A libseccomp is a program that compiles with the machine's libseccomp.
type libseccomp struct{ path, version string }

// buildLibseccomp builds the program. It needs gcc and libseccomp's headers
// (Debian: libseccomp-dev).
func buildLibseccomp(dir string) (libseccomp, error) {
	l := libseccomp{path: filepath.Join(dir, "libseccomp")}
	source := filepath.Join(dir, "libseccomp.c")
	if err := os.WriteFile(source, libseccompSource, 0o644); err != nil {
		return l, err
	}
	if out, err := exec.Command("gcc", "-O2", "-o", l.path, source, "-lseccomp").CombinedOutput(); err != nil {
		return l, fmt.Errorf("gcc, which needs libseccomp-dev: %w\n%s", err, out)
	}
	header, err := exec.Command("gcc", "-E", "-dM", "-include", "seccomp.h", "-x", "c", "/dev/null").Output()
	if err != nil {
		return l, fmt.Errorf("version of libseccomp: %w", err)
	}
	version := map[string]string{}
	for line := range strings.Lines(string(header)) {
		if f := strings.Fields(line); len(f) == 3 {
			version[f[1]] = f[2]
		}
	}
	l.version = fmt.Sprintf("%s.%s.%s", version["SCMP_VER_MAJOR"], version["SCMP_VER_MINOR"], version["SCMP_VER_MICRO"])
	return l, nil
}

// arches are the names that libseccomp has for ABIs.
var arches = map[abi.ABI]string{abi.AMD64: "x86_64", abi.I386: "x86", abi.X32: "x32"}

// operators are libseccomp's numbers of comparisons (enum scmp_compare).
var operators = map[string]int{"SCMP_CMP_LT": 2, "SCMP_CMP_EQ": 4, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7}

func (l libseccomp) compiler(optimize int) func(*figures.Policy, ...abi.ABI) (bpf.Program, time.Duration, error) {
	return func(p *figures.Policy, abis ...abi.ABI) (bpf.Program, time.Duration, error) {
		args := []string{strconv.Itoa(optimize), strconv.Itoa(repetitions)}
		for _, a := range abis {
			args = append(args, arches[a])
		}
		cmd := exec.Command(l.path, args...)
		cmd.Stdin = strings.NewReader(libseccompInput(p))
		var out, took bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &took
		if err := cmd.Run(); err != nil {
			return nil, 0, fmt.Errorf("%w: %s", err, took.String())
		}
		ns, err := strconv.Atoi(took.String())
		if err != nil {
			return nil, 0, err
		}
		program, err := bpf.FromBytes(out.Bytes(), false)
		return program, time.Duration(ns), err
	}
}

// libseccompInput writes the policy as libseccomp.c reads it.
func libseccompInput(p *figures.Policy) string {
	action := func(name string, errno uint16) uint32 {
		switch name {
		case "SCMP_ACT_ALLOW":
			return 0x7fff0000
		case "SCMP_ACT_TRAP":
			return 0x00030000
		default:
			return 0x00050000 | uint32(errno)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "default %d\n", action(p.DefaultAction, p.DefaultErrnoRet))
	for _, e := range p.Syscalls {
		for _, name := range e.Names {
			nr, ok := abi.AMD64.Lookup(name)
			if !ok {
				continue
			}
			fmt.Fprintf(&b, "%d %s %d", action(e.Action, e.ErrnoRet), name, nr)
			for _, a := range e.Args {
				fmt.Fprintf(&b, " %d %d %d %d", a.Index, operators[a.Op], a.Value, a.ValueTwo)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
