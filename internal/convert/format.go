package convert

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// Options is what a format leaves to the machine, and what a policy needs that
// is written for one.
type Options struct {
	Native abi.ABI    // of the machine; None: the running program's
	Caps   []string   // that the program has, for rules that depend on them; nil: none
	Kernel abi.Kernel // for rules that depend on the release; zero: the policy's own
	Name   string     // of the thread or object whose filter is meant, in a file with several; "": the only one
	// Runtime is who makes the filter of a container profile; the others have
	// none.
	Runtime Runtime
	// Symbolic keeps what Docker's entries ask of capabilities and the release as
	// conditions of rules (when), instead of deciding it by Caps and Kernel.
	Symbolic bool
}

// native returns the machine's ABI.
func (o Options) native() abi.ABI {
	if o.Native != abi.None {
		return o.Native
	}
	return abi.Native()
}

// A Format is a way to write policies down, with the meaning that its own runtime
// gives them.
type Format struct {
	Name  string // of --from and --to
	Title string // for people

	// Detect reports whether data is in this format: by its content, or where that
	// does not tell, by the file's name. nil: never; the format has to be named.
	Detect func(name string, data []byte) bool
	// Read lowers what the file says into the ordered model. Errors are
	// [*policy.Error], or [policy.Errors] of several. nil: it cannot be read.
	Read func(name string, data []byte, o Options) (*policy.Policy, []Loss, error)
	// Filter reads a valid program, and the byte order of its machine, in the formats
	// of filters; Read decompiles it.
	Filter func(name string, data []byte, o Options) (p bpf.Program, bigEndian bool, err error)
	// Write says as much of d as the format can. What it leaves out or changes is
	// found by reading the result again, see [Export]; it returns as losses only
	// what is no difference of verdicts. nil: it cannot be written.
	Write func(d *Decisions, o Options) ([]byte, []Loss, error)

	Says Says
}

// Foreign reports whether f is another tool's: policies of the other formats are read
// as sysgate's own.
func (f Format) Foreign() bool { return f.Name != "sysgate" && f.Name != "libbeat" }

// Says is what a format can express, for docs/formats.md.
type Says struct {
	Actions   string // that rules can have
	Default   string // for calls that no rule names
	Unknown   string // for calls newer than the format's tables
	Arguments string // comparisons
	Order     string // which of several rules decides
	ABIs      string // and what happens on others
}

// formats are all formats, in the order in which they are tried.
var formats = []Format{
	{
		Name: "sysgate", Title: "sysgate policy",
		Read: func(name string, data []byte, _ Options) (*policy.Policy, []Loss, error) {
			p, err := policy.Parse(name, data)
			return p, nil, err
		},
		Write: func(d *Decisions, _ Options) ([]byte, []Loss, error) { return d.Policy.Format(), nil, nil },
		Says: Says{
			Actions:   "all",
			Default:   "default_action",
			Unknown:   "unknown_action",
			Arguments: "equality, order with the argument's sign, masks, sets; the bits that the kernel reads, or the whole word",
			Order:     "the first rule that matches",
			ABIs:      "several; bad_arch_action, x32_action",
		},
	},
	formatProfile,
	formatSnap,
	formatBPF,
	formatCrun,
	formatSPO,
	formatKubernetes,
	formatPodman,
	formatDocker,
	{
		Name: "oci", Title: "OCI runtime profile",
		Detect: isOCI,
		Read: func(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
			return OCI(name, data, OCIOptions{Options: o})
		},
		Write: writeOCI,
		Says: Says{
			Actions:   "all; trap without data",
			Default:   "one action",
			Unknown:   "errno(ENOSYS) above the highest number named, where the default denies (runc)",
			Arguments: "equality, order, masked equality of whole words; an entry's conditions are about different arguments",
			Order:     "libseccomp's: unconditional beats conditional",
			ABIs:      "several; others: kill_thread",
		},
	},
	formatMinijailC,
	formatMinijailPy,
	formatKafel,
	formatSeccompiler,
	formatFirecracker,
	formatLibbeat,
	formatGoSource,
	formatSystemd,
	formatFirejail,
	formatJSON,
	formatC,
	formatAsm,
	formatSeccompTools,
	formatBase64,
	formatPFC,
}

// Formats returns all formats.
func Formats() []Format { return formats }

// ByName returns the format with a name.
func ByName(name string) (Format, bool) {
	for _, f := range formats {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// Detect returns the format of data, by its content and the name of its file. ok
// is false if it is none of those that can be told.
func Detect(name string, data []byte) (f Format, ok bool) {
	for _, f := range formats {
		if f.Detect != nil && f.Detect(name, data) {
			return f, true
		}
	}
	return Format{}, false
}
