package main

import (
	"fmt"
	"slices"
)

// An abiID is an ABI as package abi declares it. gentables cannot import that
// package: it would need the tables to make the tables.
type abiID struct {
	ident string // Go identifier
	name  string // what the text inputs say
	table string // name of the table of numbers: an ABI can share another's
	goos  string // suffix of the files of golang.org/x/sys/unix, "" if it has none
}

var abis = []abiID{
	{"I386", "386", "386", "386"},
	{"AMD64", "amd64", "amd64", "amd64"},
	{"X32", "x32", "x32", ""},
	{"ARM", "arm", "arm", "arm"},
	{"ARM64", "arm64", "arm64", "arm64"},
	{"RISCV64", "riscv64", "riscv64", "riscv64"},
	{"LOONG64", "loong64", "loong64", "loong64"},
	{"PPC64", "ppc64", "ppc64", "ppc64"},
	{"PPC64LE", "ppc64le", "ppc64", "ppc64le"},
	{"S390X", "s390x", "s390x", "s390x"},
	{"MIPS", "mips", "mips", "mips"},
	{"MIPSLE", "mipsle", "mips", "mipsle"},
	{"MIPS64", "mips64", "mips64", "mips64"},
	{"MIPS64LE", "mips64le", "mips64", "mips64le"},
}

// tableNames returns the names of the tables of numbers, in the order of abis.
func tableNames() []string {
	var names []string
	for _, a := range abis {
		if !slices.Contains(names, a.table) {
			names = append(names, a.table)
		}
	}
	return names
}

// checkTables returns an error unless each name is that of a table.
func checkTables(names []string) error {
	known := tableNames()
	for _, n := range names {
		if !slices.Contains(known, n) {
			return fmt.Errorf("unknown table %q", n)
		}
	}
	return nil
}
