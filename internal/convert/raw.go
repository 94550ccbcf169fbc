package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// filterSays is what a filter can say, in whatever form it is written.
var filterSays = Says{
	Actions:   "all",
	Default:   "all",
	Unknown:   "all",
	Arguments: "all that a policy can ask",
	Order:     "the program's",
	ABIs:      "several; the others as the program has it",
}

// Filters as they are: their formats have the names of compile's forms.
var (
	formatBPF = filterFormat("bpf", "", "raw filter: struct sock_filter[]", isBytes,
		parseBytes, func(p bpf.Program, bigEndian bool) ([]byte, error) { return p.Bytes(bigEndian), nil })
	formatJSON = filterFormat("json", "", `filter as JSON: {"code", "jt", "jf", "k"}`, isInstructions,
		inText(parseJSON), func(p bpf.Program, _ bool) ([]byte, error) { return FilterJSON(p) })
	formatC = filterFormat("c", "", "filter as a C array of struct sock_filter", isC,
		parseC, func(p bpf.Program, _ bool) ([]byte, error) { return FilterC(p), nil })
	formatAsm = filterFormat("asm", ";", "filter in assembly, as compile and show write it", isAsm,
		parseAsm, func(p bpf.Program, bigEndian bool) ([]byte, error) {
			var b bytes.Buffer
			err := p.Disassemble(&b, bigEndian)
			return b.Bytes(), err
		})
	formatBase64 = filterFormat("base64", "", "raw filter in base64", isBase64,
		parseBase64, func(p bpf.Program, bigEndian bool) ([]byte, error) {
			return append(base64.StdEncoding.AppendEncode(nil, p.Bytes(bigEndian)), '\n'), nil
		})
)

// filterFormat returns the format of a form of filters. What parse returns is
// valid; write gets a program that has been proved equal to the policy. comment is
// what starts a comment that says where the rules stand, "" where there are none.
func filterFormat(name, comment, title string, detect func([]byte) bool, parse func([]byte, abi.ABI) (bpf.Program, bool, error), write func(bpf.Program, bool) ([]byte, error)) Format {
	filter := func(name string, data []byte, o Options) (bpf.Program, bool, error) {
		native, err := o.machine()
		if err != nil {
			return nil, false, err
		}
		p, bigEndian, err := parse(data, native)
		var bad *bpf.SyntaxError
		switch {
		case errors.As(err, &bad):
			return nil, false, &policy.Error{
				Pos: policy.Pos{File: name, Line: bad.Line, Col: bad.Col}, Msg: "not a filter: " + bad.Msg, Hint: bad.Hint,
				Source: strings.TrimRight(strings.Split(string(data), "\n")[bad.Line-1], "\r"), Width: 1,
			}
		case err != nil:
			return nil, false, fmt.Errorf("%s: not a filter: %w", name, err)
		}
		return p, bigEndian, nil
	}
	return Format{
		Name: name, Title: title, Says: filterSays, Filter: filter,
		Detect: func(_ string, data []byte) bool { return detect(data) },
		Read: func(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
			p, bigEndian, err := filter(name, data, o)
			if err != nil {
				return nil, nil, err
			}
			return decompile(p, bigEndian, o.native())
		},
		Write: func(d *Decisions, _ Options) ([]byte, []Loss, error) {
			f, err := build.Build(d.Resolved)
			if err != nil {
				return nil, nil, err
			}
			data, err := write(f.Program, d.Resolved.BigEndian())
			if comment != "" {
				data = append(d.overview(comment), data...)
			}
			return data, loading(d.Policy), err
		},
	}
}

// decompile returns the policy that a valid program is.
func decompile(p bpf.Program, bigEndian bool, native abi.ABI) (*policy.Policy, []Loss, error) {
	s := proof.NewSpace(proof.Budget{})
	f, err := s.Program(p, bigEndian)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range Compared(p) {
		if native.BigEndian() != bigEndian && a.BigEndian() == bigEndian {
			native = a
			break
		}
	}
	out, err := s.Decompile(f, native)
	return out, nil, err
}

