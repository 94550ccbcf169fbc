package lint

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// actions reports actions that do not do what they say, or more than that.
func (c *checker) actions() {
	if c.own() {
		for _, r := range c.Policy.Rules {
			if r.Action.Kind == abi.KillThread {
				c.report("SG020", r.Pos, 1, "action: kill_process", "kill_thread ends one thread of the process")
			}
		}
		for name, a := range map[string]*policy.Action{
			"default_action": &c.Policy.Default, "unknown_action": c.Policy.Unknown,
			"bad_arch_action": c.Policy.BadArch, "x32_action": c.Policy.X32,
		} {
			if a != nil && a.Kind == abi.KillThread {
				pos, width := c.fieldPlace(name)
				c.report("SG020", pos, width, name+": kill_process", "kill_thread ends one thread of the process")
			}
		}
		return
	}
	if c.Policy != nil {
		return
	}
	for pc, i := range c.Program {
		if i.Code != bpf.RetK {
			continue
		}
		word := abi.Action(i.K)
		switch {
		case word == abi.Errno:
			c.reportAs(Warning, "SG015", c.whole(), 1, "", fmt.Sprintf("instruction %d: errno 0 reports success for a call that is not made", pc))
		case !word.Known():
			c.report("SG015", c.whole(), 1, "", fmt.Sprintf("instruction %d: the kernel does not know action %#x: it kills the process", pc, i.K))
		case word.Kind() == abi.Errno && word.Data() > abi.MaxErrno:
			c.report("SG015", c.whole(), 1, "", fmt.Sprintf("instruction %d: errno %d is capped at %d", pc, word.Data(), abi.MaxErrno))
		case proof.Effect(word) != word:
			c.reportAs(Note, "SG015", c.whole(), 1, "", fmt.Sprintf("instruction %d: %#x has data that means nothing", pc, i.K))
		}
	}
}

// large is how many instructions are worth a word: a quarter of what one filter
// can have, and that many more fill the kernel's budget for a task.
const large = bpf.MaxLen / 4

// size reports large filters.
func (c *checker) size() {
	if n := len(c.Program); n > large {
		c.report("SG018", c.whole(), 1, "", fmt.Sprintf("%d instructions, of at most %d; a task can have about %d such filters", n, bpf.MaxLen, stackBudget/(n+filterCost)))
	}
}

// The kernel's budget for all filters of a task, in converted instructions, and
// what it counts for each filter besides (MAX_INSNS_PER_PATH and seccomp_attach_filter,
// kernel/seccomp.c).
const (
	stackBudget = 32768
	filterCost  = 4
)

// cost reports the calls that run the filter every time though they are let
// through, with the instructions of one that is.
func (c *checker) cost() {
	for _, a := range c.abis {
		var names []string
		for nr, name := range a.Syscalls() {
			actions := c.tables[a].Actions(nr)
			passed := false
			for _, action := range actions {
				passed = passed || passes(action)
			}
			if !passed || build.ConstAllow(c.Program, abi.Call{Arch: a.AuditArch(), NR: nr}).Allowed {
				continue
			}
			one := policy.Pattern{ABI: a, Numbers: &policy.NumberRange{Lo: nr, Hi: nr}}
			for _, o := range c.s.Outcomes(c.f, c.matched(a, one)) {
				if passes(o.Action) {
					names = append(names, fmt.Sprintf("%s (%d)", name, c.Program.Run(o.Witness, c.BigEndian).Steps))
					break
				}
			}
		}
		if len(names) > 0 {
			c.report("SG019", c.whole(), 1, "", fmt.Sprintf("%d calls on %s run the filter every time, instructions in parentheses: %s", len(names), a, summary(names)))
		}
	}
}
