package cli

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/policy"
)

// An emission is what a form is made of.
type emission struct {
	policy    *policy.Policy
	resolved  *policy.Resolved
	program   bpf.Program // proved equal to resolved
	goPackage string      // for the form go
}

func (m *emission) bigEndian() bool { return m.resolved.BigEndian() }

// abis returns the ABIs that the filter is for.
func (m *emission) abis() []abi.ABI {
	var all []abi.ABI
	for _, s := range m.resolved.ABIs {
		all = append(all, s.ABI)
	}
	return all
}

// A form is a way to write a filter. Its test has its name: TestEmit/asm.
type form struct {
	name   string
	help   string
	binary bool // not for a terminal
	write  func(io.Writer, *emission) error
}

var forms = []form{
	{"asm", "one instruction a line, with names", false, emitAsm},
	{"bpf", "struct sock_filter[], in the byte order of the ABI", true, emitBytes},
	{"base64", "the same in base64", false, emitBase64},
	{"c", "a C array of struct sock_filter", false, emitC},
	{"go", "a Go file with filter, policy and certificate, to be installed at the price\nof a hash", false, emitGo},
	{"json", `an array of {"code", "jt", "jf", "k"}`, false, emitJSON},
	{"pfc", "pseudo code as libseccomp writes it, of what the policy decides", false, emitPFC},
	{"dot", "a graph of the filter's jumps, for Graphviz", false, emitDot},
	{"certificate", `for "sysgate verify": that the filter is the policy`, true, emitCertificate},
}

func formNames() string {
	var names []string
	for _, f := range forms {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// formsHelp returns a line or more for each form.
func formsHelp() string {
	var b strings.Builder
	for _, f := range forms {
		fmt.Fprintf(&b, "  %-12s %s\n", f.name, strings.ReplaceAll(f.help, "\n", "\n"+strings.Repeat(" ", 15)))
	}
	return b.String()
}

func emitAsm(w io.Writer, m *emission) error { return m.program.Disassemble(w, m.bigEndian()) }

func emitBytes(w io.Writer, m *emission) error {
	_, err := w.Write(m.program.Bytes(m.bigEndian()))
	return err
}

func emitBase64(w io.Writer, m *emission) error {
	_, err := fmt.Fprintln(w, base64.StdEncoding.EncodeToString(m.program.Bytes(m.bigEndian())))
	return err
}

func emitC(w io.Writer, m *emission) error {
	_, err := w.Write(convert.FilterC(m.program))
	return err
}

func emitJSON(w io.Writer, m *emission) error {
	data, err := convert.FilterJSON(m.program)
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}

func emitPFC(w io.Writer, m *emission) error { return convert.PFC(w, m.policy, m.resolved) }
