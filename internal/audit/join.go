package audit

// joinSpan is how many events a violation that killed waits for the record of the
// process's end. The kernel makes that right after it; other processors' records come
// between.
const joinSpan = 32

// A Joiner joins the record of a process's end (ANOM_ABEND) to the violation that
// killed it, and keeps the order of all else. A record of an end by SIGSYS without
// its violation is passed on: the violation was lost, or not logged. Other ends are
// left out.
type Joiner struct{ queue []Event }

// Add takes the next event and returns those that wait for nothing more.
func (j *Joiner) Add(e Event) []Event {
	if e.Abend == nil {
		j.queue = append(j.queue, e)
		return j.ready(joinSpan)
	}
	for i := range j.queue {
		if v := j.queue[i].Violation; v != nil && v.PID == e.Abend.PID && waits(j.queue[i]) {
			v.Ended = true
			return j.ready(joinSpan)
		}
	}
	if e.Abend.Signal == sigsys {
		j.queue = append(j.queue, e)
	}
	return j.ready(joinSpan)
}

// Flush returns the events that still wait: at the end of a log, or where nothing
// has come for a while.
func (j *Joiner) Flush() []Event { return j.ready(0) }

// ready takes from the queue what does not wait, or has more than span behind it.
func (j *Joiner) ready(span int) []Event {
	n := 0
	for n < len(j.queue) && (!waits(j.queue[n]) || len(j.queue)-n > span) {
		n++
	}
	out := j.queue[:n:n]
	j.queue = j.queue[n:]
	if len(j.queue) == 0 {
		j.queue = nil
	}
	return out
}

// sigsys is the signal that a filter kills with, on every architecture but MIPS.
const sigsys = 31

func waits(e Event) bool {
	return e.Violation != nil && e.Violation.Signal != 0 && !e.Violation.Ended
}
