package launch

import (
	"errors"
	"fmt"
	"os"

	"github.com/sysgate/sysgate/abi"
)

// A Prepared command has its execve laid out in memory.
type Prepared struct {
	command Command
	pages   [3]*mapping // of the path, the argument vector, the environment
}

// Prepare lays out the execve of c. [Prepared.Run] or [Prepared.Close] ends it.
func Prepare(c Command) (*Prepared, error) {
	if c.Path == "" || len(c.Args) == 0 {
		return nil, errors.New("prepare the command: no program")
	}
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	p := &Prepared{command: c}
	for i, lay := range []func() (*mapping, error){
		func() (*mapping, error) { return mapString(c.Path) },
		func() (*mapping, error) { return mapVector(c.Args) },
		func() (*mapping, error) { return mapVector(env) },
	} {
		m, err := lay()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare the command: %w", err), p.Close())
		}
		p.pages[i] = m
	}
	return p, nil
}

// Execve returns the system call that will start the program, as the filter
// sees it. A filter that does not let it through cannot start anything, and one
// that compares its three pointers lets nothing else through. The instruction
// pointer is unknown, 0 here.
func (p *Prepared) Execve() abi.Call {
	native := abi.Native()
	nr, _ := native.Lookup("execve")
	call := abi.Call{NR: nr, Arch: native.AuditArch()}
	for i, m := range p.pages {
		call.Args[i] = uint64(m.addr)
	}
	return call
}

// Close unmaps the pages of a command that will not run. It does nothing after
// [Prepared.Run] or another Close.
func (p *Prepared) Close() error {
	var errs []error
	for i, m := range p.pages {
		if m != nil {
			errs = append(errs, m.unmap())
			p.pages[i] = nil
		}
	}
	return errors.Join(errs...)
}
