package convert

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/sysgate/sysgate/policy"
)

var formatDocker = Format{
	Name: "docker", Title: "Docker profile",
	Detect: isDocker,
	Read: func(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
		return OCI(name, data, OCIOptions{Options: o, Dialect: Docker})
	},
	Write: writeDocker,
	Says: Says{
		Actions:   "all; trap without data",
		Default:   "one action",
		Unknown:   "errno(ENOSYS) above the highest number named, where the default denies (runc)",
		Arguments: "equality, order, masked equality of whole words; an entry's conditions are about different arguments",
		Order:     "libseccomp's: unconditional beats conditional; entries that depend on capabilities, architecture and kernel are decided before",
		ABIs:      "the machine's, with those that archMap adds; others: kill_thread",
	},
}

// engineProbe is what tells the profiles of engines apart.
type engineProbe struct {
	DefaultAction *string         `json:"defaultAction"`
	DefaultErrno  *string         `json:"defaultErrno"`
	ArchMap       json.RawMessage `json:"archMap"`
	Syscalls      []struct {
		Name     *string         `json:"name"`
		Errno    *string         `json:"errno"`
		Includes json.RawMessage `json:"includes"`
		Excludes json.RawMessage `json:"excludes"`
	} `json:"syscalls"`
}

// engineOf returns whose extensions a profile uses, AnyEngine for none.
func engineOf(data []byte) OCIDialect {
	var p engineProbe
	if json.Unmarshal(data, &p) != nil || p.DefaultAction == nil {
		return AnyEngine
	}
	dialect := AnyEngine
	if p.ArchMap != nil {
		dialect = Docker
	}
	for _, s := range p.Syscalls {
		if s.Errno != nil {
			return Podman
		}
		if s.Name != nil || s.Includes != nil || s.Excludes != nil {
			dialect = Docker
		}
	}
	if p.DefaultErrno != nil {
		return Podman
	}
	return dialect
}

func isDocker(_ string, data []byte) bool { return engineOf(data) == Docker }

// An archMap entry says which architectures the machine's own brings along.
type archMap struct {
	Architecture     string   `json:"architecture"`
	SubArchitectures []string `json:"subArchitectures"`
}

type dockerFile struct {
	DefaultAction   string      `json:"defaultAction"`
	DefaultErrnoRet *uint16     `json:"defaultErrnoRet,omitempty"`
	ArchMap         []archMap   `json:"archMap"`
	Flags           []string    `json:"flags,omitempty"`
	Syscalls        []ociOutput `json:"syscalls"`
}

// profileOf returns d as [writeOCI] writes it.
func profileOf(d *Decisions, o Options) (ociFile, []Loss, error) {
	data, losses, err := writeOCI(d, o)
	if err != nil {
		return ociFile{}, nil, err
	}
	var file ociFile
	if err := json.Unmarshal(data, &file); err != nil {
		return ociFile{}, nil, fmt.Errorf("write the profile: %w", err)
	}
	return file, losses, nil
}

// writeDocker writes d as a profile of the machine's architecture with its
// sub-architectures.
func writeDocker(d *Decisions, o Options) ([]byte, []Loss, error) {
	file, losses, err := profileOf(d, o)
	if err != nil {
		return nil, nil, err
	}
	data, err := indented(dockerFile{
		DefaultAction: file.DefaultAction, DefaultErrnoRet: file.DefaultErrnoRet, Flags: file.Flags, Syscalls: file.Syscalls,
		ArchMap: []archMap{{file.Architectures[0], append([]string{}, file.Architectures[1:]...)}},
	})
	return data, losses, err
}

// indented returns v as JSON for people.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	return b.Bytes(), nil
}
