package cli

import (
	"bufio"
	"fmt"
	"io"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/build"
	page "github.com/sysgate/sysgate/internal/report"
)

// writeExplanation writes the page that shows how a policy became a filter to the
// file out.
func (e *env) writeExplanation(out, file string, filter *build.Filter, o build.Options) error {
	phases, _, err := build.Explain(filter.Policy, o)
	if err != nil {
		return err
	}
	explanation := page.Explanation{Title: file, Summary: describe(filter)}
	for _, p := range phases {
		explanation.Phases = append(explanation.Phases, page.Phase(p))
	}
	for _, s := range filter.Policy.ABIs {
		for nr, name := range s.ABI.Syscalls() {
			explanation.Calls = append(explanation.Calls, explainCall(filter, s.ABI, nr, name))
		}
	}
	return e.output(out, func(w io.Writer) error {
		buffered := bufio.NewWriter(w)
		if err := explanation.WriteHTML(buffered); err != nil {
			return fmt.Errorf("explanation: %w", err)
		}
		return buffered.Flush()
	})
}

// detailCosts says with -v how much of a filter runs, and for which calls the
// verdict depends on arguments.
func (e *env) detailCosts(filter *build.Filter) {
	e.detailf("filter: no call executes more than %s", count(build.Longest(filter.Program), "instruction"))
	for _, s := range filter.Policy.ABIs {
		cached, all := 0, 0
		for nr, name := range s.ABI.Syscalls() {
			call := abi.Call{Arch: s.ABI.AuditArch(), NR: nr}
			constant := build.ConstAllow(filter.Program, call)
			switch all++; {
			case constant.Allowed:
				cached++
			case !filter.Program[constant.At].IsReturn():
				e.detailf("filter: %v:%s always runs it: %s", s.ABI, name, constant.Why)
			}
		}
		if build.HasBitmap(s.ABI) {
			e.detailf("filter: from Linux 5.11 on, the kernel answers %d of %s of %v without it", cached, count(all, "call"), s.ABI)
		}
	}
}

// explainCall says what a filter does with a call, and what that costs.
func explainCall(filter *build.Filter, a abi.ABI, nr uint32, name string) page.Call {
	call := abi.Call{Arch: a.AuditArch(), NR: nr}
	result := filter.Program.Run(call, a.BigEndian())
	constant := build.ConstAllow(filter.Program, call)
	c := page.Call{
		ABI: a.String(), Name: name, Number: nr,
		Verdict: a.ActionString(result.Return), Executed: result.Steps,
		Cached: constant.Allowed, Why: constant.Why,
	}
	if c.Cached && !build.HasBitmap(a) {
		c.Cached, c.Why = false, fmt.Sprintf("the kernel keeps no bitmap for %v", a)
	}
	return c
}
