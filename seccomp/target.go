package seccomp

import (
	"errors"
	"runtime"

	"github.com/sysgate/sysgate/abi"
)

// target returns a, or for None the ABI of GOARCH.
func target(a abi.ABI) (abi.ABI, error) {
	if a == abi.None {
		a = goarch()
	}
	if a == abi.None {
		return a, archError(runtime.GOARCH)
	}
	return a, nil
}

// An archError names an architecture of Go's that Linux does not have.
type archError string

func (e archError) Error() string { return "unsupported arch: " + string(e) }

// Is reports that it is an errors.ErrUnsupported.
func (archError) Is(target error) bool { return target == errors.ErrUnsupported }

// goarch returns the ABI that is called as the architecture that the program is
// built for, on any operating system, and None if there is none.
func goarch() abi.ABI {
	a, _ := abi.Parse(runtime.GOARCH)
	return a
}

// archName returns Linux's name of an ABI's architecture, as messages have it.
func archName(a abi.ABI) string {
	switch a {
	case abi.AMD64:
		return "x86_64"
	case abi.I386:
		return "i386"
	case abi.ARM64:
		return "aarch64"
	case abi.LOONG64:
		return "loongarch64"
	case abi.MIPSLE:
		return "mipsel"
	case abi.MIPS64LE:
		return "mipsel64"
	}
	return a.String()
}
