package seccomp

import (
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/policy"
)

// NameWithConditions matches the calls of one name whose arguments satisfy all
// conditions.
type NameWithConditions struct {
	Name       string             `config:"name" validate:"required" json:"name"  yaml:"name"`
	Conditions ArgumentConditions `config:"arguments" validate:"required" json:"arguments"  yaml:"arguments"`
}

// ArgumentConditions consist of a list of up to six conditions for the six
// arguments. All must hold.
type ArgumentConditions []Condition

// Validate returns what is wrong with the conditions.
func (a ArgumentConditions) Validate() []string {
	var problems []string
	for _, c := range a {
		if c.Argument > 5 {
			problems = append(problems, fmt.Sprintf("argument must be between 0 and 5 (inclusive), but is %v", c.Argument))
		}
		switch _, known := operators[c.Operation]; {
		case c.Operation == "":
			problems = append(problems, "missing operation")
		case !known:
			problems = append(problems, fmt.Sprintf("invalid operation: %v", c.Operation))
		}
	}
	return problems
}

// problems is Validate, and that there are conditions at all.
func (a ArgumentConditions) problems() []string {
	if len(a) == 0 {
		return []string{"missing arguments"}
	}
	return a.Validate()
}

// A Condition compares one argument of a call with a value. Bits of the argument
// that the kernel does not read for this call never decide.
type Condition struct {
	Argument  uint32    `config:"argument" default:"0" json:"position"  yaml:"position"`
	Operation Operation `config:"operation" validate:"required" json:"operation"  yaml:"operation"`
	Value     uint64    `config:"value" default:"0" json:"value"  yaml:"value"`
}

// Operation is how a condition compares.
type Operation string

// The operations. BitsSet holds if any bit of the value is set in the argument,
// BitsNotSet if none is.
const (
	Equal          Operation = "Equal"
	NotEqual       Operation = "NotEqual"
	GreaterThan    Operation = "GreaterThan"
	LessThan       Operation = "LessThan"
	GreaterOrEqual Operation = "GreaterOrEqual"
	LessOrEqual    Operation = "LessOrEqual"
	BitsSet        Operation = "BitsSet"
	BitsNotSet     Operation = "BitsNotSet"
)

// Operations are all operations.
var Operations = []Operation{Equal, NotEqual, GreaterThan, LessThan, GreaterOrEqual, LessOrEqual, BitsSet, BitsNotSet}

// operators are the operations in the policy model.
var operators = map[Operation]policy.Op{
	Equal:          policy.Equal,
	NotEqual:       policy.NotEqual,
	GreaterThan:    policy.Greater,
	LessThan:       policy.Less,
	GreaterOrEqual: policy.GreaterOrEqual,
	LessOrEqual:    policy.LessOrEqual,
	BitsSet:        policy.AnyBits,
	BitsNotSet:     policy.NoBits,
}

// Unpack sets the Operation value based on the string, in either case of
// letters. go-ucfg calls it.
func (o *Operation) Unpack(s string) error {
	for known := range operators {
		if strings.EqualFold(string(known), s) {
			*o = known
			return nil
		}
	}
	return fmt.Errorf("invalid operation: %v", strings.ToLower(s))
}

// MarshalText marshals the value to text.
func (o Operation) MarshalText() ([]byte, error) { return []byte(o), nil }

// UnmarshalText reads what MarshalText writes, as Unpack does. JSON and YAML
// libraries call it.
func (o *Operation) UnmarshalText(text []byte) error { return o.Unpack(string(text)) }
