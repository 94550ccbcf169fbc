package testkit

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// ErrReturnsA is the error of [Oracle.Eval] for a program with RET A: what it
// returns cannot be made harmless.
var ErrReturnsA = errors.New("program returns A, which the oracle cannot rewrite")

// An Oracle asks the running kernel what a filter decides. It rewrites every
// return word to an errno of its own, installs the program in a child made for
// it, fires each call for real, with the syscall instruction or int 0x80, and
// looks which errno comes back: no call is ever executed, whatever its number.
//
// An Oracle is not for concurrent use; make one a test or goroutine, and use it
// for any number of programs (a good millisecond each, see pace, and 0.3 µs a call;
// a division by zero, which kills, costs as much as a program).
type Oracle struct {
	in  io.WriteCloser
	out io.Reader
	err *bytes.Buffer // what the victim says on its standard error
	mem []byte        // shared with the victim; the layout is victim.c's
}

//go:embed testdata/victim.c
var victimSource []byte

// Layout of the shared memory, as in victim.c.
const (
	maxBatch = 1 << 16
	callSize = 64

	headerAt  = 0
	programAt = 4096
	callsAt   = programAt + 8*bpf.MaxLen
	resultsAt = callsAt + callSize*maxBatch
	memSize   = resultsAt + 4*maxBatch
)

// killed is the victim's result for a call that ended the thread.
const killed = 1

// NewOracle builds and starts an oracle, which ends with the test. It skips the
// test where [KernelOracle] does not hold, and as [NeedFilters] does.
func NewOracle(t testing.TB) *Oracle {
	t.Helper()
	NeedFilters(t)
	Need(t, KernelOracle)
	o, err := startOracle(t, buildC(t, "victim", victimSource))
	if err != nil {
		t.Fatalf("kernel oracle: %v", err)
	}
	return o
}

// buildC compiles a C program and returns its path.
func buildC(t testing.TB, name string, source []byte) string {
	t.Helper()
	dir := t.TempDir()
	file, binary := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
	if err := os.WriteFile(file, source, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-O2", "-Wall", "-Werror", "-static", "-o", binary, file).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", file, err, out)
	}
	return binary
}

func startOracle(t testing.TB, victim string) (*Oracle, error) {
	fd, err := unix.MemfdCreate("oracle", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	shared := os.NewFile(uintptr(fd), "oracle")
	defer shared.Close()
	if err := shared.Truncate(memSize); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, memSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	cmd := exec.Command(victim)
	cmd.ExtraFiles = []*os.File{shared}
	// Not the test's own, which go test would wait for as long as the victim lives.
	o := &Oracle{mem: mem, err: new(bytes.Buffer)}
	cmd.Stderr = o.err
	if o.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if o.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		o.in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("kernel oracle: %v\n%s", err, o.err)
		}
	})
	// The victim answers once before the first command, when it is ready.
	if _, _, err := o.answer(); err != nil {
		return nil, err
	}
	return o, nil
}

// Eval returns what the kernel decides on the calls under p, which must be valid
// and have no RET A ([ErrReturnsA]) and at most 4,095 distinct return words. The
// architecture of a call is that of amd64 (x32 numbers included) or 386; all 64
// bits of each argument reach the kernel on both.
//
// fired are the calls as the kernel saw them, got[i] is the verdict on fired[i]:
// the instruction pointer is the victim's own ([Oracle.IP]), and calls 335 and
// 336 of amd64 (uretprobe, uprobe), which the kernel lets past every filter, are
// left out.
func (o *Oracle) Eval(p bpf.Program, calls []abi.Call) (fired []abi.Call, got []abi.Action, err error) {
	if err := p.Validate(); err != nil {
		return nil, nil, err
	}
	rewritten, words, err := rewriteReturns(p)
	if err != nil {
		return nil, nil, err
	}
	copy(o.mem[programAt:], rewritten.Bytes(false))
	for _, c := range calls {
		if c.Arch != abi.AMD64.AuditArch() && c.Arch != abi.I386.AuditArch() {
			return nil, nil, fmt.Errorf("call with architecture %#x: only those of amd64 and 386 can be fired", c.Arch)
		}
		if c.Arch == abi.AMD64.AuditArch() && (c.NR == 335 || c.NR == 336) {
			continue
		}
		c.IP = o.IP(c.Arch)
		fired = append(fired, c)
	}
	got = make([]abi.Action, 0, len(fired))
	for at := 0; at < len(fired); at += maxBatch {
		batch := fired[at:min(at+maxBatch, len(fired))]
		if err := o.fire(len(p), batch); err != nil {
			return nil, nil, err
		}
		for i, c := range batch {
			a, err := decode(int32(binary.LittleEndian.Uint32(o.mem[resultsAt+4*i:])), words)
			if err != nil {
				return nil, nil, fmt.Errorf("call %+v: %w", c, err)
			}
			got = append(got, a)
		}
	}
	return fired, got, nil
}

