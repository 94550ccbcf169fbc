package policy

import (
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// isSet reports whether name, as a rule writes it, is a set's.
func isSet(name string) bool { return strings.HasPrefix(name, "@") }

// checkName returns why name can be no call and no set, "" if it is one: a call
// of some ABI.
func checkName(name string) (msg, hint string) {
	if isSet(name) {
		if _, ok := Set(name); ok {
			return "", ""
		}
		if hasConditions(name) {
			return fmt.Sprintf("the set %q has conditions", name), "list it under names, or write out its calls: sysgate sets show"
		}
		return fmt.Sprintf("unknown set %q", name), setHint(name)
	}
	if abi.Known(name) {
		return "", ""
	}
	switch near := abi.Suggest(name); {
	case strings.Contains(name, "("):
		hint = "patterns with arguments stand under calls"
	case near != "":
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Sprintf("unknown system call %q", name), hint
}

func setHint(name string) string {
	names := append(SetNames(), PatternSetNames()...)
	for _, known := range names {
		if strings.TrimPrefix(name, "@") == known[strings.LastIndexByte(known, '/')+1:] {
			return fmt.Sprintf("did you mean %q?", known)
		}
	}
	if hint := didYouMean(name, names); hint != "" {
		return hint
	}
	return "sysgate sets lists the sets"
}
