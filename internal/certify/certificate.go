package certify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// A Certificate is a decision diagram and what it shows.
type Certificate struct {
	Hashes  Hashes
	Nodes   []Node
	Choices []Ref // for each choice of the circuit the node that it is
}

// A Ref is the index of a node.
type Ref uint32

// A Node tests the input bit of its level, or is a word (Level is Levels).
type Node struct {
	Level     int32
	Low, High Ref // where the bit is 0, and where it is 1: earlier nodes, of later levels
	Word      abi.Action
}

// Hashes say what a certificate is about.
type Hashes struct{ Policy, Filter, Tables [sha256.Size]byte }

// HashesOf returns the hashes of a policy's text with what it is resolved with, of
// a program and of the tables of package abi.
func HashesOf(text []byte, o policy.Options, program bpf.Program) Hashes {
	options := fmt.Appendf(nil, "%v %v %q\n", o.Native, o.Kernel, slices.Sorted(slices.Values(o.Caps)))
	return Hashes{
		Policy: sha256.Sum256(append(options, text...)),
		Filter: sha256.Sum256(program.Bytes(false)),
		Tables: sha256.Sum256([]byte(abi.Tables)),
	}
}

// magic starts every certificate.
const magic = "sysgate certificate 1\n"

// Decode reads what [Certificate.Encode] writes. It establishes that every
// reference is to a node that is there, that a node's branches come before it and
// have later levels, and that no word stands twice.
func Decode(data []byte) (*Certificate, error) {
	body := len(data) - sha256.Size
	if body < len(magic) || !bytes.HasPrefix(data, []byte(magic)) {
		return nil, refuse("it is none")
	}
	if sum := sha256.Sum256(data[:body]); !bytes.Equal(sum[:], data[body:]) {
		return nil, refuse("it is damaged")
	}
	d := decoder{rest: data[len(magic):body]}
	c := &Certificate{}
	for _, h := range []*[sha256.Size]byte{&c.Hashes.Policy, &c.Hashes.Filter, &c.Hashes.Tables} {
		d.rest = d.rest[copy(h[:], d.rest):]
	}
	words := make(map[abi.Action]bool)
	for range d.count() {
		w := abi.Action(d.number(1 << 32))
		d.bad = d.bad || words[w]
		words[w] = true
		c.Nodes = append(c.Nodes, Node{Level: Levels, Word: w})
	}
	for range d.count() {
		i := len(c.Nodes)
		n := Node{Level: int32(d.number(Levels)), Low: d.back(i), High: d.back(i)}
		if d.bad || c.Nodes[n.Low].Level <= n.Level || c.Nodes[n.High].Level <= n.Level {
			return nil, refuse("its diagram is not one")
		}
		c.Nodes = append(c.Nodes, n)
	}
	for range d.count() {
		c.Choices = append(c.Choices, Ref(d.number(uint64(len(c.Nodes)))))
	}
	if d.bad || len(d.rest) > 0 {
		return nil, refuse("it is malformed")
	}
	return c, nil
}

// A decoder reads numbers; bad says that one was wrong.
type decoder struct {
	rest []byte
	bad  bool
}

// number reads a number below limit.
func (d *decoder) number(limit uint64) uint64 {
	n, size := binary.Uvarint(d.rest)
	if d.bad || size <= 0 || n >= limit {
		d.bad = true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count reads how many items follow, of which each takes a byte at least.
func (d *decoder) count() uint64 { return d.number(uint64(len(d.rest)) + 1) }

// back reads the distance from node i, less one, to an earlier one.
func (d *decoder) back(i int) Ref { return Ref(i - 1 - int(d.number(uint64(i)))) }
