package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// Release returns the release of the running kernel, as uname(2) has it.
func Release() (abi.Kernel, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return abi.Kernel{}, fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	var k abi.Kernel
	if _, err := fmt.Sscanf(release, "%d.%d", &k.Major, &k.Minor); err != nil {
		return abi.Kernel{}, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return k, nil
}
