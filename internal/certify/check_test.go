package certify_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/certify"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

const web = `version: 1
abis: [amd64, 386]
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls:
- action: allow
  names: [read, write, close, exit_group]
- action: allow
  calls:
  - socket(domain in {AF_UNIX, AF_INET}, type & 0xf == SOCK_STREAM)
  - kill(pid > 0)
- action: kill_process
  names: [ptrace]
`

func resolve(t testing.TB, text string) *policy.Resolved {
	t.Helper()
	p, err := policy.Parse("policy", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := p.Resolve(policy.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func compile(t testing.TB, r *policy.Resolved) bpf.Program {
	t.Helper()
	f, err := build.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return f.Program
}

var options = policy.Options{Native: abi.AMD64}

// certificate returns what an honest maker, or a hostile one that believes in his
// luck, makes for a pair.
func certificate(t testing.TB, text string, p bpf.Program) *certify.Certificate {
	t.Helper()
	c, err := proof.Certify(resolve(t, text), p, proof.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	c.Hashes = certify.HashesOf([]byte(text), options, p)
	return c
}

func TestCheck(t *testing.T) {
	p := compile(t, resolve(t, web))
	if err := certify.Check([]byte(web), options, p, certificate(t, web, p).Encode()); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"allow all":    "version: 1\nabis: [amd64]\ndefault_action: allow\nbad_arch_action: allow\nx32_action: allow\nsyscalls: []\n",
		"big endian":   "version: 1\nabis: [s390x]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  calls: [\"openat(flags & 3 == 0)\"]\n",
		"x32 alone":    "version: 1\nabis: [x32]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [read]\n",
		"the whole IP": "version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  calls: [\"read(ip > 0x7fff00000000)\"]\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, resolve(t, text))
			if err := certify.Check([]byte(text), options, p, certificate(t, text, p).Encode()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever byte of policy, filter or certificate changes, it is refused.
func TestCheckMutations(t *testing.T) {
	p := compile(t, resolve(t, web))
	good := certificate(t, web, p).Encode()
	refused := func(what string, at int, text []byte, p bpf.Program, cert []byte) {
		t.Helper()
		if err := certify.Check(text, options, p, cert); err == nil {
			t.Errorf("byte %d of the %s is changed, and it is accepted", at, what)
		}
	}
	flips := []byte{0x01, 0x80, 0xff}
	for at := range good {
		for _, x := range flips {
			bad := []byte(string(good))
			bad[at] ^= x
			refused("certificate", at, []byte(web), p, bad)
		}
	}
	for at := range len(good) {
		refused("certificate, which ends there", at, []byte(web), p, good[:at])
	}
	refused("certificate", len(good), []byte(web), p, append([]byte(string(good)), 0))
	for at := range web {
		for _, x := range flips {
			bad := []byte(web)
			bad[at] ^= x
			refused("policy", at, bad, p, good)
		}
	}
	raw := p.Bytes(false)
	for at := range raw {
		for _, x := range flips {
			bad := []byte(string(raw))
			bad[at] ^= x
			q, err := bpf.FromBytes(bad, false)
			if err != nil {
				t.Fatal(err)
			}
			refused("filter", at, []byte(web), q, good)
		}
	}
	for name, o := range map[string]policy.Options{
		"native":       {Native: abi.ARM64},
		"capabilities": {Native: abi.AMD64, Caps: []string{"CAP_SYS_ADMIN"}},
		"kernel":       {Native: abi.AMD64, Kernel: abi.Kernel{Major: 6, Minor: 1}},
	} {
		if err := certify.Check([]byte(web), o, p, good); err == nil {
			t.Errorf("%s: accepted for another machine", name)
		}
	}
}

// Of a filter that is not the policy no certificate is accepted, whatever its
// maker does; of one that still is, the honest one is.
func TestCheckUnequal(t *testing.T) {
	r := resolve(t, web)
	p := compile(t, r)
	good := certificate(t, web, p)
	verdicts := map[proof.Verdict]int{}
	mutants(p, func(at int, q bpf.Program) {
		verdict := proof.Equal(r, q, proof.Budget{}).Verdict
		verdicts[verdict]++
		c, err := proof.Certify(r, q, proof.Budget{})
		if err != nil {
			return // nobody can make one
		}
		c.Hashes = certify.HashesOf([]byte(web), options, q)
		if err := certify.Check([]byte(web), options, q, c.Encode()); (err == nil) != (verdict == proof.Proved) {
			t.Errorf("%v at %d: %v, but the check says %v", q[at], at, verdict, err)
		}
		if verdict != proof.Different {
			return
		}
		for name, forged := range forgeries(good, c) {
			if err := certify.Check([]byte(web), options, q, forged.Encode()); err == nil {
				t.Errorf("%v at %d: %s is accepted", q[at], at, name)
			}
		}
	})
	if verdicts[proof.Proved] == 0 || verdicts[proof.Different] == 0 {
		t.Errorf("verdicts %v", verdicts)
	}
}

// forgeries returns what a hostile maker tries for a filter that is not the
// policy: good is the certificate of a filter that is, honest that of his own.
func forgeries(good, honest *certify.Certificate) map[string]*certify.Certificate {
	all := map[string]*certify.Certificate{}
	forge := func(name string, from *certify.Certificate, change func(c *certify.Certificate)) {
		c := &certify.Certificate{
			Hashes:  honest.Hashes,
			Nodes:   append([]certify.Node(nil), from.Nodes...),
			Choices: append([]certify.Ref(nil), from.Choices...),
		}
		change(c)
		all[name] = c
	}
	forge("another filter's diagram", good, func(*certify.Certificate) {})
	forge("another filter's diagram, cut or filled up", good, func(c *certify.Certificate) {
		for len(c.Choices) < len(honest.Choices) {
			c.Choices = append(c.Choices, c.Choices[len(c.Choices)-1])
		}
		c.Choices = c.Choices[:len(honest.Choices)]
	})
	forge("the policy's end as the filter's", honest, func(c *certify.Certificate) {
		// The policy's last choice comes somewhere before the filter's.
		last := len(c.Choices) - 1
		for i := range last {
			if c.Nodes[c.Choices[i]].Level == 0 { // tests the architecture, as only ends do
				c.Choices[last] = c.Choices[i]
			}
		}
	})
	forge("the filter's end as the policy's", honest, func(c *certify.Certificate) {
		last := len(c.Choices) - 1
		for i := range last {
			if c.Nodes[c.Choices[i]].Level == 0 {
				c.Choices[i] = c.Choices[last]
			}
		}
	})
	forge("one node for everything", honest, func(c *certify.Certificate) {
		for i := range c.Choices {
			c.Choices[i] = c.Choices[len(c.Choices)-1]
		}
	})
	forge("one word for everything", honest, func(c *certify.Certificate) {
		for i := range c.Choices {
			c.Choices[i] = 0
		}
	})
	forge("no diagram", honest, func(c *certify.Certificate) { c.Nodes, c.Choices = nil, nil })
	forge("no words", honest, func(c *certify.Certificate) {
		c.Nodes = nil
		clear(c.Choices)
	})
	return all
}

// Random changes, with hashes that are right, never make a proof of what is wrong.
func TestCheckForgedAtRandom(t *testing.T) {
	small := "version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  calls: [read(fd == 0)]\n"
	r := resolve(t, small)
	p := compile(t, r)
	var q bpf.Program
	mutants(p, func(at int, m bpf.Program) {
		if q == nil && proof.Equal(r, m, proof.Budget{}).Verdict == proof.Different {
			if _, err := proof.Certify(r, m, proof.Budget{}); err == nil {
				q = m
			}
		}
	})
	if q == nil {
		t.Fatal("no mutant")
	}
	honest := certificate(t, small, q)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		c := &certify.Certificate{Hashes: honest.Hashes, Nodes: append([]certify.Node(nil), honest.Nodes...), Choices: append([]certify.Ref(nil), honest.Choices...)}
		for range 1 + random.IntN(4) {
			to := certify.Ref(random.IntN(len(c.Nodes)))
			if random.IntN(2) == 0 {
				c.Choices[random.IntN(len(c.Choices))] = to
				continue
			}
			n := &c.Nodes[random.IntN(len(c.Nodes))]
			switch random.IntN(4) {
			case 0:
				n.Low = to
			case 1:
				n.High = to
			case 2:
				n.Level = int32(random.IntN(certify.Levels + 1))
			case 3:
				n.Word = abi.Action(random.Uint32())
			}
		}
		if err := certify.Check([]byte(small), options, q, c.Encode()); err == nil {
			t.Fatalf("accepted: %+v", c)
		}
	}
}

// Two constants that the diagram does not even have are not the same.
func TestCheckConstants(t *testing.T) {
	text := "version: 1\nabis: [amd64]\ndefault_action: allow\nbad_arch_action: allow\nx32_action: allow\nsyscalls: []\n"
	kill := bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.KillProcess))}
	for _, nodes := range [][]certify.Node{
		nil,
		{{Level: certify.Levels, Word: abi.Allow}},
		{{Level: certify.Levels, Word: abi.KillProcess}},
		{{Level: certify.Levels, Word: abi.Allow}, {Level: certify.Levels, Word: abi.KillProcess}},
	} {
		c := certify.Certificate{Hashes: certify.HashesOf([]byte(text), options, kill), Nodes: nodes}
		if err := certify.Check([]byte(text), options, kill, c.Encode()); err == nil {
			t.Errorf("%+v is accepted", nodes)
		}
	}
}

// mutants calls try with one-instruction changes of p that are valid.
func mutants(p bpf.Program, try func(at int, m bpf.Program)) {
	for at := range p {
		change := func(f func(*bpf.Instruction)) {
			m := append(bpf.Program(nil), p...)
			f(&m[at])
			if m[at] != p[at] && m.Validate() == nil {
				try(at, m)
			}
		}
		for _, k := range []uint32{0, 1, p[at].K + 1, p[at].K - 1, p[at].K ^ 1<<31, p[at].K + 4} {
			change(func(i *bpf.Instruction) { i.K = k })
		}
		change(func(i *bpf.Instruction) { i.JT, i.JF = i.JF, i.JT })
		change(func(i *bpf.Instruction) { i.JT++ })
		change(func(i *bpf.Instruction) { i.JF++ })
		change(func(i *bpf.Instruction) { i.JT = i.JF })
		for _, code := range []uint16{bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK} {
			if p[at].IsBranch() {
				change(func(i *bpf.Instruction) { i.Code = code })
			}
		}
	}
}

// Every filter that is compiled has a certificate, but for a few that are too
// large, and no other filter has that one.
func TestCheckRandom(t *testing.T) {
	const cases = 100
	largest, tooLarge := 0, 0
	testkit.Check(t, cases, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		f, err := build.Build(r)
		if err != nil {
			t.Skip(err)
		}
		c, err := proof.Certify(r, f.Program, proof.Budget{})
		if err == nil {
			largest = max(largest, len(c.Nodes))
			err = certify.CheckResolved(r, f.Program, c)
		}
		if err != nil && strings.Contains(err.Error(), "too m") { // choices, work
			tooLarge++
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		q := append(bpf.Program(nil), f.Program...)
		q[len(q)-1].K ^= 1
		if proof.Equal(r, q, proof.Budget{}).Verdict == proof.Different && certify.CheckResolved(r, q, c) == nil {
			t.Fatal("accepted for another filter")
		}
	})
	t.Logf("the largest certificate has %d nodes; %d of %d policies are too large for one", largest, tooLarge, cases)
	if tooLarge > cases/10 {
		t.Errorf("%d of %d policies are too large", tooLarge, cases)
	}
}

// The benchmark policies have certificates that are small and soon checked, for
// whatever they are optimized.
func TestCheckBenchmarkPolicies(t *testing.T) {
	for _, name := range []string{"P1", "P2", "P3", "P4"} {
		for _, abis := range [][]abi.ABI{{abi.AMD64}, {abi.AMD64, abi.I386, abi.X32}} {
			for _, mode := range []string{"cached", "uncached", "size"} {
				r := testkit.BenchmarkPolicy(t, name, abis...)
				m, ok := build.ParseMode(mode)
				if !ok {
					t.Fatalf("no mode %s", mode)
				}
				f, err := build.BuildFor(r, build.Options{Mode: m})
				if err != nil {
					t.Fatal(err)
				}
				c, err := proof.Certify(r, f.Program, proof.Budget{})
				if err != nil {
					t.Fatal(err)
				}
				size := len(c.Encode())
				t.Logf("%s %v %s: %d choices, %d nodes, %d bytes", name, abis, mode, len(c.Choices), len(c.Nodes), size)
				if err := certify.CheckResolved(r, f.Program, c); err != nil || size > 50_000 {
					t.Errorf("%s %v %s: %d bytes, %v", name, abis, mode, size, err)
				}
			}
		}
	}
}

// A certificate costs a few seconds at most, whatever its diagram is: here, every word
// stands at its end as thousands of different nodes, each of which has to be
// compared with each other.
func TestCheckBounded(t *testing.T) {
	text := "version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [read, close]\n"
	p := compile(t, resolve(t, text))
	c := certificate(t, text, p)
	old := c.Nodes
	c.Nodes = nil
	random := rand.New(rand.NewPCG(3, 4))
	at := make([]certify.Ref, len(old)) // of the old nodes
	ends := map[certify.Ref][]certify.Ref{}
	add := func(n certify.Node) certify.Ref {
		c.Nodes = append(c.Nodes, n)
		return certify.Ref(len(c.Nodes) - 1)
	}
	for i, n := range old {
		if n.Level == certify.Levels {
			at[i] = add(n)
		}
	}
	for i, n := range old {
		if n.Level != certify.Levels {
			continue
		}
		layer := []certify.Ref{at[i]}
		for level := int32(certify.Levels - 1); level >= 64; level-- { // behind the number
			var next []certify.Ref
			for range 60 {
				next = append(next, add(certify.Node{Level: level, Low: layer[random.IntN(len(layer))], High: layer[random.IntN(len(layer))]}))
			}
			layer = next
		}
		ends[certify.Ref(i)] = layer
	}
	for i, n := range old {
		if n.Level == certify.Levels {
			continue
		}
		branch := func(r certify.Ref) certify.Ref {
			if layer := ends[r]; layer != nil {
				return layer[random.IntN(len(layer))]
			}
			return at[r]
		}
		at[i] = add(certify.Node{Level: n.Level, Low: branch(n.Low), High: branch(n.High)})
	}
	for i, r := range c.Choices {
		c.Choices[i] = at[r]
	}
	start := time.Now()
	err := certify.Check([]byte(text), options, p, c.Encode())
	t.Logf("%d nodes: %v, after %v", len(c.Nodes), err, time.Since(start))
	if err == nil || time.Since(start) > 20*time.Second { // this machine does other things too
		t.Errorf("%v, after %v", err, time.Since(start))
	}
}

func benchmark(b *testing.B, abis ...abi.ABI) {
	r := testkit.BenchmarkPolicy(b, "P1", abis...)
	p := compile(b, r)
	c, err := proof.Certify(r, p, proof.Budget{})
	if err != nil {
		b.Fatal(err)
	}
	data := c.Encode()
	b.ReportAllocs()
	defer func() { b.ReportMetric(float64(len(data)), "bytes") }()
	for b.Loop() {
		c, err := certify.Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		if err := certify.CheckResolved(r, p, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckP1(b *testing.B)          { benchmark(b, abi.AMD64) }
func BenchmarkCheckP1ThreeABIs(b *testing.B) { benchmark(b, abi.AMD64, abi.I386, abi.X32) }

func FuzzCheck(f *testing.F) {
	p := compile(f, resolve(f, web))
	good := certificate(f, web, p).Encode()
	q := append(bpf.Program(nil), p...)
	for i := range q {
		if q[i].Code == bpf.RetK && q[i].K == uint32(abi.Allow) {
			q[i].K = uint32(abi.Log) // the filter of an attacker
		}
	}
	h := certify.HashesOf([]byte(web), options, q)
	f.Add(good[len(good)-sha256.Size:])
	f.Add(good[22+3*sha256.Size : len(good)-sha256.Size])
	c, err := proof.Certify(resolve(f, web), q, proof.Budget{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Encode()[22+3*sha256.Size:])
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte("sysgate certificate 1\n"), h.Policy[:]...)
		data = append(append(append(data, h.Filter[:]...), h.Tables[:]...), body...)
		sum := sha256.Sum256(data)
		if err := certify.Check([]byte(web), options, q, append(data, sum[:]...)); err == nil {
			t.Fatal("accepted")
		}
		var refused *certify.Error
		if _, err := certify.Decode(body); err != nil && !errors.As(err, &refused) {
			t.Fatalf("%T", err)
		}
	})
}

// A certificate that decodes is written back the same.
func TestEncode(t *testing.T) {
	good := certificate(t, web, compile(t, resolve(t, web))).Encode()
	c, err := certify.Decode(good)
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Encode()) != string(good) {
		t.Error("another certificate")
	}
	huge := append([]byte(nil), good[:22+3*sha256.Size]...)
	huge = binary.AppendUvarint(huge, 1<<31)
	sum := sha256.Sum256(huge)
	if _, err := certify.Decode(append(huge, sum[:]...)); err == nil {
		t.Error("two thousand million words in no bytes")
	}
}

// The checker is small enough to be read: under 500 lines of code.
func TestSize(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "encode.go" { // which checking needs not
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
	}
	t.Logf("%d lines", lines)
	if lines >= 500 {
		t.Errorf("%d lines of code", lines)
	}
}
