package proof

import (
	"errors"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/certify"
)

// Package certify tests what certificates are worth; here, that one is made or an
// error says why not.
func TestCertify(t *testing.T) {
	r := handPolicy(abi.AMD64)
	p := linear(t, r)
	c, err := Certify(r, p, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err = certify.Decode(c.Encode()); err != nil {
		t.Fatal(err)
	}
	if err := certify.CheckResolved(r, p, c); err != nil {
		t.Error(err)
	}
	if _, err := Certify(r, p, Budget{Nodes: 100}); !errors.Is(err, ErrUnknown) {
		t.Errorf("with 100 nodes: %v", err)
	}
	if _, err := Certify(r, bpf.Program{bpf.Stmt(bpf.LdLen, 0)}, Budget{}); err == nil {
		t.Error("an invalid program has a certificate")
	}
	var refused *certify.Error
	if _, err := Certify(r, handProgram(t, abi.AMD64), Budget{}); !errors.As(err, &refused) {
		t.Errorf("a program with arithmetic: %v", err)
	}
}
