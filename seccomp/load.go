package seccomp

import (
	"errors"
	"fmt"

	"github.com/sysgate/sysgate"
)

// Filter contains all the parameters necessary to install a Linux seccomp
// filter for the process.
type Filter struct {
	NoNewPrivs bool       `config:"no_new_privs" json:"no_new_privs"` // Set the process's no new privs bit.
	Flag       FilterFlag `config:"flag"         json:"flag"`         // Flag to pass to the seccomp call.
	Policy     Policy     `config:"policy"       json:"policy"`       // Policy that will be assembled into a BPF filter.
}

// LoadFilter installs the filter: on every thread of the process with
// FilterFlagTSync, else on the calling thread, to which it locks the goroutine
// (see runtime.LockOSThread). When it returns nil, the filter has been proved
// equal to the policy and is in place.
//
// The error is sysgate's: a thread with a filter of its own, for example, is
// sysgate.ErrThread, and off Linux it is errors.ErrUnsupported.
func LoadFilter(filter Filter) error {
	compiled, err := filter.Policy.compile()
	if err != nil {
		return fmt.Errorf("failed to assemble policy: %w", err)
	}
	if unknown := filter.Flag &^ allFlags; unknown != 0 {
		return fmt.Errorf("failed loading seccomp filter: invalid flag value %#x: the flags are tsync and log", uint32(unknown))
	}
	_, err = compiled.Install(sysgate.Options{
		KeepPrivileges: !filter.NoNewPrivs,
		ThisThread:     filter.Flag&FilterFlagTSync == 0,
		Log:            filter.Flag&FilterFlagLog != 0,
	})
	switch {
	case err == nil:
		return nil
	case filter.NoNewPrivs && errors.Is(err, sysgate.ErrPrivileges):
		return fmt.Errorf("failed to set no_new_privs with prctl: %w", err)
	case errors.Is(err, errors.ErrUnsupported) && !Supported():
		return fmt.Errorf("failed loading seccomp filter: seccomp is not supported by the kernel: %w", err)
	}
	return fmt.Errorf("failed loading seccomp filter: %w", err)
}
