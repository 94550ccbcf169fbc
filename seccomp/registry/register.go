package registry

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/seccomp"
)

// A registry is the state of the package; programs share one.
type registry struct {
	abi abi.ABI // whose default policy it has

	mu           sync.Mutex
	registered   *seccomp.Policy // never changed once it is here
	registeredBy string
	changes      []change // to the default policy
}

var shared = registry{abi: abi.Native()}

// MustRegisterPolicy makes p the policy of the program, in place of the default
// one. p is copied. Registering an equal policy again changes nothing; names are
// equal in any order. It panics if p is nil, is no valid policy on this ABI, or
// differs from one that has been registered: the panic's error names both
// callers.
func MustRegisterPolicy(p *seccomp.Policy) {
	if err := shared.register(p, caller(2)); err != nil {
		panic(err)
	}
}

// register is MustRegisterPolicy, called by the function by.
func (r *registry) register(p *seccomp.Policy, by string) error {
	if p == nil {
		return errors.New("seccomp policy cannot be nil")
	}
	own := clone(p)
	if err := check(own); err != nil {
		return fmt.Errorf("failed to register seccomp policy: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.registered == nil:
		r.registered, r.registeredBy = own, by
	case !equal(r.registered, own):
		return fmt.Errorf("a different seccomp policy is already registered: the first by %s, another by %s; a process has one: merge them, or leave one out",
			r.registeredBy, by)
	}
	return nil
}

// check reports what is wrong with p, short of compiling it: a program that
// registers a policy and loads another does not pay for both.
func check(p *seccomp.Policy) error {
	lowered, err := p.Lower()
	if err != nil {
		return err
	}
	_, _, err = lowered.Resolve(policy.Options{})
	return err
}

// caller describes the caller that runtime.Caller numbers by skip.
func caller(skip int) string {
	pc, file, line, ok := runtime.Caller(skip)
	if !ok {
		return "an unknown function"
	}
	return fmt.Sprintf("%s (%s:%d)", runtime.FuncForPC(pc).Name(), file, line)
}
