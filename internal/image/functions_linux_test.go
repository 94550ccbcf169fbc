package image

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFrames(t *testing.T) {
	needObjdump(t)
	fde := regexp.MustCompile(`^[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)`)
	row := regexp.MustCompile(`^([0-9a-f]{16}) (\S+)`)
	const libc = "/lib/x86_64-linux-gnu/libc.so.6"
	if !exists(libc) {
		t.Skip("the C library of Debian is not installed")
	}
	p := load(t, "/bin/ls", LoadOptions{})
	i := slices.IndexFunc(p.Modules, func(m *Module) bool { return m.Path == libc })
	base := p.Modules[i].Base
	cmd := exec.Command("readelf", "--debug-dump=frames-interp", libc)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, _ := cmd.Output() // it fails where it has warned
	var fn int
	var end, early uint64
	functions, rows, relative := 0, 0, 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if m := fde.FindStringSubmatch(lines.Text()); m != nil {
			start, _ := strconv.ParseUint(m[1], 16, 64)
			end, _ = strconv.ParseUint(m[2], 16, 64)
			at := base + start
			var ok bool
			if fn, ok = p.Find(at); !ok || p.entryAt(fn) != at {
				// __restore_rt's starts a byte early.
				if fn, ok = p.Find(at + 1); !ok || p.entryAt(fn) != at+1 || p.Name(fn) != "libc.so.6:__restore_rt" && !strings.Contains(p.Name(fn), "libc.so.6+") {
					t.Errorf("no function at %#x of libc", start)
				}
				early = start
			}
			functions++
			continue
		}
		m := row.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, _ := strconv.ParseUint(m[1], 16, 64)
		if at == 0 || at == end || at == early { // a common part; compilers leave an empty row there
			continue
		}
		fn, ok := p.Find(base + at)
		if !ok {
			t.Errorf("no function holds %#x", at)
			continue
		}
		depths := p.Depths(fn)
		k := slices.IndexFunc(depths, func(d Depth) bool { return base+at < d.End })
		if k < 0 {
			t.Errorf("no depth at %#x", at)
			continue
		}
		d := depths[k]
		var said string
		switch {
		case !d.Unknown:
			said = "rsp+" + strconv.FormatInt(d.Depth+8, 10)
		case d.Base == RBP:
			said = "rbp+" + strconv.FormatInt(d.BaseDepth+8, 10)
			relative++
		case d.Base != RegNone:
			said = m[2] // its name is not at hand
		default:
			said = "exp"
		}
		if said != m[2] {
			t.Errorf("at %#x the frame address is %s, readelf has %s", at, said, m[2])
		}
		rows++
	}
	if functions < 3000 || rows < 10000 || relative < 50 {
		t.Errorf("only %d functions, %d rows, %d with a frame pointer compared", functions, rows, relative)
	}
}

func (p *Program) entryAt(i int) uint64 { return p.Text + uint64(p.Funcs[i].Entry) }

func TestSites(t *testing.T) {
	needObjdump(t)
	p := load(t, systemPrograms(t)[0], LoadOptions{})
	for _, m := range p.Modules {
		sites := map[uint64]bool{}
		for i := range p.Funcs {
			if p.Module(i) != m || p.Unknown(i) {
				continue
			}
			addr, code := p.Code(i)
			for at := 0; at < len(code); {
				in := p.Decode(code[at:], addr+uint64(at))
				switch in.Op {
				case OpBad:
					t.Errorf("%s: no instruction at %#x", p.Name(i), in.Addr)
				case OpSyscall:
					sites[in.Addr-m.Base] = true
				}
				at += int(in.Len)
			}
		}
		n := 0
		disassemble(t, "objdump", m.Path, func(l listing) {
			if strings.HasPrefix(l.text, "syscall") != sites[l.addr] {
				t.Errorf("%s: objdump has %q at %#x", m.Path, l.text, l.addr)
			}
			if sites[l.addr] {
				n++
			}
		})
		if n != len(sites) {
			t.Errorf("%s: %d system calls, objdump has %d of them", m.Path, len(sites), n)
		}
	}
}
