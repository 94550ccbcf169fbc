//go:build linux && !amd64 && !arm64

package supervise

import (
	"errors"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// canHold says that threads can be held on this machine.
const canHold = false

// threadRegs are not read here.
type threadRegs struct{}

func getRegs(int, *threadRegs) error { return errors.ErrUnsupported }
func setRegs(int, *threadRegs) error { return errors.ErrUnsupported }

func argRegs(*threadRegs, uint32) (none [6]*uint64) { return none }

func unwound(*threadRegs, abi.ABI) *image.Registers { return nil }
