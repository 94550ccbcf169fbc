package build

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compiles the policies of testdata/compile. An archive holds
//
//	policy.yaml   the policy, without abis
//	ABI+ABI.asm   for these ABIs, the program
//	ABI+ABI.calls calls, one a line, each with its verdict: CALL -> ACTION
//
// go test -update rewrites programs and verdicts from Build and Eval; look at
// the difference before you commit it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/compile/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before := txtar.Format(archive)
			g := golden{t: t, file: file}
			for i := range archive.Files {
				f := &archive.Files[i]
				f.Data = g.section(f.Name, f.Data)
			}
			after := txtar.Format(archive)
			if *update {
				if err := os.WriteFile(file, after, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(before), string(after)); diff != "" {
				t.Errorf("%s (-file +now; go test -update accepts it):\n%s", file, diff)
			}
		})
	}
}

// golden reads one archive.
type golden struct {
	t      *testing.T
	file   string
	policy *policy.Policy
}

// section returns what the section of the archive should hold.
func (g *golden) section(name string, data []byte) []byte {
	if name == "policy.yaml" {
		var err error
		if g.policy, err = policy.Parse(g.file+":"+name, data); err != nil {
			g.t.Fatal(err)
		}
		return data
	}
	abis, kind, _ := strings.Cut(name, ".")
	filter := g.build(strings.Split(abis, "+"))
	var out bytes.Buffer
	switch kind {
	case "asm":
		if err := filter.Program.Disassemble(&out, filter.Policy.BigEndian()); err != nil {
			g.t.Fatal(err)
		}
	case "calls":
		for line := range strings.Lines(string(data)) {
			call, _, _ := strings.Cut(line, "->")
			call = strings.TrimSpace(call)
			on, c := parseCall(g.t, call)
			verdict := filter.Policy.Eval(c).Action
			if got := filter.Program.Run(c, filter.Policy.BigEndian()).Return; got != verdict {
				g.t.Errorf("%s: %s: the program says %v, the policy %v", name, call, got, verdict)
			}
			fmt.Fprintf(&out, "%s -> %s\n", call, on.ActionString(verdict))
		}
	default:
		g.t.Fatalf("%s: section %s is neither .asm nor .calls", g.file, name)
	}
	return out.Bytes()
}

// build builds the policy for the named ABIs.
func (g *golden) build(names []string) *Filter {
	p := *g.policy
	p.ABIs = nil
	for _, name := range names {
		a, ok := abi.Parse(name)
		if !ok {
			g.t.Fatalf("%s: no ABI is called %q", g.file, name)
		}
		p.ABIs = append(p.ABIs, a)
	}
	r, _, err := p.Resolve(policy.Options{})
	if err != nil {
		g.t.Fatal(err)
	}
	filter, err := Build(r)
	if err != nil {
		g.t.Fatal(err)
	}
	return filter
}

// parseCall reads a call in the notation of patterns: an ABI, a name or number,
// and arguments that are numbers or names of constants.
func parseCall(t *testing.T, s string) (abi.ABI, abi.Call) {
	p, err := policy.ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	c := abi.Call{Arch: p.ABI.AuditArch()}
	switch nr, ok := p.ABI.Lookup(p.Name); {
	case p.Numbers != nil:
		c.NR = p.Numbers.Lo
	case ok:
		c.NR = nr
	default:
		t.Fatalf("%s: %v has no such call", s, p.ABI)
	}
	for _, cond := range p.Conditions {
		if cond.Op != policy.Equal || cond.Index < 0 {
			t.Fatalf("%s: arguments have to be values", s)
		}
		v, ok := p.ABI.Constant(cond.Values[0])
		if !ok {
			if v, err = strconv.ParseUint(cond.Values[0], 0, 64); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		if cond.Index == policy.IPWord {
			c.IP = v
		} else {
			c.Args[cond.Index] = v
		}
	}
	return p.ABI, c
}
