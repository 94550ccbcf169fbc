package abi

import (
	"fmt"
	"slices"
)

// Errno returns the number of the error called name on a: ENOSYS is 38, on MIPS
// 89. See errno(3) and include/uapi/asm-generic/errno.h.
func (a ABI) Errno(name string) (n uint16, ok bool) {
	value, ok := errnos.value(a, name)
	return uint16(value), ok
}

// ErrnoName returns the name of error n on a, "" if it has none. Of two names
// it is the kernel's own: EAGAIN, not EWOULDBLOCK.
func (a ABI) ErrnoName(n uint16) string {
	i, _ := slices.BinarySearch(errnoNumbers, n)
	for ; i < len(errnoNumbers) && errnoNumbers[i] == n; i++ {
		if errnoABIs[i]>>a&1 != 0 {
			return errnos.names.at(int(errnoNames[i]))
		}
	}
	return ""
}

// ActionString returns the action in the notation of policies, with a's errno
// names: "errno(ENOSYS)". Otherwise it is [Action.String].
func (a ABI) ActionString(action Action) string {
	if action.Kind() == Errno {
		if name := a.ErrnoName(action.Data()); name != "" {
			return fmt.Sprintf("errno(%s)", name)
		}
	}
	return action.String()
}
