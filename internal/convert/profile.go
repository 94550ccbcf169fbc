package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// profileSchema marks a profile that "sysgate profile --json" saved; the rest of
// the form is internal/profile's.
const profileSchema = "sysgate/profile/1"

var formatProfile = Format{
	Name: "profile", Title: "saved profile: sysgate profile --json",
	Detect: func(_ string, data []byte) bool {
		head := bytes.TrimLeft(data[:min(len(data), 256)], "[{ \t\r\n")
		return bytes.HasPrefix(head, []byte(`"schema"`)) && bytes.Contains(head, []byte(`"sysgate/profile/`))
	},
	Read: readProfile,
	Says: Says{
		Actions:   "allow",
		Default:   "errno(ENOSYS)",
		Unknown:   "errno(ENOSYS)",
		Arguments: "none",
		Order:     "none: all rules have one action",
		ABIs:      "several; others: kill_process",
	},
}

// A savedProfile is what a policy takes from a saved profile.
type savedProfile struct {
	Schema  string   `json:"schema"`
	ABI     string   `json:"abi"`
	Sources []string `json:"sources"`
	Sound   bool     `json:"sound"`
	Calls   []struct {
		NR       uint32 `json:"nr"`
		Class    string `json:"class"`
		Evidence string `json:"evidence"`
	} `json:"calls"`
}

// readProfile returns the policy that allows what the programs can call, each call
// with its reason. Where a call of one of them is not known it is incomplete.
func readProfile(name string, data []byte, _ Options) (*policy.Policy, []Loss, error) {
	programs, err := savedProfiles(data)
	if err != nil {
		return nil, nil, &policy.Error{Pos: policy.Pos{File: name}, Msg: "no saved profile: " + err.Error()}
	}
	enosys := policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}
	p := &policy.Policy{Version: 1, Default: enosys, Unknown: &enosys}
	rule := policy.Rule{Action: policy.Action{Kind: abi.Allow}}
	seen := map[policy.NumberRange]map[abi.ABI]bool{}
	for _, program := range programs {
		on, ok := abi.Parse(program.ABI)
		if !ok || program.Schema != profileSchema {
			return nil, nil, &policy.Error{Pos: policy.Pos{File: name}, Msg: fmt.Sprintf("a saved profile of schema %q for ABI %q", program.Schema, program.ABI)}
		}
		if !slices.Contains(p.ABIs, on) {
			p.ABIs = append(p.ABIs, on)
		}
		p.Incomplete = p.Incomplete || !program.Sound
		for _, c := range program.Calls {
			number := policy.NumberRange{Lo: c.NR, Hi: c.NR}
			if seen[number][on] {
				continue
			}
			if seen[number] == nil {
				seen[number] = map[abi.ABI]bool{}
			}
			seen[number][on] = true
			pattern := policy.Pattern{ABI: on, Name: on.SyscallName(c.NR), Comment: c.Evidence}
			if c.Class != "certain" {
				pattern.Comment = c.Class + ": " + c.Evidence
			}
			if pattern.Name == "" {
				pattern.Numbers = &number
			}
			rule.Calls = append(rule.Calls, pattern)
		}
	}
	if len(p.ABIs) == 1 {
		for i := range rule.Calls {
			rule.Calls[i].ABI = abi.None
		}
	}
	if len(rule.Calls) > 0 {
		p.Rules = []policy.Rule{rule}
	}
	return p, nil, nil
}

// savedProfiles decodes arrays and objects, one after the other.
func savedProfiles(data []byte) (programs []savedProfile, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		var one json.RawMessage
		switch err := dec.Decode(&one); {
		case errors.Is(err, io.EOF) && len(programs) > 0:
			return programs, nil
		case err != nil:
			return nil, err
		}
		var some []savedProfile
		if one[0] != '[' {
			one = slices.Concat([]byte{'['}, one, []byte{']'})
		}
		if err := json.Unmarshal(one, &some); err != nil {
			return nil, err
		}
		if programs = append(programs, some...); len(programs) == 0 {
			return nil, errors.New("of no program")
		}
	}
}
