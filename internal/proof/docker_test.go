package proof

import (
	"slices"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/compile"
	"github.com/sysgate/sysgate/policy"
)

// dockerLike returns a policy of the size and shape of Docker's default profile:
// it allows most calls of each ABI by name and some by argument.
func dockerLike(abis ...abi.ABI) *policy.Resolved {
	r := &policy.Resolved{BadArch: abi.KillProcess, X32: abi.Errno.WithData(38)}
	for _, a := range abis {
		r.ABIs = append(r.ABIs, dockerSection(a))
	}
	return r
}

func dockerSection(a abi.ABI) policy.ResolvedABI {
	const all = ^uint64(0)
	is := func(word uint8, mask, value uint64) policy.Test {
		return policy.Test{Word: word, Mask: mask, In: []policy.Interval{{Lo: value, Hi: value}}}
	}
	conditional := map[string][]policy.Alternative{
		"personality": {
			{is(0, all, 0)}, {is(0, all, 8)}, {is(0, all, 0x20000)}, {is(0, all, 0x20008)}, {is(0, all, 0xffffffff)},
		},
		"clone":  {{is(0, 0x7e020000, 0)}},
		"socket": {{{Word: 0, Mask: all, In: []policy.Interval{{Lo: 0, Hi: 39}, {Lo: 41, Hi: all}}}}},
	}
	denied := []string{
		"acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "fsopen", "init_module",
		"io_uring_setup", "io_uring_enter", "kexec_load", "keyctl", "mount", "move_mount", "open_by_handle_at", "perf_event_open",
		"pivot_root", "reboot", "request_key", "setns", "settimeofday", "swapon", "swapoff", "umount2", "unshare", "userfaultfd", "vhangup",
	}
	s := policy.ResolvedABI{
		ABI: a, Default: abi.Errno.WithData(1), Unknown: abi.Errno.WithData(38),
	}
	allowed := policy.ResolvedRule{Action: abi.Allow}
	for nr, name := range a.Syscalls() {
		s.Known = add(s.Known, nr)
		switch {
		case slices.Contains(denied, name):
		case name == "clone3":
			s.Rules = append(s.Rules, policy.ResolvedRule{Numbers: add(nil, nr), Action: abi.Errno.WithData(38), Rule: len(s.Rules)})
		case conditional[name] != nil:
			s.Rules = append(s.Rules, policy.ResolvedRule{Numbers: add(nil, nr), Any: conditional[name], Action: abi.Allow, Rule: len(s.Rules)})
		default:
			allowed.Numbers = add(allowed.Numbers, nr)
		}
	}
	allowed.Rule = len(s.Rules)
	s.Rules = append(s.Rules, allowed)
	return s
}

// add appends nr to ranges, where it is larger than all there.
func add(ranges []policy.NumberRange, nr uint32) []policy.NumberRange {
	if n := len(ranges); n > 0 && ranges[n-1].Hi+1 == nr {
		ranges[n-1].Hi = nr
		return ranges
	}
	return append(ranges, policy.NumberRange{Lo: nr, Hi: nr})
}

// benchmark proves a chain of comparisons and the compiler's tree.
func benchmark(b *testing.B, abis ...abi.ABI) {
	r := dockerLike(abis...)
	tree, err := compile.Compile(r, compile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for name, p := range map[string]bpf.Program{"chain": linear(b, r), "tree": tree} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var result Result
			for b.Loop() {
				result = Equal(r, p, Budget{})
			}
			if result.Verdict != Proved {
				b.Fatalf("%+v", result)
			}
			b.ReportMetric(float64(result.Nodes), "nodes")
			b.ReportMetric(float64(len(p)), "instructions")
		})
	}
}

func BenchmarkDocker1(b *testing.B) { benchmark(b, abi.AMD64) }

func BenchmarkDocker3(b *testing.B) { benchmark(b, abi.AMD64, abi.I386, abi.X32) }
