package convert

import (
	"strconv"

	"github.com/sysgate/sysgate/policy"
)

var formatPodman = Format{
	Name: "podman", Title: "Podman profile",
	Detect: isPodman,
	Read: func(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
		return OCI(name, data, OCIOptions{Options: o, Dialect: Podman})
	},
	Write: writePodman,
	Says: Says{
		Actions:   "all, errors by name; trap without data",
		Default:   "one action, its error by name",
		Unknown:   "errno(ENOSYS) above the highest number named, where the default denies (runc)",
		Arguments: "equality, order, masked equality of whole words; an entry's conditions are about different arguments",
		Order:     "libseccomp's: unconditional beats conditional; entries that depend on capabilities and architecture are decided before",
		ABIs:      "the machine's, with those that archMap adds; others: kill_thread",
	},
}

func isPodman(_ string, data []byte) bool { return engineOf(data) == Podman }

type podmanFile struct {
	DefaultAction   string         `json:"defaultAction"`
	DefaultErrnoRet *uint16        `json:"defaultErrnoRet,omitempty"`
	DefaultErrno    string         `json:"defaultErrno,omitempty"`
	ArchMap         []archMap      `json:"archMap"`
	Flags           []string       `json:"flags,omitempty"`
	Syscalls        []podmanOutput `json:"syscalls"`
}

type podmanOutput struct {
	ociOutput
	Errno string `json:"errno,omitempty"`
}

// writePodman writes d with errors by name, and by number for engines that do not
// know names.
func writePodman(d *Decisions, o Options) ([]byte, []Loss, error) {
	file, losses, err := profileOf(d, o)
	if err != nil {
		return nil, nil, err
	}
	errno := func(action string, n *uint16) (*uint16, string) {
		if action != "SCMP_ACT_ERRNO" {
			return n, ""
		}
		value := uint16(1) // what no value means
		if n != nil {
			value = *n
		}
		if name := d.ABIs[0].ErrnoName(value); name != "" && value != 0 {
			return &value, name
		}
		return &value, strconv.Itoa(int(value))
	}
	out := podmanFile{
		DefaultAction: file.DefaultAction, Flags: file.Flags, Syscalls: []podmanOutput{},
		ArchMap: []archMap{{file.Architectures[0], append([]string{}, file.Architectures[1:]...)}},
	}
	out.DefaultErrnoRet, out.DefaultErrno = errno(file.DefaultAction, file.DefaultErrnoRet)
	for _, e := range file.Syscalls {
		p := podmanOutput{ociOutput: e}
		p.ErrnoRet, p.Errno = errno(e.Action, e.ErrnoRet)
		out.Syscalls = append(out.Syscalls, p)
	}
	data, err := indented(out)
	return data, losses, err
}
