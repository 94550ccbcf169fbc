package build

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// TestDifferential holds four opinions on random policies against each other, on
// calls at their edges: policy.Eval, the simulator, the proof, and the running
// kernel for what it can be asked.
func TestDifferential(t *testing.T) {
	oracle := testkit.NewOracle(t)
	ips := []uint64{oracle.IP(abi.AMD64.AuditArch()), oracle.IP(abi.I386.AuditArch())}
	generators := map[string]*rapid.Generator[*policy.Resolved]{
		"kernel":    testkit.Policies(testkit.PolicyOptions{ABIs: []abi.ABI{abi.AMD64, abi.I386, abi.X32}, Values: ips}),
		"simulator": testkit.Policies(testkit.PolicyOptions{}),
	}
	const calls = 400
	for name, policies := range generators {
		t.Run(name, func(t *testing.T) {
			cases, instructions, largest, simulated, fired, refused := 0, 0, 0, 0, 0, 0
			var compile, proof time.Duration // longest
			testkit.Check(t, scale(700, 7000), func(t *rapid.T) {
				r := policies.Draw(t, "policy")
				filter, ok := buildOrRefuse(t, r)
				if !ok {
					refused++
					return
				}
				batch := callsFor(r, rapid.Uint64().Draw(t, "seed"), calls)
				for _, c := range batch {
					if got, want := filter.Program.Run(c, r.BigEndian()).Return, r.Eval(c).Action; got != want {
						t.Fatalf("simulator: %+v: got %v, want %v", c, got, want)
					}
				}
				if name == "kernel" {
					fired += askKernel(t, oracle, r, filter.Program, batch)
				}
				cases++
				simulated += len(batch)
				instructions += len(filter.Program)
				largest = max(largest, len(filter.Program))
				compile, proof = max(compile, filter.CompileTime), max(proof, filter.ProofTime)
			})
			t.Logf("%d policies proved, %d calls simulated, %d calls fired at the kernel, 0 disagreements; %d instructions a program, at most %d; longest compilation %v, longest proof %v; %d policies refused",
				cases, simulated, fired, instructions/cases, largest, compile, proof, refused)
			if refused > cases/100 {
				t.Error("too many policies are too large, or the proof cannot decide them")
			}
		})
	}
}

// askKernel compares the kernel's verdicts with Eval's, on those of the calls
// that can be fired, and returns how many those are.
func askKernel(t *rapid.T, oracle *testkit.Oracle, r *policy.Resolved, p bpf.Program, calls []abi.Call) int {
	var fire []abi.Call
	for _, c := range calls {
		if c.Arch == abi.AMD64.AuditArch() || c.Arch == abi.I386.AuditArch() {
			fire = append(fire, c)
		}
	}
	fired, got, err := oracle.Eval(p, fire)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range fired {
		if want := r.Eval(c).Action; got[i] != want {
			t.Fatalf("kernel: %+v: got %v, want %v", c, got[i], want)
		}
	}
	return len(fired)
}
