package profile

import (
	"bytes"
	"iter"

	"github.com/sysgate/sysgate/internal/image"
)

// Systemd's event loop (src/libsystemd/sd-event/sd-event.c) has sources of several
// kinds, and what it does for one it does only for a source of that kind: signals come
// by signalfd, children are waited for and killed with the source, files are watched by
// inotify. A source keeps the kind that it was made with (source_new), and each kind is
// made by functions of its own. Libraries have the loop in them with those of these
// functions that they use: so libnss_systemd, which looks up users over a socket, has
// none for signals, children and files, and the code for them cannot do anything.
//
// The loop has no symbols there. But all of its functions check what they are passed,
// and pass their own name and that of the source file to what reports a failure
// (assert_return, which release builds keep).
type eventRule struct {
	calls  []string // of functions of glibc, or directly
	makers []string // of sources of the kinds that the calls are made for
}

var eventRules = []eventRule{
	{[]string{"signalfd"}, []string{"sd_event_add_signal", "sd_event_add_child", "sd_event_add_child_pidfd", "event_add_child_pidref"}},
	{[]string{"waitid", "kill", "pidfd_send_signal"}, []string{"sd_event_add_child", "sd_event_add_child_pidfd", "event_add_child_pidref"}},
	{[]string{"inotify_init1", "inotify_add_watch", "inotify_rm_watch"}, []string{"sd_event_add_inotify", "sd_event_add_inotify_fd", "event_add_inotify_fd_internal"}},
}

const (
	eventFile     = "sd-event/sd-event.c"
	eventMaker    = "event_add_" // in the names of all makers
	eventsAssumed = "event sources of systemd's event loop are made by its own functions alone"
)

// applyEvents makes the calls wait for the makers of sources.
func (t *attributes) applyEvents() {
	loop := map[int]bool{} // whether a function is one of the loop's, of those that were asked
	makers := map[string][]int{}
	looked := map[*image.Module]bool{}
	for i := range eventRules {
		r := &eventRules[i]
		x := &attribute{attributeRule: &attributeRule{}}
		applies := false
		for _, name := range r.calls {
			for _, to := range t.everywhere(name) {
				for _, caller := range t.a.callers(to) {
					fn := t.a.whole(caller)
					own, known := loop[fn]
					if !known {
						own = t.isLoop(fn)
						loop[fn] = own
					}
					if !own {
						continue
					}
					applies = true
					t.edges[[2]int32{int32(caller), int32(to)}] = x
					for _, name := range r.calls { // by syscall
						if nr, ok := t.a.prog.ABI.Lookup(name); ok {
							t.numbers[[2]uint32{uint32(fn), nr}] = x
						}
					}
					if m := t.a.prog.Module(fn); !looked[m] {
						looked[m] = true
						t.findMakers(m, makers)
					}
				}
			}
		}
		if !applies {
			continue
		}
		t.all, t.events = append(t.all, x), append(t.events, x)
		for _, name := range r.makers {
			for _, fn := range makers[name] {
				t.setters[int32(fn)] = append(t.setters[int32(fn)], x)
			}
		}
	}
}

// everywhere returns the functions that make the call name, and the stubs of all
// modules that lead there.
func (t *attributes) everywhere(name string) (out []int) {
	for _, fn := range t.found[name] {
		out = append(out, fn)
		for _, caller := range t.a.callers(fn) {
			if _, stub := t.a.prog.Stub(caller); stub {
				out = append(out, caller)
			}
		}
	}
	return out
}

// isLoop reports that function fn is of the event loop's source file, and that nothing
// was put into it from another one.
func (t *attributes) isLoop(fn int) (own bool) {
	for _, part := range t.a.partsOf(fn) {
		for text := range t.texts(part) {
			switch {
			case bytes.HasSuffix(text, []byte(eventFile)):
				own = true
			case bytes.HasSuffix(text, []byte(".c")) && bytes.IndexByte(text, '/') >= 0:
				return false
			}
		}
	}
	return own
}

// findMakers notes the functions of module m that hold the names of makers.
func (t *attributes) findMakers(m *image.Module, makers map[string][]int) {
	first, last, _ := t.a.prog.Functions(m)
	for fn := first; fn < last; fn++ {
		for text := range t.texts(fn) {
			if bytes.Contains(text, []byte(eventMaker)) {
				makers[string(text)] = append(makers[string(text)], fn)
			}
		}
	}
}

// texts yields the strings whose addresses function fn takes.
func (t *attributes) texts(fn int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := t.a.survey
		for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
			if addr, kind := s.ref(r); kind == refTaken {
				if text, ok := t.a.textBytes(addr); ok && !yield(text) {
					return
				}
			}
		}
	}
}
