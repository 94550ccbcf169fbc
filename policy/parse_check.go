package policy

import "fmt"

// checkDocumented holds a file in the documented form to what that form
// documents beyond its keys: at least one rule, and no call twice in one.
func (d *decoder) checkDocumented(p *Policy, n *node) {
	if !p.Documented {
		return
	}
	if rules, ok := n.get("syscalls"); ok && rules.kind == listNode && len(rules.items) == 0 {
		d.add(rules.pos, rules.width, "add a rule", "syscalls is empty")
	}
	for _, r := range p.Rules {
		names := make(map[string]bool)
		for _, c := range r.Calls {
			switch {
			case c.Documented && names[c.Name]:
				d.add(c.Pos, 1, "take it out of names", "%s stands in names too, without conditions", c.Name)
			case c.Documented:
			case names[c.Name]:
				d.add(c.Pos, len(c.Name), fmt.Sprintf("leave one %s out", c.Name), "%s stands twice in one rule", c.Name)
			default:
				names[c.Name] = true
			}
		}
	}
}
