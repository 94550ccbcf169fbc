package profile

import (
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// socketCalls are what socketcall(2) of 386 is for (linux/net.h).
var socketCalls = []string{
	"socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv", "sendto",
	"recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
}

// socketCalls finds what the program uses socketcall for: the first argument,
// followed back like a number. all reports that there is nothing else. The
// profile does not rest on it: it holds socketcall as a whole.
func (a *analysis) socketCalls() (found map[string][]*link, all bool) {
	mux, _, ok := a.prog.ABI.Multiplexed(socketCalls[0])
	if !ok || len(a.numbers[mux]) == 0 {
		return nil, true
	}
	b := *a
	b.forget()
	all = true
	for _, l := range a.numbers[mux] {
		if l.next != nil { // through a wrapper for calls of any kind
			all = false
			continue
		}
		s := b.slicer(l.fn)
		b.resolve(s.before(s.c.at(l.addr), register(image.RBX)), l)
	}
	b.meetAll(func(int, int) {})
	found = map[string][]*link{}
	for _, name := range socketCalls {
		if _, sub, ok := a.prog.ABI.Multiplexed(name); ok && len(b.numbers[uint32(sub)]) > 0 {
			found[name] = b.numbers[uint32(sub)]
		}
	}
	return found, all && len(b.lost)+b.unlisted == 0
}

// collectSockets adds to the reason of socketcall what it is for, and the paths
// to each.
func (r *Result) collectSockets(a *analysis, g *graph, o Options) {
	found, all := a.socketCalls()
	r.OtherSockets = !all
	if len(found) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(found))
	mux, _, _ := a.prog.ABI.Multiplexed(names[0])
	for _, name := range names {
		if r.paths[name] == nil {
			r.paths[name] = g.best(found[name])
		}
		if slices.Contains(o.Every, name) && r.chains[name] == nil {
			r.chains[name] = g.every(found[name])
		}
	}
	text := "; for " + strings.Join(names, ", ")
	if !all {
		text += " and perhaps others"
	}
	for i := range r.Set.Calls {
		if c := &r.Set.Calls[i]; c.NR == mux {
			c.Evidence += text
		}
	}
}
