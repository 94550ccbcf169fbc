package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/policy"
)

// readPolicy reads a policy from file, "-" for standard input: sysgate's own
// form, libbeat's, or an OCI or Docker profile, which has the key defaultAction.
// The options are for the profile, whose entries depend on them.
func (e *env) readPolicy(file string, o policy.Options) (*policy.Policy, error) {
	data, name, err := e.readFile(file)
	if err != nil {
		return nil, err
	}
	var oci struct {
		DefaultAction *string         `json:"defaultAction"`
		Linux         json.RawMessage `json:"linux"` // a whole runtime specification
	}
	if json.Unmarshal(data, &oci) != nil || oci.DefaultAction == nil && oci.Linux == nil {
		return policy.Parse(name, data)
	}
	p, losses, err := convert.OCI(name, data, convert.OCIOptions{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel})
	if err != nil {
		return nil, err
	}
	for _, loss := range losses {
		e.warningf("%v", loss)
	}
	return p, nil
}

func (e *env) readFile(file string) (data []byte, name string, err error) {
	if file == "-" {
		data, err = io.ReadAll(e.stdin)
		return data, "standard input", err
	}
	data, err = os.ReadFile(file)
	return data, file, err
}

// resolve resolves p and says what its author should know.
func (e *env) resolve(p *policy.Policy, o policy.Options) (*policy.Resolved, []policy.Warning, error) {
	r, warnings, err := p.Resolve(o)
	for _, w := range warnings {
		e.warningf("%v", w)
		if w.Hint != "" {
			e.hintf("%s", w.Hint)
		}
	}
	return r, warnings, err
}

// here returns the options for a program that this process starts.
func here(keepPrivileges bool) (policy.Options, error) {
	release, err := kernel.Release()
	if err != nil {
		return policy.Options{}, fmt.Errorf("find out the kernel's release: %w", err)
	}
	caps, err := programCaps(keepPrivileges)
	if err != nil {
		return policy.Options{}, err
	}
	return policy.Options{Native: abi.Native(), Kernel: release, Caps: caps}, nil
}
