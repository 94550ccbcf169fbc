package main

import (
	"fmt"
	"strings"
)

// A ctype is what a C type of a system call's parameter means.
type ctype struct {
	bits   int // that the kernel reads; 0: a word of the ABI
	signed bool
	kind   string // kind that the type alone implies, "" if it implies none
}

// ctypes are the types of the kernel's SYSCALL_DEFINE, without const, __user
// and enum. See include/linux/types.h and include/uapi/asm-generic/posix_types.h.
var ctypes = map[string]ctype{
	"int":                {bits: 32, signed: true},
	"unsigned":           {bits: 32},
	"unsigned int":       {bits: 32},
	"long":               {signed: true},
	"unsigned long":      {},
	"s32":                {bits: 32, signed: true},
	"u16":                {bits: 16},
	"u32":                {bits: 32},
	"s64":                {bits: 64, signed: true},
	"u64":                {bits: 64},
	"aio_context_t":      {},
	"cap_user_data_t":    {kind: "pointer"},
	"cap_user_header_t":  {kind: "pointer"},
	"clockid_t":          {bits: 32, signed: true, kind: "flags"},
	"fd_t":               {bits: 32, signed: true, kind: "fd"},
	"gid_t":              {bits: 32, kind: "userid"},
	"key_serial_t":       {bits: 32, signed: true},
	"key_t":              {bits: 32, signed: true},
	"landlock_rule_type": {bits: 32},
	"loff_t":             {bits: 64, signed: true, kind: "offset"},
	"mqd_t":              {bits: 32, signed: true, kind: "fd"},
	"off_t":              {signed: true, kind: "offset"},
	"old_gid_t":          {bits: 16, kind: "userid"},
	"old_sigset_t":       {},
	"old_uid_t":          {bits: 16, kind: "userid"},
	"pid_t":              {bits: 32, signed: true, kind: "pid"},
	"qid_t":              {bits: 32, kind: "userid"},
	"rwf_t":              {bits: 32, signed: true, kind: "flags"},
	"sighandler_t":       {kind: "pointer"},
	"size_t":             {kind: "size"},
	"timer_t":            {bits: 32, signed: true},
	"uid_t":              {bits: 32, kind: "userid"},
	"umode_t":            {bits: 16, kind: "mode"},
}

// parseType returns what a type means.
func parseType(text string) (ctype, error) {
	if strings.Contains(text, "*") {
		return ctype{kind: "pointer"}, nil
	}
	var words []string
	for _, w := range strings.Fields(text) {
		switch w {
		case "const", "enum":
		default:
			words = append(words, strings.TrimPrefix(w, "__"))
		}
	}
	t, ok := ctypes[strings.Join(words, " ")]
	if !ok {
		return t, fmt.Errorf("unknown type %q", text)
	}
	return t, nil
}

// A parameter is one of a prototype, as the kernel declares it.
type parameter struct{ typ, name string }

// A prototype is what a kernel function that a system call enters takes.
type prototype struct {
	name       string
	parameters []parameter
}

func (p prototype) String() string {
	var list []string
	for _, a := range p.parameters {
		space := " "
		if strings.HasSuffix(a.typ, "*") {
			space = ""
		}
		list = append(list, a.typ+space+a.name)
	}
	return p.name + "(" + strings.Join(list, ", ") + ")"
}

// parsePrototype reads what String writes.
func parsePrototype(text string) (prototype, error) {
	name, rest, ok := strings.Cut(text, "(")
	inner, end, closed := strings.Cut(rest, ")")
	if !ok || !closed || end != "" || strings.ContainsAny(name, " ,") {
		return prototype{}, fmt.Errorf("want NAME(TYPE PARAMETER, …)")
	}
	p := prototype{name: name}
	if inner == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(inner, ",") {
		part = strings.TrimSpace(part)
		i := strings.LastIndexAny(part, " *") + 1
		a := parameter{strings.TrimSpace(part[:i]), part[i:]}
		if a.name == "" || a.typ == "" {
			return p, fmt.Errorf("parameter %q: want TYPE NAME", part)
		}
		if _, err := parseType(a.typ); err != nil {
			return p, err
		}
		p.parameters = append(p.parameters, a)
	}
	if len(p.parameters) > 6 {
		return p, fmt.Errorf("%d parameters", len(p.parameters))
	}
	return p, nil
}
