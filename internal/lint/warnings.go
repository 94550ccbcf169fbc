package lint

import "github.com/sysgate/sysgate/policy"

// codeOf gives what resolving a policy warns of its code here.
var codeOf = map[string]string{
	policy.CodeGroup:     "SG007",
	policy.CodePointer:   "SG011",
	policy.CodeUnread:    "SG005",
	policy.CodeOtherABI:  "SG021",
	policy.CodeException: "SG025",
}

// warnings reports what resolving the policy found.
func (c *checker) warnings() {
	for _, w := range c.Warnings {
		if code, ok := codeOf[w.Code]; ok {
			c.report(code, w.Pos, w.Width, w.Hint, w.Msg)
		}
	}
}
