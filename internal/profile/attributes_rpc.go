package profile

import (
	"cmp"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// When a thread of glibc ends, what it has used of Sun's RPC is taken down: services
// are unregistered, over the network. A variable of each thread, which is zero at
// first, holds what that is; glibc's functions for RPC set it, and each reads where
// it lies from one word of the linkage table (sunrpc/rpc_thread.c). Where only the
// function that takes it down can run, of those that read this word, there is nothing
// to take down.
//
// namesVariable are two of the functions that read the word, by name.
var namesVariable = [2]string{"__rpc_thread_svc_fdset", "__rpc_thread_createerr"}

// unregisters is what a function that the one calls which takes RPC down calls.
const unregisters = "svc_unregister"

// applyRPC makes the function that takes RPC down wait for the others.
func (t *attributes) applyRPC() {
	if len(t.found(namesVariable[0])) == 0 || len(t.found(namesVariable[1])) == 0 || len(t.found(unregisters)) == 0 {
		return
	}
	word, ok := t.sharedWord(t.found(namesVariable[0])[0], t.found(namesVariable[1])[0])
	if !ok {
		return
	}
	end := -1
	var others []int
	for fn := range t.a.prog.Funcs {
		if !t.reads(fn, word) {
			continue
		}
		if t.exported[fn] || end >= 0 || !t.callsOneThatCalls(fn, unregisters) {
			others = append(others, fn)
			continue
		}
		end = fn
	}
	if end < 0 || t.a.whole(end) != end || len(t.a.partsOf(end)) != 1 {
		return
	}
	x := &attribute{attributeRule: &attributeRule{}}
	t.all = append(t.all, x)
	for _, callee := range t.calls(end) {
		if !t.exported[callee] {
			t.gate(end, int(callee), x)
		}
	}
	for _, fn := range others {
		t.setters[int32(fn)] = append(t.setters[int32(fn)], x)
	}
}

// reads reports that function fn reads the word at addr by its own address.
func (t *attributes) reads(fn int, addr uint64) bool {
	s := t.a.survey
	for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
		if to, kind := s.ref(r); kind == refRead && to == addr {
			return true
		}
	}
	return false
}

// wordsOf returns the words that function fn reads by their own addresses.
func (t *attributes) wordsOf(fn int) (out []uint64) {
	s := t.a.survey
	for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
		if addr, kind := s.ref(r); kind == refRead {
			out = append(out, addr)
		}
	}
	return out
}

// sharedWord returns the only word of a linkage table that two functions read both
// and that holds no address.
func (t *attributes) sharedWord(f, g int) (word uint64, ok bool) {
	theirs := t.wordsOf(g)
	for _, w := range t.wordsOf(f) {
		if !slices.Contains(theirs, w) || w == word || t.holdsAddress(w) {
			continue
		}
		if ok {
			return 0, false
		}
		word, ok = w, true
	}
	return word, ok
}

func (t *attributes) holdsAddress(w uint64) bool {
	_, pointer := slices.BinarySearchFunc(t.a.pointers, w, func(p image.Pointer, w uint64) int { return cmp.Compare(p.Addr, w) })
	return pointer
}

// calls returns the functions that function fn calls.
func (t *attributes) calls(fn int) []uint32 {
	return t.a.survey.calls[t.a.survey.callAt[fn]:t.a.survey.callAt[fn+1]]
}

// callsOneThatCalls reports that function fn calls a function of glibc's own that
// calls the one called name.
func (t *attributes) callsOneThatCalls(fn int, name string) bool {
	return slices.ContainsFunc(t.calls(fn), func(callee uint32) bool {
		return !t.exported[callee] && slices.ContainsFunc(t.calls(int(callee)), func(c uint32) bool { return slices.Contains(t.found(name), int(c)) })
	})
}
