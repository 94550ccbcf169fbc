package convert

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A libseccomp is the library at work, in a process of its own.
type libseccomp struct {
	t       *testing.T
	program string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func newLibseccomp(t *testing.T) *libseccomp {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	if _, err := os.Stat("/usr/include/seccomp.h"); err != nil {
		t.Skip("libseccomp-dev is not installed")
	}
	l := &libseccomp{t: t, program: filepath.Join(t.TempDir(), "libseccomp")}
	if out, err := exec.Command(gcc, "-o", l.program, "testdata/libseccomp.c", "-lseccomp").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	l.start()
	t.Cleanup(func() {
		l.in.Close()
		if err := l.cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *libseccomp) start() {
	l.cmd = exec.Command(l.program)
	l.cmd.Stderr = os.Stderr
	in, err := l.cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.in, l.out = in, bufio.NewReader(out)
}

// What libseccomp can say instead of a filter.
var (
	errRefused = errors.New("libseccomp refuses a rule")
	errHangs   = errors.New("libseccomp does not end")
)

// filter gives libseccomp the rules of p as runc does and returns its filter.
func (l *libseccomp) filter(p ociProfile, bigEndian bool) (bpf.Program, error) {
	process := l.cmd.Process
	var killed atomic.Bool
	timer := time.AfterFunc(20*time.Second, func() {
		killed.Store(true)
		process.Kill()
	})
	program, err := l.ask(p, bigEndian)
	if timer.Stop() || err == nil {
		return program, err
	}
	l.cmd.Wait()
	l.start()
	if !killed.Load() {
		return nil, err
	}
	return nil, errHangs
}

func (l *libseccomp) ask(p ociProfile, bigEndian bool) (bpf.Program, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "init %x\n", uint32(p.fallback().word()))
	for _, a := range p.Architectures {
		fmt.Fprintf(&b, "arch %x\n", scmpTokens[a])
	}
	rules := 0
	rule := func(e ociSyscall, args []ociTest) {
		rules++
		fmt.Fprintf(&b, "rule %x %s %x", uint32(e.ociAction.word()), e.Names[0], len(args))
		for _, arg := range args {
			fmt.Fprintf(&b, " %x %x %x %x", arg.Index, scmpCompare[arg.Op], arg.Value, arg.ValueTwo)
		}
		b.WriteByte('\n')
	}
	for _, e := range p.Syscalls {
		indices := map[uint8]bool{}
		for _, arg := range e.Args {
			indices[arg.Index] = true
		}
		switch {
		case e.ociAction.word() == p.fallback().word():
		case len(indices) < len(e.Args):
			for _, arg := range e.Args {
				rule(e, []ociTest{arg})
			}
		default:
			rule(e, e.Args)
		}
	}
	b.WriteString("export\n")
	if _, err := io.WriteString(l.in, b.String()); err != nil {
		return nil, err
	}
	refused := false
	for range rules {
		var rc int
		if _, err := fmt.Fscanf(l.out, "rule %d\n", &rc); err != nil {
			return nil, err
		}
		refused = refused || rc < 0
	}
	var n int
	if _, err := fmt.Fscanf(l.out, "filter %x\n", &n); err != nil {
		return nil, err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(l.out, data); err != nil {
		return nil, err
	}
	if refused {
		return nil, errRefused
	}
	return bpf.FromBytes(data, bigEndian)
}

type ociAction struct {
	Action   string  `json:"action"`
	ErrnoRet *uint16 `json:"errnoRet,omitempty"`
}

func (a ociAction) word() abi.Action {
	for _, s := range scmpActions {
		if s.name == a.Action {
			if a.ErrnoRet != nil {
				return s.kind.WithData(*a.ErrnoRet)
			}
			return s.kind
		}
	}
	panic(a.Action)
}

type ociSyscall struct {
	Names []string `json:"names"`
	ociAction
	Args []ociTest `json:"args,omitempty"`
}

type ociProfile struct {
	DefaultAction   string       `json:"defaultAction"`
	DefaultErrnoRet *uint16      `json:"defaultErrnoRet,omitempty"`
	Architectures   []string     `json:"architectures"`
	Syscalls        []ociSyscall `json:"syscalls"`
}

// fallback is the action where no rule decides.
func (p ociProfile) fallback() ociAction { return ociAction{p.DefaultAction, p.DefaultErrnoRet} }

var scmpTokens = map[string]uint32{
	"SCMP_ARCH_X86_64": 0xc000003e, "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_X32": 0x4000003e,
	"SCMP_ARCH_AARCH64": 0xc00000b7, "SCMP_ARCH_ARM": 0x40000028, "SCMP_ARCH_S390X": 0x80000016,
	"SCMP_ARCH_PPC64": 0x80000015, "SCMP_ARCH_PPC64LE": 0xc0000015, "SCMP_ARCH_RISCV64": 0xc00000f3,
	"SCMP_ARCH_MIPS64": 0x80000008, "SCMP_ARCH_MIPS": 8, "SCMP_ARCH_MIPSEL": 0x40000008, "SCMP_ARCH_MIPSEL64": 0xc0000008,
}

var scmpCompare = map[string]int{
	"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7,
}

// A scope says which profiles to try.
type scope struct {
	native  abi.ABI
	arches  []string
	names   []string // of calls
	ops     []string
	actions []ociAction // of entries
	args    int         // at most so many in an entry
	narrow  bool        // values have 32 bits
	repeat  bool        // an index may stand twice in an entry
}

// random returns a profile of s. Values collide on purpose.
func (s scope) random(r *rand.Rand) ociProfile {
	eperm := uint16(1)
	p := ociProfile{DefaultAction: "SCMP_ACT_ERRNO", DefaultErrnoRet: &eperm, Architectures: s.arches}
	values := []uint64{0, 1, 2, 3, 16, 0x7fffffff, 0x80000000, 0xffffffff, uint64(r.Uint32())}
	if !s.narrow {
		values = append(values, 1<<32, 1<<32|1, 1<<63-1, 1<<63, ^uint64(0), r.Uint64())
	}
	pool := make([]string, 1+r.IntN(4))
	for i := range pool {
		pool[i] = s.names[r.IntN(len(s.names))]
	}
	for range 1 + r.IntN(8) {
		e := ociSyscall{Names: []string{pool[r.IntN(len(pool))]}, ociAction: s.actions[r.IntN(len(s.actions))]}
		free := r.Perm(6)
		for range r.IntN(s.args + 1) {
			arg := ociTest{Index: uint8(free[0]), Op: s.ops[r.IntN(len(s.ops))], Value: values[r.IntN(len(values))], ValueTwo: values[r.IntN(len(values))]}
			if !s.repeat || r.IntN(4) > 0 {
				free = free[1:]
			}
			e.Args = append(e.Args, arg)
		}
		p.Syscalls = append(p.Syscalls, e)
	}
	return p
}

// possible returns the actions that the profile's text allows a reader to expect
// for c on a, whatever the order of overlapping conditions is: that of the first
// rule without conditions, else those of all rules whose conditions hold, else
// the default's.
func (p ociProfile) possible(a abi.ABI, c abi.Call) map[abi.Action]bool {
	word := libseccompWord(a)
	holds := func(arg ociTest, v uint64) bool {
		v, value, two := v&word, arg.Value&word, arg.ValueTwo&word
		switch arg.Op {
		case "SCMP_CMP_EQ":
			return v == value
		case "SCMP_CMP_NE":
			return v != value
		case "SCMP_CMP_LT":
			return v < value
		case "SCMP_CMP_LE":
			return v <= value
		case "SCMP_CMP_GT":
			return v > value
		case "SCMP_CMP_GE":
			return v >= value
		}
		return v&value == two&value
	}
	vacuous := func(arg ociTest) bool { return arg.Op == "SCMP_CMP_MASKED_EQ" && arg.Value&word == 0 }
	actions := map[abi.Action]bool{}
	for _, e := range p.Syscalls {
		action := e.ociAction.word()
		nr, direct := a.Lookup(e.Names[0])
		direct = direct && nr == c.NR && a.SyscallName(nr) == e.Names[0]
		mux, sub, multiplexed := a.Multiplexed(e.Names[0])
		multiplexed = multiplexed && mux == c.NR
		if action == p.fallback().word() || !direct && !multiplexed {
			continue
		}
		indices := map[uint8]bool{}
		for _, arg := range e.Args {
			indices[arg.Index] = true
		}
		rules := [][]ociTest{e.Args}
		if len(indices) < len(e.Args) {
			rules = nil
			for _, arg := range e.Args {
				rules = append(rules, []ociTest{arg})
			}
		}
		for _, args := range rules {
			all, plain := true, !multiplexed
			if multiplexed {
				all = c.Args[0]&word == sub
			}
			for _, arg := range args {
				if multiplexed && arg.Index == 0 {
					continue
				}
				all = all && holds(arg, c.Args[arg.Index])
				plain = plain && vacuous(arg)
			}
			if plain {
				return map[abi.Action]bool{action: true}
			}
			if all {
				actions[action] = true
			}
		}
	}
	if len(actions) == 0 {
		actions[p.fallback().word()] = true
	}
	return actions
}

// A difference is a call on which libseccomp's filter and our policy disagree.
type difference struct {
	class string
	text  string
}

// The classes of differences, told apart by ociProfile.possible.
const (
	theirs   = "the policy does what the profile's rules say, libseccomp's filter something else"
	reported = "two rules hold, with different actions: a loss is reported"
	order    = "two rules hold, with different actions, and no loss is reported"
	ours     = "the policy does what no rule of the profile says, or is refused"
	unknown  = "undecided"
)

// differences compares n random profiles of s and returns those on which the
// two disagree, each with the proof's witness.
func (s scope) differences(t *testing.T, l *libseccomp, n int, seed uint64) (different []difference, compared int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	for range n {
		p := s.random(r)
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		program, err := l.filter(p, s.native.BigEndian())
		read, losses, err2 := OCI("p.json", text, OCIOptions{Options: Options{Native: s.native, Runtime: Kernel}})
		switch {
		case errors.Is(err, errHangs):
			different = append(different, difference{theirs, fmt.Sprintf("%v\n%s", err, text)})
			continue
		case err != nil && !errors.Is(err, errRefused):
			t.Fatal(err)
		case (err == nil) != (err2 == nil):
			class := ours
			if err2 == nil {
				class = theirs
			}
			different = append(different, difference{class, fmt.Sprintf("libseccomp: %v, sysgate: %v\n%s", err, err2, text)})
			continue
		case err != nil:
			continue
		}
		resolved, _, err := read.Resolve(policy.Options{Native: s.native})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		compared++
		result := proof.Equal(resolved, program, proof.Budget{})
		if result.Verdict == proof.Proved {
			continue
		}
		class := unknown
		for _, a := range resolved.ABIs {
			c := result.Witness
			if result.Verdict != proof.Different || a.ABI.AuditArch() != c.Arch || (c.NR&abi.X32Bit != 0) != (a.ABI == abi.X32) && a.ABI.AuditArch() == abi.AMD64.AuditArch() {
				continue
			}
			possible := p.possible(a.ABI, c)
			switch {
			case !possible[result.Want]:
				class = ours
			case !possible[result.Got]:
				class = theirs
			case slices.ContainsFunc(losses, func(l Loss) bool { return strings.HasPrefix(l.Msg, a.ABI.SyscallName(c.NR)+" ") }):
				class = reported
			default:
				class = order
			}
		}
		different = append(different, difference{class, fmt.Sprintf("%s: libseccomp %v, sysgate %v %s\n%s",
			policy.FormatCall(result.Witness), result.Got, result.Want, result.Reason, text)})
	}
	return different, compared
}

// TestLibseccomp compares the policies that OCI reads with the filters that
// libseccomp builds from the same rules, by proof. Where all comparisons are of
// equality, values fit the ABI's words and every architecture has all calls,
// there is no difference. Elsewhere each difference is classed by what the rules
// say: the policy always does that. Where two rules hold, with different actions,
// libseccomp's order is reproduced or reported as a loss.
func TestLibseccomp(t *testing.T) {
	l := newLibseccomp(t)
	profiles := 50
	if os.Getenv("SYSGATE_LONG") != "" {
		profiles = 500
	}
	enosys := uint16(38)
	one := []ociAction{{Action: "SCMP_ACT_ALLOW"}}
	mixed := []ociAction{{Action: "SCMP_ACT_ALLOW"}, {Action: "SCMP_ACT_ERRNO", ErrnoRet: &enosys}, {Action: "SCMP_ACT_TRAP"}}
	equal := []string{"SCMP_CMP_EQ"}
	all := []string{"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"}
	names := strings.Fields("socket connect bind accept4 recvfrom shmget semctl msgsnd read write openat close ioctl fcntl clone personality kill dup futex setuid prctl wait4 getrandom clone3 openat2")
	absent := append(strings.Fields("newfstatat chown mmap semop"), names...)
	for _, arch := range []struct {
		native abi.ABI
		arches string
		narrow bool // an ABI compares 32 bits
	}{
		{abi.AMD64, "X86_64", false},
		{abi.AMD64, "X86_64 X86", true},
		{abi.AMD64, "X86_64 X86 X32", true},
		{abi.ARM64, "AARCH64 ARM", true},
		{abi.RISCV64, "RISCV64", false},
		{abi.PPC64LE, "PPC64LE", false},
		{abi.S390X, "S390X", false},
		{abi.MIPS64, "MIPS64", false},
	} {
		var arches []string
		for _, a := range strings.Fields(arch.arches) {
			arches = append(arches, "SCMP_ARCH_"+a)
		}
		for _, kind := range []struct {
			name    string
			scope   scope
			classes []string // that may appear
		}{
			{"equality", scope{names: names, ops: equal, actions: one, args: 4, repeat: true, narrow: arch.narrow}, nil},
			{"equality, several actions", scope{names: names, ops: equal, actions: mixed, args: 4, narrow: arch.narrow}, nil},
			{"equality, values too wide", scope{names: names, ops: equal, actions: one, args: 4, repeat: true}, []string{theirs}},
			{"all comparisons", scope{names: names, ops: all, actions: one, args: 4, repeat: true}, []string{theirs}},
			{"all comparisons, several actions", scope{names: names, ops: all, actions: mixed, args: 4, repeat: true}, []string{theirs, reported}},
			{"calls that an architecture lacks", scope{names: absent, ops: equal, actions: one, args: 1}, []string{theirs}},
		} {
			t.Run(arch.arches+"/"+kind.name, func(t *testing.T) {
				s := kind.scope
				s.native, s.arches = arch.native, arches
				if arch.arches == "X86_64 X86 X32" && len(s.ops) > 1 {
					s.args = 1 // two comparisons of order on x32 are refused
				}
				different, compared := s.differences(t, l, profiles, 1)
				if compared < profiles*3/4 {
					t.Errorf("only %d of %d profiles are accepted by both", compared, profiles)
				}
				count := map[string]int{}
				for _, d := range different {
					if count[d.class]++; !slices.Contains(kind.classes, d.class) {
						t.Errorf("%s: %s", d.class, d.text)
					}
				}
				for class, n := range count {
					t.Logf("%d of %d: %s", n, compared, class)
				}
			})
		}
	}
}

// known reports whether libseccomp's tables have a call.
func (l *libseccomp) known(t *testing.T, name string) bool {
	t.Helper()
	var n int
	if _, err := fmt.Fprintf(l.in, "known %s\n", name); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanf(l.out, "known %d\n", &n); err != nil {
		t.Fatal(err)
	}
	return n == 1
}

// confirm sees that libseccomp's filter of a profile, which has no other names than
// libseccomp, is what the reader makes of the profile.
func (l *libseccomp) confirm(t *testing.T, data []byte, native abi.ABI) {
	t.Helper()
	var p ociProfile
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	// Without a value, these carry EPERM.
	eperm := uint16(1)
	if p.DefaultErrnoRet == nil && p.DefaultAction == "SCMP_ACT_ERRNO" {
		p.DefaultErrnoRet = &eperm
	}
	var all []ociSyscall
	for _, e := range p.Syscalls {
		if e.ErrnoRet == nil && (e.Action == "SCMP_ACT_ERRNO" || e.Action == "SCMP_ACT_TRACE") {
			e.ErrnoRet = &eperm
		}
		for _, name := range e.Names {
			if l.known(t, name) {
				one := e
				one.Names = []string{name}
				all = append(all, one)
			}
		}
	}
	p.Syscalls = all
	program, err := l.filter(p, native.BigEndian())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	read, _, err := OCI("p.json", text, OCIOptions{Options: Options{Native: native, Runtime: Kernel}})
	if err != nil {
		t.Fatal(err)
	}
	if result := proof.Equal(resolve(t, read, native), program, proof.Budget{}); result.Verdict != proof.Proved {
		t.Errorf("%s: libseccomp %v, the profile %v %s\n%s", policy.FormatCall(result.Witness), result.Got, result.Want, result.Reason, data)
	}
}
