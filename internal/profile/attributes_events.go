package profile

import (
	"bytes"
	"iter"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// Systemd's event loop (src/libsystemd/sd-event/sd-event.c) has sources of several
// kinds, and what it does for one it does only for a source of that kind: signals come
// by signalfd, children are waited for and killed with the source, files are watched by
// inotify. A source keeps the kind that it was made with (source_new), and each kind is
// made by functions of its own. Nor is the service manager told that the loop is alive
// unless a function of its own asks for that. Libraries have the loop in them with those
// of these functions that they use: so libnss_systemd, which looks up users over a
// socket, has none for signals, children, files and the manager, and the code for them
// cannot do anything.
//
// The loop has no symbols there. But all of its functions check what they are passed,
// and pass their own name and that of the source file to what reports a failure
// (assert_return, which release builds keep).
type eventRule struct {
	calls  []string // of functions of glibc, or directly
	holder string   // or of functions that hold this string
	makers []string // the functions without which the loop does not make the calls
}

var eventRules = []eventRule{
	{calls: []string{"signalfd"}, makers: []string{"sd_event_add_signal", "sd_event_add_child", "sd_event_add_child_pidfd", "event_add_child_pidref"}},
	{calls: []string{"waitid", "kill", "pidfd_send_signal"}, makers: []string{"sd_event_add_child", "sd_event_add_child_pidfd", "event_add_child_pidref"}},
	{calls: []string{"inotify_init1", "inotify_add_watch", "inotify_rm_watch"}, makers: []string{"sd_event_add_inotify", "sd_event_add_inotify_fd", "event_add_inotify_fd_internal"}},
	// sd_notify, for the watchdog (process_watchdog).
	{holder: "NOTIFY_SOCKET", makers: []string{"sd_event_set_watchdog"}},
}

// otherMakers are those of sources for which none of the rules is. A maker that is
// neither here nor in a rule is of a release that was not read: all rules give way.
var otherMakers = []string{
	"sd_event_add_io", "sd_event_add_time", "sd_event_add_time_relative", "event_add_time_change",
	"sd_event_add_defer", "sd_event_add_post", "sd_event_add_exit", "sd_event_add_memory_pressure",
}

const (
	eventFile     = "sd-event/sd-event.c"
	eventMaker    = "event_add_" // in the name of each
	eventsAssumed = "event sources of systemd's event loop are made by its own functions alone"
)

// loops are the event loops in a program.
type loops struct {
	t       *attributes
	own     map[int]bool           // whether a function is one of a loop's, of those that were asked
	modules map[*image.Module]bool // that have one
	holders map[string][]int       // the functions in them that hold strings of the rules
	unread  []int                  // those that may make sources that no rule knows
}

// applyEvents makes what the rules say wait for the makers of sources.
func (t *attributes) applyEvents() {
	l := &loops{t: t, own: map[int]bool{}, modules: map[*image.Module]bool{}, holders: map[string][]int{}}
	for i := range eventRules {
		r := &eventRules[i]
		x := &attribute{attributeRule: &attributeRule{}}
		applies := false
		to := slices.Clone(l.holders[r.holder])
		for _, name := range r.calls {
			to = append(to, t.everywhere(name)...)
		}
		for _, callee := range to {
			for _, caller := range t.a.callers(callee) {
				fn := t.a.whole(caller)
				if !l.owns(fn) {
					continue
				}
				applies = true
				t.gate(caller, callee, x)
				for _, name := range r.calls { // by syscall
					if nr, ok := t.a.prog.ABI.Lookup(name); ok {
						t.numbers[[2]uint32{uint32(fn), nr}] = x
					}
				}
			}
		}
		if !applies {
			continue
		}
		t.all, t.events = append(t.all, x), append(t.events, x)
		makers := slices.Clone(l.unread)
		for _, name := range r.makers {
			makers = append(makers, l.holders[name]...)
		}
		for _, fn := range makers {
			t.setters[int32(fn)] = append(t.setters[int32(fn)], x)
		}
	}
}

// everywhere returns the functions that make the call name, and the stubs of all
// modules that lead there.
func (t *attributes) everywhere(name string) (out []int) {
	for _, fn := range t.found(name) {
		out = append(out, fn)
		for _, caller := range t.a.callers(fn) {
			if _, stub := t.a.prog.Stub(caller); stub {
				out = append(out, caller)
			}
		}
	}
	return out
}

// owns reports that function fn is of the event loop's source file, and that nothing
// was put into it from another one.
func (l *loops) owns(fn int) bool {
	own, known := l.own[fn]
	if known {
		return own
	}
	l.own[fn] = false
	for _, part := range l.t.a.partsOf(fn) {
		for text := range l.t.texts(part) {
			switch {
			case bytes.HasSuffix(text, []byte(eventFile)):
				own = true
			case bytes.HasSuffix(text, []byte(".c")) && bytes.IndexByte(text, '/') >= 0:
				return false
			}
		}
	}
	if m := l.t.a.prog.Module(fn); own && !l.modules[m] {
		l.modules[m] = true
		l.look(m)
	}
	l.own[fn] = own
	return own
}

// look notes the functions of module m that hold strings of the rules.
func (l *loops) look(m *image.Module) {
	wanted := map[string]bool{}
	for _, r := range eventRules {
		for _, text := range append(r.makers, r.holder) {
			wanted[text] = true
		}
	}
	first, last := l.t.a.prog.Functions(m)
	for fn := first; fn < last; fn++ {
		for text := range l.t.texts(fn) {
			switch {
			case len(text) > 0 && wanted[string(text)]:
				l.holders[string(text)] = append(l.holders[string(text)], fn)
			case bytes.Contains(text, []byte(eventMaker)) && !slices.Contains(otherMakers, string(text)):
				l.unread = append(l.unread, fn)
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