// loading returns what p says of loading the filter, as what is lost where a
// format is about verdicts alone.
func loading(p *policy.Policy) []Loss {
	var losses []Loss
	for _, flag := range p.Load.Flags {
		losses = append(losses, Loss{Msg: "flag " + flag + " is about loading the filter"})
	}
	if p.Load.NoNewPrivs != nil && !*p.Load.NoNewPrivs {
		losses = append(losses, Loss{Msg: "no_new_privs: false is about loading the filter"})
	}
	if p.Load.Disabled {
		losses = append(losses, Loss{Msg: "enabled: false is about loading the filter"})
	}
	return losses
}

// asmStart matches assembly by its first instruction, behind a place or none.
var asmStart = regexp.MustCompile(`^(\s|;[^\n]*\n)*(\w+:\s*)*(ld|ldx|st|stx|ja|jmp|jeq|jgt|jge|jset|ret|tax|txa|raw)([ \t]|$)`)

// base64Text matches text without what every policy has: a colon.
var base64Text = regexp.MustCompile(`^[A-Za-z0-9+/\s]+=*\s*$`)

func isBytes(data []byte) bool { return bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) }

func isInstructions(data []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) }

func isC(data []byte) bool {
	text := bytes.TrimSpace(data)
	return cStart.Match(text) && cElement.Match(text) && !bytes.Contains(text, []byte("default_action"))
}

func isAsm(data []byte) bool { return asmStart.Match(bytes.TrimSpace(data)) }

func isBase64(data []byte) bool {
	text := bytes.TrimSpace(data)
	return len(text) >= 12 && base64Text.Match(text)
}

// inText returns a reader of a form that does not say which byte order it has.
func inText(parse func([]byte) (bpf.Program, error)) func([]byte, abi.ABI) (bpf.Program, bool, error) {
	return func(data []byte, native abi.ABI) (bpf.Program, bool, error) {
		p, err := parse(data)
		if err == nil {
			err = p.Validate()
		}
		return p, orderOf(p, native), err
	}
}

func parseAsm(data []byte, native abi.ABI) (bpf.Program, bool, error) {
	p, err := bpf.Parse(string(data), native.BigEndian())
	if err == nil && orderOf(p, native) != native.BigEndian() {
		p, err = bpf.Parse(string(data), orderOf(p, native)) // the halves of arguments lie the other way
	}
	if err == nil {
		err = p.Validate()
	}
	return p, orderOf(p, native), err
}

func parseBase64(data []byte, native abi.ABI) (bpf.Program, bool, error) {
	text := strings.Join(strings.Fields(string(data)), "")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		if raw, err = base64.RawStdEncoding.DecodeString(text); err != nil {
			return nil, false, errors.New("no base64, and no policy either")
		}
	}
	return parseBytes(raw, native)
}

// parseBytes reads struct sock_filter[] in the byte order in which it is valid,
// the machine's first.
func parseBytes(data []byte, native abi.ABI) (bpf.Program, bool, error) {
	first := native.BigEndian()
	var reason error
	for _, big := range []bool{first, !first} {
		p, err := bpf.FromBytes(data, big)
		if err == nil {
			err = p.Validate()
		}
		if err == nil {
			return p, big, nil
		}
		if reason == nil {
			reason = err
		}
	}
	return nil, false, reason
}

// instructionBits are the fields of an instruction in JSON, and how many bits each has.
var instructionBits = map[string]int{"code": 16, "jt": 8, "jf": 8, "k": 32}

