package source

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
	"github.com/sysgate/sysgate/internal/convert"
)

// A form is how an input is written.
type form int

const (
	formPolicy  form = iota
	formForeign      // a policy of another tool's format
	formBytes        // struct sock_filter[]
	formBase64       // the same
	formC            // an array of { code, jt, jf, k }
	formJSON         // a list of {"code", "jt", "jf", "k"}
	formAsm          // what bpf.Parse reads
)

// cInstruction is one element of a C array of struct sock_filter.
var cInstruction = regexp.MustCompile(`\{\s*(0[xX][0-9a-fA-F]+|[0-9]+)[uU]?\s*,\s*(0[xX][0-9a-fA-F]+|[0-9]+)\s*,\s*(0[xX][0-9a-fA-F]+|[0-9]+)\s*,\s*(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*\s*,?\s*\}`)

// isC matches what a C array has and no policy: the structure's name, or an
// element at its start.
var isC = regexp.MustCompile(`sock_filter|^\{\s*[0-9]`)

// isAsm matches assembly by its first instruction, behind a place or none.
var isAsm = regexp.MustCompile(`^(\s|;[^\n]*\n)*(\w+:\s*)*(ld|ldx|st|stx|ja|jmp|jeq|jgt|jge|jset|ret|tax|txa|raw)([ \t]|$)`)

// isBase64 matches text without what every policy has: a colon.
var isBase64 = regexp.MustCompile(`^[A-Za-z0-9+/\s]+=*\s*$`)

// formOf tells the form of data by its content. What is no filter and no other
// format is a policy: its parser says what is wrong with it.
func formOf(name string, data []byte) form {
	text := bytes.TrimSpace(data)
	switch {
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return formBytes
	case len(text) == 0:
		return formPolicy
	case foreign(name, text):
		return formForeign
	case text[0] == '[':
		return formJSON
	case isC.Match(text) && cInstruction.Match(text) && !bytes.Contains(text, []byte("default_action")):
		return formC
	case isAsm.Match(text):
		return formAsm
	case len(text) >= 12 && isBase64.Match(text):
		return formBase64
	}
	return formPolicy
}

// foreign reports whether data is in a format of another tool.
func foreign(name string, data []byte) bool {
	_, ok := convert.Detect(name, data)
	return ok
}

// parseFilter reads a valid program and the byte order of its machine.
func parseFilter(data []byte, f form, native abi.ABI) (p bpf.Program, bigEndian bool, err error) {
	switch f {
	case formBase64:
		text := strings.Join(strings.Fields(string(data)), "")
		if data, err = base64.StdEncoding.DecodeString(text); err != nil {
			if data, err = base64.RawStdEncoding.DecodeString(text); err != nil {
				return nil, false, errors.New("neither a policy nor a filter in base64")
			}
		}
		return parseBytes(data, native)
	case formBytes:
		return parseBytes(data, native)
	case formC:
		p, err = parseC(string(data))
	case formAsm:
		if p, err = bpf.Parse(string(data), native.BigEndian()); err == nil && orderOf(p, native) != native.BigEndian() {
			p, err = bpf.Parse(string(data), orderOf(p, native)) // the halves of arguments lie the other way
		}
	default:
		p, err = parseJSON(data)
	}
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return nil, false, fmt.Errorf("not a filter: %w", err)
	}
	return p, orderOf(p, native), nil
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
	return nil, false, fmt.Errorf("not a filter: %w", reason)
}

func parseC(text string) (bpf.Program, error) {
	var p bpf.Program
	end := 0
	for _, m := range cInstruction.FindAllStringSubmatchIndex(text, -1) {
		if between := text[end:m[0]]; len(p) > 0 && strings.Trim(between, ", \t\r\n") != "" && !isComment(between) {
			return nil, fmt.Errorf("instruction %d: unexpected %q before it", len(p), strings.TrimSpace(between))
		}
		end = m[1]
		var fields [4]uint64
		for i, bits := range []int{16, 8, 8, 32} {
			var err error
			if fields[i], err = strconv.ParseUint(text[m[2+2*i]:m[3+2*i]], 0, bits); err != nil {
				return nil, fmt.Errorf("instruction %d: %w", len(p), err)
			}
		}
		p = append(p, bpf.Instruction{Code: uint16(fields[0]), JT: uint8(fields[1]), JF: uint8(fields[2]), K: uint32(fields[3])})
		if len(p) > bpf.MaxLen {
			return nil, bpf.ErrTooLong
		}
	}
	return p, nil
}

// comments matches what may stand between two elements.
var comments = regexp.MustCompile(`(?s)^(\s|,|/\*.*?\*/|//[^\n]*\n)*$`)

func isComment(s string) bool { return comments.MatchString(s) }

func parseJSON(data []byte) (bpf.Program, error) {
	var list []struct {
		Code *uint16 `json:"code"`
		JT   uint8   `json:"jt"`
		JF   uint8   `json:"jf"`
		K    uint32  `json:"k"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("no list of instructions: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("something follows the list of instructions")
	}
	var p bpf.Program
	for i, in := range list {
		if in.Code == nil {
			return nil, fmt.Errorf("instruction %d: no code", i)
		}
		p = append(p, bpf.Instruction{Code: *in.Code, JT: in.JT, JF: in.JF, K: in.K})
	}
	return p, nil
}

// compared returns the ABIs with whose architecture p compares something, in the
// order of [abi.All].
func compared(p bpf.Program) []abi.ABI {
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
	all := compared(p)
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
