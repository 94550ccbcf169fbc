package proof

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// FuzzEqual takes any bytes for a program.
func FuzzEqual(f *testing.F) {
	little, big := handPolicy(abi.AMD64, abi.X32), handPolicy(abi.S390X)
	f.Add(linear(f, little).Bytes(false), false)
	f.Add(linear(f, big).Bytes(false), true)
	f.Add(handProgram(f, abi.AMD64).Bytes(false), false)
	f.Add(handProgram(f, abi.S390X).Bytes(false), true)
	for _, p := range hostilePrograms() {
		f.Add(p[len(p)-20:].Bytes(false), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, bigEndian bool) {
		p, err := bpf.FromBytes(data, false)
		if err != nil {
			return
		}
		r := little
		if bigEndian {
			r = big
		}
		agree(t, r, p, Budget{Nodes: 50_000}, 100)
	})
}