// IP returns the instruction pointer with which calls of an audit architecture
// are fired.
func (o *Oracle) IP(arch uint32) uint64 {
	at := headerAt
	if arch == abi.I386.AuditArch() {
		at += 8
	}
	return binary.LittleEndian.Uint64(o.mem[at:])
}

// rewriteReturns gives every distinct return word an errno, its index in words
// plus 1.
func rewriteReturns(p bpf.Program) (q bpf.Program, words []abi.Action, err error) {
	errnoOf := map[uint32]uint16{}
	q = append(bpf.Program(nil), p...)
	for n, i := range p {
		switch i.Code {
		case bpf.RetA:
			return nil, nil, ErrReturnsA
		case bpf.RetK:
			errno, ok := errnoOf[i.K]
			if !ok {
				words = append(words, abi.Action(i.K))
				errno = uint16(len(words))
				errnoOf[i.K] = errno
			}
			q[n].K = uint32(abi.Errno.WithData(errno))
		}
	}
	if len(words) > abi.MaxErrno {
		return nil, nil, fmt.Errorf("%d distinct return words, the oracle tells %d apart", len(words), abi.MaxErrno)
	}
	return q, words, nil
}

// decode returns the action that a victim's result stands for.
func decode(result int32, words []abi.Action) (abi.Action, error) {
	switch errno := -int(result); {
	case result == killed:
		return abi.KillThread, nil // a division by zero: no other return word is left
	case errno < 1 || errno > len(words):
		return 0, fmt.Errorf("returned %d: not an errno that the filter returns", result)
	default:
		return words[errno-1], nil
	}
}

// fire has the victim run a batch under the program in shared memory.
func (o *Oracle) fire(instructions int, batch []abi.Call) error {
	order := binary.LittleEndian
	for n, c := range batch {
		at := o.mem[callsAt+callSize*n:]
		order.PutUint32(at, c.NR)
		compat := uint32(0)
		if c.Arch == abi.I386.AuditArch() {
			compat = 1
		}
		order.PutUint32(at[4:], compat)
		for i, arg := range c.Args {
			order.PutUint64(at[8+8*i:], arg)
		}
	}
	// A child fires calls until one kills it; another child goes on.
	for at := 0; at < len(batch); {
		pace()
		var command []byte
		for _, word := range []int{instructions, len(batch), at} {
			command = order.AppendUint32(command, uint32(word))
		}
		if _, err := o.in.Write(command); err != nil {
			return fmt.Errorf("kernel oracle: %w", err)
		}
		errno, next, err := o.answer()
		if err != nil {
			return err
		}
		if errno != 0 {
			return fmt.Errorf("kernel oracle: seccomp(2): %w", errno)
		}
		at = next
	}
	return nil
}

// answer returns the errno of seccomp(2) in the victim's child, and the call
// after the last one that it fired.
func (o *Oracle) answer() (errno unix.Errno, next int, err error) {
	var b [8]byte
	if _, err := io.ReadFull(o.out, b[:]); err != nil {
		return 0, 0, fmt.Errorf("kernel oracle: no answer: %w", err)
	}
	order := binary.LittleEndian
	return unix.Errno(order.Uint32(b[:])), int(order.Uint32(b[4:])), nil
}
