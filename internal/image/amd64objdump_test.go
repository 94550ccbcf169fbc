package image

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A listing is one instruction as objdump shows it.
type listing struct {
	addr uint64
	code []byte
	text string
}

// disassemble calls visit with every instruction that the objdump of a machine
// finds in the executable sections of the file.
func disassemble(t *testing.T, objdump, path string, visit func(listing), options ...string) {
	t.Helper()
	cmd := exec.Command(objdump, append([]string{"-d", "-w", path}, options...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	var code []byte
	for lines.Scan() {
		line := lines.Bytes()
		colon := bytes.IndexByte(line, ':')
		if len(line) == 0 || line[0] != ' ' || colon < 0 || bytes.HasSuffix(line, []byte("is out of bounds.")) {
			continue
		}
		addr, err := strconv.ParseUint(string(bytes.TrimSpace(line[:colon])), 16, 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		raw, text, _ := bytes.Cut(line[colon+2:], []byte("\t"))
		code = code[:0]
		for _, h := range bytes.Fields(raw) { // bytes, or words of several
			b, err := hex.DecodeString(string(h))
			if err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			slices.Reverse(b)
			code = append(code, b...)
		}
		visit(listing{addr, code, string(text)})
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// needAMD64 skips where there is no amd64 code to compare with.
func needAMD64(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the binaries of this machine are not Linux on amd64")
	}
}

func needObjdump(t *testing.T) {
	t.Helper()
	needAMD64(t)
	if _, err := exec.LookPath("objdump"); err != nil {
		t.Skip("no objdump: binutils is not installed")
	}
}

// realBinaries returns the files whose instructions are compared, the longer
// list under SYSGATE_LONG=1.
func realBinaries(t *testing.T) []string {
	t.Helper()
	patterns := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/python3", goTool(t, "gofmt")}
	long := os.Getenv("SYSGATE_LONG") != ""
	if long || !exists("/usr/bin/python3") {
		patterns = append(patterns, goTool(t, "go"))
	}
	if long {
		patterns = append(patterns, "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
			"/usr/lib/gcc/x86_64-linux-gnu/*/cc1", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6")
	}
	var paths []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// goTool returns the path of a command of the Go distribution.
func goTool(t testing.TB, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "bin", name)
}

// TestAMD64Objdump compares lengths, destinations and stores with what objdump
// prints of real code.
func TestAMD64Objdump(t *testing.T) {
	needObjdump(t)
	total := 0
	for _, path := range realBinaries(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			d := differ{decode: DecodeAMD64, seen: make(map[*regexp.Regexp]map[string]bool)}
			disassemble(t, "objdump", path, d.compare)
			total += d.count
			d.report(t)
		})
	}
	want := 1_000_000
	if os.Getenv("SYSGATE_LONG") != "" {
		want = 5_000_000
	}
	if total < want {
		t.Errorf("compared %d instructions, want %d", total, want)
	}
}

// A differ compares the decoder with listings.
type differ struct {
	decode   func(code []byte, addr uint64) Inst
	count    int
	bad      []uint64 // where objdump finds no instruction
	failures []failure
	seen     map[*regexp.Regexp]map[string]bool
}

// A failure is a difference at an address.
type failure struct {
	addr uint64
	text string
}

func (d *differ) errorf(l listing, format string, args ...any) {
	d.failures = append(d.failures, failure{
		l.addr, fmt.Sprintf("%x: % x\t%s: %s", l.addr, l.code, l.text, fmt.Sprintf(format, args...)),
	})
}

// report makes errors of the differences outside data, which objdump shows as
// instructions too: there it finds bytes that are none every few hundred.
func (d *differ) report(t *testing.T) {
	const window = 1 << 10
	errors, data := 0, 0
	for _, f := range d.failures {
		i, _ := slices.BinarySearch(d.bad, f.addr)
		if i < len(d.bad) && d.bad[i]-f.addr < window || i > 0 && f.addr-d.bad[i-1] < window {
			data++
			continue
		}
		if errors++; errors <= 20 {
			t.Error(f.text)
		}
	}
	t.Logf("%d instructions, %d differences, and %d in data", d.count, errors, data)
}

func (d *differ) compare(l listing) {
	d.count++
	if strings.Contains(l.text, "(bad)") {
		d.bad = append(d.bad, l.addr)
		return
	}
	if l.code[0] == 0x9B && len(l.code) > 1 {
		l.code = l.code[1:] // objdump takes FWAIT for a prefix
	}
	in := d.decode(l.code, l.addr)
	if int(in.Len) != len(l.code) {
		d.errorf(l, "length %d, want %d", in.Len, len(l.code))
		return
	}
	d.effects(l, &in)
}

// isPrefix reports whether objdump's word is a prefix rather than a mnemonic.
var isPrefix = regexp.MustCompile(`^(rex\.?\w*|data16|addr32|lock|bnd|notrack|xacquire|xrelease|[cdefgs]s|rep[nz]*)$`)

// readsOnly matches the mnemonics whose last operand is not written.
var readsOnly = regexp.MustCompile(`^(cmp[bwlq]?|test[bwlq]?|bt[wlq]?|push\w*|call\w*|jmp\w*|j\w+|nop\w*|` +
	`prefetch\w*|v?u?comis\w|v?ptest|vtestp\w|k\w*test\w|v?pcmp.str.|mul[bwlq]?|i?div[bwlq]?|` +
	`f(ld|il|bl|ad|ia|su|is|mu|im|di|id|co|ic|uc|fr|tst|xa|xch|rs|nop|ch|ab)\w*|f\w+p|v?ldmxcsr|cl\w+|fxrstor\w*|xrstor\w*|` +
	`wr\w+base\w?|endbr64|ptwrite\w?|incssp.|ud[012]|ret\w?|loop\w*|xbegin|xabort|ver[rw]|l[lgi]dt\w?|ltr|lmsw|outs?[bwl]?|xlat|scas|cmps[bwlq]|int|rdsspq)$`)

// registerNames maps the names of general registers to their numbers.
func registerNames() map[string]Reg {
	names := make(map[string]Reg)
	for i, n := range strings.Fields("ax cx dx bx sp bp si di") {
		names["%r"+n], names["%e"+n], names["%"+n], names["%"+n+"l"] = Reg(i), Reg(i), Reg(i), Reg(i)
		if i < 4 {
			names["%"+n[:1]+"l"], names["%"+n[:1]+"h"] = Reg(i), Reg(i)
		}
	}
	for i := 8; i < 16; i++ {
		for _, suffix := range []string{"", "d", "w", "b"} {
			names[fmt.Sprintf("%%r%d%s", i, suffix)] = Reg(i)
		}
	}
	return names
}

var registers = registerNames()

// effects checks that the last operand, which AT&T syntax writes to, is in
// Writes or Store unless the mnemonic only reads.
func (d *differ) effects(l listing, in *Inst) {
	text, _, _ := strings.Cut(l.text, " #")
	text, _, _ = strings.Cut(text, " <")
	words := strings.Fields(text)
	for len(words) > 1 && d.matches(isPrefix, words[0]) {
		words = words[1:]
	}
	mnemonic, operands := words[0], strings.Join(words[1:], " ")
	if i := strings.IndexByte(operands, '{'); i > 0 {
		operands = operands[:i]
	}
	comma := strings.LastIndexByte(operands, ',')
	last := operands[comma+1:]
	isMem := strings.HasSuffix(operands, ")") && !strings.Contains(last, "%st(")
	r, isReg := registers[last]
	switch {
	case in.Op == OpBad, in.Op == OpNop, d.matches(readsOnly, mnemonic):
	case strings.HasPrefix(mnemonic, "imul") && (comma < 0 || isMem): // one operand
	case isReg && in.Writes&(1<<r) == 0:
		d.errorf(l, "writes %#x without %s", in.Writes, last)
	case isMem && in.Store == 0 && !in.StoreAny:
		d.errorf(l, "stores nothing")
	}
}

// matches is re.MatchString(word), remembered.
func (d *differ) matches(re *regexp.Regexp, word string) bool {
	m, ok := d.seen[re][word]
	if !ok {
		m = re.MatchString(word)
		if d.seen[re] == nil {
			d.seen[re] = make(map[string]bool)
		}
		d.seen[re][word] = m
	}
	return m
}
