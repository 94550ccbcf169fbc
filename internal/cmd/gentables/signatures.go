package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An argument is a parameter on one ABI.
type argument struct {
	name, also string
	kind       string
	signed     bool
	bits       int
}

// signatures is what is known of arguments.
type signatures struct {
	protos  map[string]prototype
	entries map[string]map[string]string // table, call: prototype; "-" if unknown
	kinds   map[string]string            // NAME or CALL.NAME: kind
	also    map[string][2]string         // CALL.NAME: shown name, second name
}

func readSignatures(in inputs, calls *syscalls) (*signatures, error) {
	s := &signatures{
		entries: map[string]map[string]string{},
		kinds:   map[string]string{},
		also:    map[string][2]string{},
	}
	var err error
	if s.protos, err = readPrototypes(in, "signatures.txt"); err != nil {
		return nil, err
	}
	extra, err := readPrototypes(in, "signatures-extra.txt")
	if err != nil {
		return nil, err
	}
	maps.Copy(s.protos, extra)
	if err := s.readEntries(in, calls); err != nil {
		return nil, err
	}
	if err := s.readKinds(in); err != nil {
		return nil, err
	}
	return s, s.readArgNames(in)
}

// readEntries reads lines "CALL PROTOTYPE TABLE…".
func (s *signatures) readEntries(in inputs, calls *syscalls) error {
	lines, err := in.lines("entries.txt")
	if err != nil {
		return err
	}
	for _, l := range lines {
		if len(l.fields) < 3 {
			return l.errorf("want CALL PROTOTYPE TABLE…")
		}
		name, proto := l.fields[0], l.fields[1]
		if _, ok := s.protos[proto]; !ok && proto != "-" {
			return l.errorf("no prototype %s", proto)
		}
		if err := checkTables(l.fields[2:]); err != nil {
			return l.errorf("%w", err)
		}
		for _, t := range l.fields[2:] {
			if _, ok := calls.tables[t].number(name); !ok {
				return l.errorf("%s has no call %s", t, name)
			}
			if s.entries[t] == nil {
				s.entries[t] = map[string]string{}
			}
			if s.entries[t][name] != "" {
				return l.errorf("%s on %s is listed twice", name, t)
			}
			s.entries[t][name] = proto
		}
	}
	return nil
}

// readKinds reads lines "KIND NAME…".
func (s *signatures) readKinds(in inputs) error {
	lines, err := in.lines("kinds.txt")
	if err != nil {
		return err
	}
	for _, l := range lines {
		if argKinds[l.fields[0]] == "" {
			return l.errorf("unknown kind %q", l.fields[0])
		}
		for _, name := range l.fields[1:] {
			if s.kinds[name] != "" {
				return l.errorf("%s is listed twice", name)
			}
			s.kinds[name] = l.fields[0]
		}
	}
	return nil
}

// readArgNames reads lines "CALL NAME ALSO".
func (s *signatures) readArgNames(in inputs) error {
	lines, err := in.lines("argnames.txt")
	if err != nil {
		return err
	}
	for _, l := range lines {
		if len(l.fields) != 3 {
			return l.errorf("want CALL NAME ALSO")
		}
		call, shown, also := l.fields[0], l.fields[1], l.fields[2]
		for _, name := range []string{shown, also} {
			s.also[call+"."+name] = [2]string{shown, also}
		}
	}
	return nil
}

// arguments returns the arguments of a call on a table; ok is false if they are
// not known.
func (s *signatures) arguments(t string, call string) (args []argument, ok bool, err error) {
	name := cmp.Or(s.entries[t][call], call)
	p, ok := s.protos[name]
	if !ok {
		return nil, false, nil
	}
	for _, param := range p.parameters {
		typ, err := parseType(param.typ)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", p.name, err)
		}
		args = append(args, s.argument(t, call, param.name, typ, len(args))...)
	}
	return args[:min(len(args), 6)], true, nil
}

