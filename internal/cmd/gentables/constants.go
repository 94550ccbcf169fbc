package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A variant is the value of a constant on some ABIs: a bit set over abis.
type variant struct {
	abis  uint16
	value uint64
}

// constants are the variants of each name. On an ABI that no variant has, there
// is no such constant.
type constants map[string][]variant

var everyABI = uint16(1<<len(abis) - 1)

// read reads lines "NAME VALUE [ABI,…=VALUE]…", where the first value is that of
// the ABIs that the others do not name: "-" if they have none, "+" if they keep
// what was read before.
func (c constants) read(in inputs, file string) error {
	lines, err := in.lines(file)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range lines {
		if len(l.fields) < 2 || seen[l.fields[0]] {
			return l.errorf("want NAME VALUE, once")
		}
		seen[l.fields[0]] = true
		var variants []variant
		rest := everyABI
		for _, f := range l.fields[2:] {
			names, text, ok := strings.Cut(f, "=")
			if !ok {
				return l.errorf("%q: want ABI=VALUE", f)
			}
			set, err := abiSet(names)
			if err != nil {
				return l.errorf("%w", err)
			}
			if set&rest != set {
				return l.errorf("%q: an ABI is named twice", f)
			}
			rest &^= set
			if variants, err = addVariant(variants, set, text); err != nil {
				return l.errorf("%w", err)
			}
		}
		if l.fields[1] == "+" {
			if c[l.fields[0]] == nil {
				return l.errorf("nothing was read before that + could keep")
			}
			for _, v := range c[l.fields[0]] {
				if v.abis &= rest; v.abis != 0 {
					variants = append(variants, v)
				}
			}
		} else if variants, err = addVariant(variants, rest, l.fields[1]); err != nil {
			return l.errorf("%w", err)
		}
		c[l.fields[0]] = variants
	}
	return nil
}

func addVariant(variants []variant, set uint16, text string) ([]variant, error) {
	if text == "-" || set == 0 {
		return variants, nil
	}
	value, err := parseValue(text)
	if err != nil {
		return nil, err
	}
	return append(variants, variant{set, value}), nil
}

// parseValue reads a number; a negative one is sign-extended.
func parseValue(text string) (uint64, error) {
	if strings.HasPrefix(text, "-") {
		v, err := strconv.ParseInt(text, 0, 64)
		return uint64(v), err
	}
	return strconv.ParseUint(text, 0, 64)
}

func abiSet(names string) (uint16, error) {
	var set uint16
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(abis, func(a abiID) bool { return a.name == name })
		if i < 0 {
			return 0, fmt.Errorf("unknown ABI %q", name)
		}
		set |= 1 << i
	}
	return set, nil
}

// write writes the constants as read reads them, in the order that less gives.
func (c constants) write(path, header string, order func(a, b string) int) error {
	var text strings.Builder
	text.WriteString(header)
	for _, name := range slices.SortedFunc(maps.Keys(c), order) {
		variants := slices.Clone(c[name])
		present := uint16(0)
		for _, v := range variants {
			present |= v.abis
		}
		common := "-"
		if present == everyABI {
			i := slices.IndexFunc(variants, func(v variant) bool {
				return v == slices.MaxFunc(variants, func(a, b variant) int {
					return cmp.Compare(onesCount(a.abis), onesCount(b.abis))
				})
			})
			common = formatValue(variants[i].value)
			variants = slices.Delete(variants, i, i+1)
		}
		fmt.Fprintf(&text, "%s %s", name, common)
		slices.SortFunc(variants, func(a, b variant) int { return cmp.Compare(lowest(a.abis), lowest(b.abis)) })
		for _, v := range variants {
			fmt.Fprintf(&text, " %s=%s", abiNames(v.abis), formatValue(v.value))
		}
		text.WriteByte('\n')
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

func formatValue(v uint64) string {
	switch {
	case v < 10:
		return strconv.FormatUint(v, 10)
	case int64(v) < 0 && int64(v) > -1<<31:
		return strconv.FormatInt(int64(v), 10)
	}
	return fmt.Sprintf("%#x", v)
}

func abiNames(set uint16) string {
	var names []string
	for i, a := range abis {
		if set>>i&1 != 0 {
			names = append(names, a.name)
		}
	}
	return strings.Join(names, ",")
}

// emit writes the table called name: the sorted names, and for each its
// variants.
func (c constants) emit(out *source, name string) {
	names := slices.Sorted(maps.Keys(c))
	out.stringTable(name+"Names", names)
	starts := []uint16{0}
	var sets []uint16
	var values []uint64
	for _, n := range names {
		for _, v := range c[n] {
			sets = append(sets, v.abis<<1) // package abi counts from None
			values = append(values, v.value)
		}
		starts = append(starts, uint16(len(sets)))
	}
	out.printf("var %s = valueTable{\nnames: &%sNames,\nstarts: ", name, name)
	uints(out, "uint16", starts)
	out.printf(",\nabis: ")
	uints(out, "uint16", sets)
	out.printf(",\nvalues: ")
	uints(out, "uint64", values)
	out.printf(",\n}\n\n")
}
