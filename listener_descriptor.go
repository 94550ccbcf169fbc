package sysgate

import (
	"errors"
	"fmt"

	"github.com/sysgate/sysgate/internal/kernel"
)

// A Descriptor is a file descriptor for the target of a [Request]. The target gets
// a copy; who made it closes it afterwards. The zero value of all but FD is the
// safe choice.
type Descriptor struct {
	FD     int  // of this process
	OnExec bool // the target keeps it on exec; else it is closed (O_CLOEXEC)
	Exact  bool // it gets Number, in place of what has that number; else the lowest that is free
	Number int  // in the target, with Exact
}

// AddFD gives the target's process a descriptor and returns its number there (Linux
// 5.9, else [errors.ErrUnsupported]). It does not answer the call.
func (r *Request) AddFD(d Descriptor) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answered {
		return -1, ErrAnswered
	}
	return r.addFD(d, false)
}

// ReturnFD gives the target's process a descriptor and has the call return its
// number, as if the kernel had executed an open. It returns the number.
//
// It is one step (Linux 5.14). On Linux 5.9 to 5.13 it takes two, and a target that
// is interrupted between them has a descriptor that it does not know of.
func (r *Request) ReturnFD(d Descriptor) (number int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.send(func() error {
		number, err = r.returnFD(d)
		return err
	})
	return number, err
}

func (r *Request) returnFD(d Descriptor) (int, error) {
	number, err := r.addFD(d, true)
	if !errors.Is(err, errors.ErrUnsupported) {
		return number, err
	}
	if number, err = r.addFD(d, false); err != nil {
		return -1, err
	}
	return number, r.kernel.Send(r.id, kernel.Reply{Value: int64(number)})
}

func (r *Request) addFD(d Descriptor, send bool) (int, error) {
	number, err := r.kernel.AddFD(r.id, kernel.AddFD{
		FD: d.FD, CloseExec: !d.OnExec, Exact: d.Exact, Number: d.Number, Send: send,
	})
	if err != nil {
		return -1, fmt.Errorf("descriptor %d for %v: %w", d.FD, r, problemOfRequest(err))
	}
	return number, nil
}
