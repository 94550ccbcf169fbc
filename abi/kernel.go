package abi

import (
	"fmt"
	"strconv"
	"strings"
)

// A Kernel is a Linux release, major and minor. The zero value is "unknown",
// older than every release.
type Kernel struct{ Major, Minor uint8 }

// ParseKernel reads "6.12". A patch level or suffix is an error: a policy names
// a release.
func ParseKernel(s string) (Kernel, error) {
	major, minor, ok := strings.Cut(s, ".")
	if ok {
		a, errA := strconv.ParseUint(major, 10, 8)
		b, errB := strconv.ParseUint(minor, 10, 8)
		if errA == nil && errB == nil && a > 0 {
			return Kernel{uint8(a), uint8(b)}, nil
		}
	}
	return Kernel{}, fmt.Errorf("kernel release %q: want MAJOR.MINOR, such as 6.12", s)
}

// String returns "6.12", or "" for the zero value.
func (k Kernel) String() string {
	if k == (Kernel{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d", k.Major, k.Minor)
}

// Before reports whether k is older than other.
func (k Kernel) Before(other Kernel) bool {
	if k.Major != other.Major {
		return k.Major < other.Major
	}
	return k.Minor < other.Minor
}
