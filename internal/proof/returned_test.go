package proof

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// A program that returns a whole word of its input is soon known to have too many
// words, also where it computes with it; one with the data of an action is decided.
func TestReturnedWords(t *testing.T) {
	arg := func(i int) bpf.Instruction { return bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(i, false, false)) }
	retA := bpf.Stmt(bpf.RetA, 0)
	for name, p := range map[string]bpf.Program{
		"a word":     {arg(0), retA},
		"a number":   {bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), retA},
		"a sum":      {arg(0), bpf.Stmt(bpf.AddK, 0x12345), retA},
		"two words":  {arg(0), bpf.Stmt(bpf.Tax, 0), arg(1), bpf.Stmt(bpf.XorX, 0), retA},
		"17 bits":    {arg(3), bpf.Stmt(bpf.AndK, 0x1ffff), retA},
		"complement": {arg(3), bpf.Stmt(bpf.Neg, 0), retA},
	} {
		start := time.Now()
		s := NewSpace(Budget{})
		_, err := s.Program(p, false)
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "return words") {
			t.Errorf("%s: %v", name, err)
		}
		if s.Nodes() > 1<<16 {
			t.Errorf("%s: %d nodes in %v", name, s.Nodes(), time.Since(start))
		}
	}
	for name, p := range map[string]bpf.Program{
		"16 bits":       {arg(0), bpf.Stmt(bpf.AndK, 0xffff), bpf.Stmt(bpf.OrK, uint32(abi.Trap)), retA},
		"16 more bits":  {arg(0), bpf.Stmt(bpf.AndK, 0xff), bpf.Stmt(bpf.Tax, 0), arg(1), bpf.Stmt(bpf.AndK, 0xff), bpf.Stmt(bpf.AddX, 0), retA},
		"the same bits": {arg(0), bpf.Stmt(bpf.LshK, 16), bpf.Stmt(bpf.Tax, 0), arg(0), bpf.Stmt(bpf.AndK, 0xfff), bpf.Stmt(bpf.OrX, 0), bpf.Stmt(bpf.AndK, 0xfff0fff), retA},
	} {
		s := NewSpace(Budget{})
		if _, err := s.Program(p, false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
