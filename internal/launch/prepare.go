package launch

import (
	"errors"
	"fmt"
	"os"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A Command is what to start and how. Path and Args are needed; the zero value
// of every other field is the safe choice.
type Command struct {
	Path string   // of the executable, as [LookPath] returns it
	Args []string // the program's arguments, its name first
	Env  []string // "KEY=value"; nil: this process's

	// KeepPrivileges leaves no_new_privs alone, so that set-user-ID programs
	// keep their effect. The kernel then demands CAP_SYS_ADMIN of whoever
	// installs a filter.
	KeepPrivileges bool
	// NoLog leaves out SECCOMP_FILTER_FLAG_LOG: errors that the filter returns
	// are not logged.
	NoLog bool
	// Flags are further ones for the installation of the filter. With
	// [kernel.NewListener] this process gets the listener ([Program.Listener]).
	Flags kernel.Flags
	// Traced makes the thread that calls [Prepared.Start] the program's tracer
	// (ptrace(2), PTRACE_TRACEME).
	Traced bool
}

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
