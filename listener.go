package sysgate

// A Listener receives the calls for which a filter says user_notify.
type Listener struct{ fd int }

func newListener(fd int) *Listener { return &Listener{fd} }
