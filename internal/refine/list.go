package refine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// An Item is one entry of a list of system calls.
type Item struct {
	Name   string         // of a call on some ABI, or of a set: "@systemd/mount"
	Action *policy.Action // what to do with it, where the list says: "bind:kill_process"
}

// ParseList reads a list: names and sets, separated by commas, blanks or lines,
// each with an action behind a colon if it has one of its own; "#" starts a
// comment. Names of any ABI are fine, since lists are shared between machines; a
// name that no ABI has is an error with its place in source. An error is a
// [*policy.Error].
func ParseList(source, text string) ([]Item, error) {
	var items []Item
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		code, _, _ := strings.Cut(line, "#")
		for start := 0; start < len(code); {
			if isSeparator(rune(code[start])) {
				start++
				continue
			}
			word := code[start:]
			if end := strings.IndexFunc(word, isSeparator); end >= 0 {
				word = word[:end]
			}
			item, err := parseItem(word)
			if err != nil {
				err.Pos = policy.Pos{File: source, Line: number, Col: start + 1}
				err.Source, err.Width = line, len(word)
				return nil, err
			}
			items = append(items, item)
			start += len(word)
		}
	}
	return items, nil
}

func isSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

func parseItem(word string) (Item, *policy.Error) {
	name, action, hasAction := strings.Cut(word, ":")
	item := Item{Name: name}
	if strings.HasPrefix(name, "@") {
		if _, ok := policy.SetPatterns(name); !ok {
			return Item{}, &policy.Error{Msg: fmt.Sprintf("unknown set %q", name), Hint: "sysgate sets lists them"}
		}
		if _, ok := policy.Set(name); !ok {
			return Item{}, &policy.Error{Msg: fmt.Sprintf("the set %q has conditions, which a list cannot say", name), Hint: "list it under names in a policy"}
		}
	} else if !abi.Known(name) {
		err := &policy.Error{Msg: fmt.Sprintf("unknown system call %q", name)}
		if near := abi.Suggest(name); near != "" {
			err.Hint = fmt.Sprintf("did you mean %q?", near)
		}
		return Item{}, err
	}
	if hasAction {
		a, err := policy.ParseAction(action)
		if err != nil {
			return Item{}, &policy.Error{Msg: fmt.Sprintf("%s: %q is no action", name, action), Hint: "name:kill_process, name:errno(EPERM) or name:log"}
		}
		item.Action = &a
	}
	return item, nil
}

// Names returns the names that items mean on the ABIs, sorted: the members of
// sets, and every call that does the same service as one that is listed (setuid32
// for setuid). elsewhere are the names that none of these ABIs has; members of
// sets are not among them.
func Names(items []Item, on ...abi.ABI) (names, elsewhere []string) {
	found := map[string]bool{}
	for _, item := range items {
		listed := []string{item.Name}
		members, isSet := policy.Set(item.Name)
		if isSet {
			listed = members
		}
		for _, name := range listed {
			if !addService(found, name, on) && !isSet {
				elsewhere = append(elsewhere, name)
			}
		}
	}
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(elsewhere)
	return names, slices.Compact(elsewhere)
}

// addService adds name, and the calls that do its service on any of the ABIs. It
// reports whether one of them has such a call.
func addService(found map[string]bool, name string, on []abi.ABI) bool {
	has := false
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		for _, a := range on {
			group := a.Group(queue[0])
			if _, _, ok := a.Multiplexed(queue[0]); ok {
				group = append(group, queue[0])
			}
			for _, member := range group {
				has = true
				if !found[member] {
					found[member] = true
					queue = append(queue, member)
				}
			}
		}
	}
	return has
}