func parseJSON(data []byte) (bpf.Program, error) {
	d := newDocument("", data)
	fail := func(v *value, hint, format string, args ...any) error {
		pos := d.pos(v.off)
		return &bpf.SyntaxError{Line: pos.Line, Col: pos.Col, Msg: fmt.Sprintf(format, args...), Hint: hint}
	}
	root, err := d.parse()
	var bad *policy.Error
	switch {
	case errors.As(err, &bad) && bad.Pos.Line > 0:
		return nil, &bpf.SyntaxError{Line: bad.Pos.Line, Col: bad.Pos.Col, Msg: bad.Msg, Hint: bad.Hint}
	case err != nil:
		return nil, err
	case root.list == nil:
		return nil, fail(root, `write [{"code": 6, "jt": 0, "jf": 0, "k": 0}]`, "want a list of instructions")
	case len(*root.list) > bpf.MaxLen:
		return nil, bpf.ErrTooLong
	}
	var p bpf.Program
	for _, in := range *root.list {
		if in.object == nil {
			return nil, fail(in, `write {"code": 6, "jt": 0, "jf": 0, "k": 0}`, "want an instruction")
		}
		if in.get("code") == nil {
			return nil, fail(in, "", "the instruction has no code")
		}
		values := make(map[string]uint64)
		for _, m := range *in.object {
			bits, ok := instructionBits[m.name]
			if !ok {
				return nil, fail(&value{off: m.off}, "the fields are code, jt, jf and k", "unknown field %q", m.name)
			}
			if m.value.null() {
				continue
			}
			n, err := uint64(0), strconv.ErrSyntax
			if m.value.number != nil {
				n, err = strconv.ParseUint(m.value.number.String(), 10, bits)
			}
			if err != nil {
				return nil, fail(m.value, "", "%s: want a number of %d bits", m.name, bits)
			}
			values[m.name] = n
		}
		p = append(p, bpf.Instruction{Code: uint16(values["code"]), JT: uint8(values["jt"]), JF: uint8(values["jf"]), K: uint32(values["k"])})
	}
	return p, nil
}

// Compared returns the ABIs with whose architecture p compares something, in the
// order of [abi.All].
func Compared(p bpf.Program) []abi.ABI {
	constants := map[uint32]bool{}
	for _, i := range p {
		if i.IsBranch() {
			constants[i.K] = true
		}
	}
	var all []abi.ABI
	for _, a := range abi.All() {
		if constants[a.AuditArch()] && a != abi.X32 {
			all = append(all, a)
		}
	}
	return all
}

// orderOf returns the byte order of the machine that p is for.
func orderOf(p bpf.Program, native abi.ABI) (bigEndian bool) {
	all := Compared(p)
	for _, a := range all {
		if a.BigEndian() == native.BigEndian() {
			return native.BigEndian()
		}
	}
	if len(all) > 0 {
		return all[0].BigEndian()
	}
	return native.BigEndian()
}

// FilterC writes p as a C file with an array of struct sock_filter.
func FilterC(p bpf.Program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#include <linux/filter.h>\n\nstatic struct sock_filter sysgate_filter[%d] = {\n", len(p))
	for _, in := range p {
		fmt.Fprintf(&b, "\t{ 0x%02x, %d, %d, 0x%08x },\n", in.Code, in.JT, in.JF, in.K)
	}
	fmt.Fprint(&b, "};\n\nstatic struct sock_fprog sysgate_program = {\n"+
		"\t.len = sizeof(sysgate_filter) / sizeof(sysgate_filter[0]),\n\t.filter = sysgate_filter,\n};\n")
	return b.Bytes()
}

// FilterJSON writes p as a list of objects.
func FilterJSON(p bpf.Program) ([]byte, error) {
	type instruction struct {
		Code uint16 `json:"code"`
		JT   uint8  `json:"jt"`
		JF   uint8  `json:"jf"`
		K    uint32 `json:"k"`
	}
	list := make([]instruction, len(p))
	for i, in := range p {
		list[i] = instruction(in)
	}
	data, err := json.Marshal(list)
	return append(data, '\n'), err
}
