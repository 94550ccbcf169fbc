package certify

import (
	"crypto/sha256"
	"encoding/binary"
)

// Encode writes c: after the magic the hashes, the words, the nodes as their level
// and the distances back to their branches, the choices' nodes, and a SHA-256 hash
// of it all. Numbers are unsigned varints, words come first.
func (c *Certificate) Encode() []byte {
	out := []byte(magic)
	out = append(out, c.Hashes.Policy[:]...)
	out = append(out, c.Hashes.Filter[:]...)
	out = append(out, c.Hashes.Tables[:]...)
	number := func(n int) { out = binary.AppendUvarint(out, uint64(n)) }
	words := 0
	for words < len(c.Nodes) && c.Nodes[words].Level == Levels {
		words++
	}
	number(words)
	for _, n := range c.Nodes[:words] {
		number(int(n.Word))
	}
	number(len(c.Nodes) - words)
	for i, n := range c.Nodes[words:] {
		number(int(n.Level))
		number(words + i - 1 - int(n.Low))
		number(words + i - 1 - int(n.High))
	}
	number(len(c.Choices))
	for _, r := range c.Choices {
		number(int(r))
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}