// argument returns what parameter is at position at: two words if it is wider
// than those of the ABI.
func (s *signatures) argument(t, call, name string, typ ctype, at int) []argument {
	a := argument{name: name, kind: s.kind(call, name, typ), signed: typ.signed, bits: typ.bits}
	names, ok := s.also[call+"."+name]
	if !ok {
		names, ok = s.also["*."+name]
	}
	if ok {
		a.name, a.also = names[0], names[1]
	}
	word := wordBits(t)
	if a.bits == 0 {
		a.bits = word
	}
	if a.bits <= word {
		return []argument{a}
	}
	low, high := a, a
	low.name, low.also, low.bits, low.signed = name+"_lo", "", word, false
	high.name, high.also, high.bits = name+"_hi", "", word
	var words []argument
	if pairsAligned(t) && at%2 != 0 {
		words = append(words, argument{name: "unused", kind: "unknown", bits: word})
	}
	if t == "mips" {
		// The order of the halves is the machine's, and mips and mipsle share a
		// table: neither name would be right for both.
		low.name, high.name, high.signed = name+"_word0", name+"_word1", false
	}
	return append(words, low, high)
}

// kind returns what an argument is.
func (s *signatures) kind(call, name string, typ ctype) string {
	return cmp.Or(s.kinds[call+"."+name], typ.kind, s.kinds[name], "integer")
}

func wordBits(table string) int {
	switch table {
	case "386", "arm", "mips":
		return 32
	}
	return 64
}

// pairsAligned reports whether the two registers of a 64-bit argument start at
// an even one: the calling conventions of ARM EABI and MIPS o32.
func pairsAligned(table string) bool { return table == "arm" || table == "mips" }

// argKinds are the identifiers of package abi for the kinds.
var argKinds = map[string]string{
	"unknown": "Unknown", "integer": "Integer", "flags": "Flags", "fd": "FD", "pid": "PID",
	"userid": "UserID", "mode": "Mode", "size": "Size", "signal": "Signal", "offset": "Offset",
	"pointer": "Pointer",
}

// emit writes the distinct arguments, the distinct lists of them, and which list
// each call has.
func (s *signatures) emit(calls *syscalls, path string) error {
	lists := map[string]map[uint32][]argument{}
	distinct := map[argument]bool{}
	known := map[string][]argument{}
	for _, t := range tableNames() {
		lists[t] = map[uint32][]argument{}
		for _, c := range calls.tables[t].calls {
			from := t
			if nr, _ := calls.tables[t].number(c.name); nr != c.nr {
				from = "amd64" // the other number of an x32 call is that of the 64-bit one
			}
			args, ok, err := s.arguments(from, c.name)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			lists[t][c.nr] = args
			known[fmt.Sprint(args)] = args
			for _, a := range args {
				distinct[a] = true
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(distinct), compareArguments)
	nameSet := map[string]bool{"": true}
	for _, a := range all {
		nameSet[a.name], nameSet[a.also] = true, true
	}
	names := slices.Sorted(maps.Keys(nameSet))

	out := newSource()
	out.stringTable("argNames", names)
	out.printf("var argRecords = []argRecord{\n")
	for _, a := range all {
		name, _ := slices.BinarySearch(names, a.name)
		also, _ := slices.BinarySearch(names, a.also)
		out.printf("{%d, %d, %s, %t, %d},\n", name, also, argKinds[a.kind], a.signed, a.bits)
	}
	out.printf("}\n\n")

	// List 0 is "unknown". The others lie end to end in argLists.
	position := map[string]uint16{}
	var flat []uint16
	starts := []uint16{0, 0}
	for i, key := range slices.Sorted(maps.Keys(known)) {
		for _, a := range known[key] {
			id, _ := slices.BinarySearchFunc(all, a, compareArguments)
			flat = append(flat, uint16(id))
		}
		position[key] = uint16(i + 1)
		starts = append(starts, uint16(len(flat)))
	}
	out.printf("var argLists = ")
	uints(out, "uint16", flat)
	out.printf("\n\nvar argListStarts = ")
	uints(out, "uint16", starts)
	out.printf("\n\n")
	for _, t := range tableNames() {
		var of []uint16
		for _, c := range calls.tables[t].calls {
			list := uint16(0)
			if args, ok := lists[t][c.nr]; ok {
				list = position[fmt.Sprint(args)]
			}
			of = append(of, list)
		}
		out.printf("var %sArgs = ", tableVar(t))
		uints(out, "uint16", of)
		out.printf("\n\n")
	}
	return out.write(path)
}

func compareArguments(a, b argument) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.also, b.also),
		strings.Compare(a.kind, b.kind), cmp.Compare(a.bits, b.bits),
		strings.Compare(fmt.Sprint(a.signed), fmt.Sprint(b.signed)))
}
