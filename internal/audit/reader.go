package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sysgate/sysgate/internal/observe"
)

// An Event is what a source has to say. Exactly one member is set.
type Event struct {
	Violation *observe.Violation
	Abend     *Abend
	Loss      *Loss
	Problem   error // a record that could not be read
}

// A Loss says that records did not arrive.
type Loss struct {
	Records uint64 // how many; 0: nobody knows
	Reason  string
}

func (l *Loss) String() string {
	if l.Records == 0 {
		return "records were lost, nobody knows how many: " + l.Reason
	}
	if l.Records == 1 {
		return "1 record was lost: " + l.Reason
	}
	return fmt.Sprintf("%d records were lost: %s", l.Records, l.Reason)
}

const (
	maxLine     = 1 << 20 // bytes of a line; the kernel's records have at most 8 KiB
	maxSeen     = 1 << 15 // records that a second copy is told by
	maxContinue = 8       // lines that a wrapped record may have
)

// A Reader reads a log.
type Reader struct {
	r          *bufio.Reader
	o          Options
	line       int
	wrapped    string // a record whose rest is to follow
	wrappedN   int
	object     strings.Builder // an object of JSON whose rest is to follow
	unread     string          // a line that was read and is to be read next
	hasUnread  bool
	seen       map[identity]bool
	order      []identity // of seen, a ring
	next       int
	duplicates atomic.Int64
}

// An identity tells records apart: the kernel counts them from each boot on.
type identity struct {
	nanos  int64
	serial uint64
	host   string
	count  int
}

// overwritten is the line that stands for what /dev/kmsg lost.
const overwritten = "\x00overwritten"

// suppressed matches what the kernel prints instead of records (printk_ratelimit).
var suppressed = regexp.MustCompile(`kauditd_printk_skb: (\d+) callbacks suppressed`)

// NewReader returns a reader of the log r.
func NewReader(r io.Reader, o Options) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), o: o, seen: map[identity]bool{}}
}

// Duplicates returns how many records were left out because the log had them before,
// as the journal does. It may be called while Next runs.
func (r *Reader) Duplicates() int { return int(r.duplicates.Load()) }

// Next returns the next event, and io.EOF at the end. A record that cannot be
// read is an event too (Problem, with the number of its line); lines about
// something else are passed over. Other errors are those of the underlying reader.
func (r *Reader) Next() (Event, error) {
	for {
		if r.hasUnread {
			r.hasUnread = false
			if e, ok := r.finish(r.read(r.unread)); ok {
				return e, nil
			}
			continue
		}
		line, complete, err := readLine(r.r)
		if err != nil {
			if e, ok := r.finish(r.endWrapped()); ok && errors.Is(err, io.EOF) {
				return e, nil
			}
			if e, ok := r.finish(r.endObject()); ok && errors.Is(err, io.EOF) {
				return e, nil
			}
			return Event{}, err
		}
		r.line++
		if !complete {
			return Event{Problem: fmt.Errorf("line %d: longer than %d bytes", r.line, maxLine)}, nil
		}
		if e, ok := r.finish(r.read(line)); ok {
			return e, nil
		}
	}
}

// finish makes an error an event, and leaves out a record that was seen before.
func (r *Reader) finish(e Event, err error) (Event, bool) {
	if err != nil {
		return Event{Problem: fmt.Errorf("line %d: %w", r.line, err)}, true
	}
	if v := e.Violation; v != nil && v.Serial != 0 {
		id := identity{v.Time.UnixNano(), v.Serial, v.Host, v.Count}
		if r.seen[id] {
			r.duplicates.Add(1)
			return Event{}, false
		}
		if len(r.order) < maxSeen {
			r.order = append(r.order, id)
		} else {
			delete(r.seen, r.order[r.next])
			r.order[r.next] = id
			r.next = (r.next + 1) % maxSeen
		}
		r.seen[id] = true
	}
	return e, e != Event{}
}

// read reads one line, in whichever form it is.
func (r *Reader) read(line string) (Event, error) {
	if r.wrapped != "" {
		if continues(line) && r.wrappedN < maxContinue {
			r.wrapped += " " + strings.TrimSpace(line)
			r.wrappedN++
			if incomplete(r.wrapped) {
				return Event{}, nil
			}
			return r.endWrapped()
		}
		r.unread, r.hasUnread = line, true
		return r.endWrapped()
	}
	if r.object.Len() > 0 {
		if e, ok, err := r.continueObject(line); ok {
			return e, err
		}
		r.unread, r.hasUnread = line, true
		return r.endObject()
	}
	switch text := bareJSON(line); {
	case line == overwritten:
		return Event{Loss: &Loss{Reason: "the kernel's log was overwritten before it was read"}}, nil
	case suppressed.MatchString(line):
		n, err := strconv.ParseUint(suppressed.FindStringSubmatch(line)[1], 10, 64)
		if err != nil {
			return Event{}, err
		}
		return Event{Loss: &Loss{Records: n, Reason: "the kernel limits what it prints of audit records to 10 in 5 seconds"}}, nil
	case text == "":
		return Event{}, nil
	case text == "{" || text == "},{": // as in lists of dmesg
		r.object.WriteString("{")
		return Event{}, nil
	case text[0] == '{':
		return r.readJSON(text)
	case isExport(line):
		entry, lines, err := readExport(r.r, line)
		r.line += lines
		if err != nil {
			return Event{}, err
		}
		return entry.parse(r.o)
	case incomplete(line):
		r.wrapped, r.wrappedN = strings.TrimRight(line, " \t"), 0
		return Event{}, nil
	}
	return parseLine(line, r.o)
}

// endWrapped reads the record that was put together of several lines.
func (r *Reader) endWrapped() (Event, error) {
	text := r.wrapped
	r.wrapped = ""
	if text == "" {
		return Event{}, nil
	}
	return parseLine(text, r.o)
}

// incomplete reports whether a line starts a record of seccomp and does not end
// it: mail and slides wrap them.
func incomplete(line string) bool {
	prefix, rest, ok := strings.Cut(line, "audit(")
	if !ok {
		return false
	}
	switch kind, named := typeOf(prefix); {
	case kind == typeSeccomp || !named && strings.Contains(rest, "auid=") && !strings.Contains(rest, "res="):
		return !strings.Contains(rest, "code=")
	case kind == typeAbend:
		return !strings.Contains(rest, "sig=")
	}
	return false
}

// continues reports whether a line can be the rest of a wrapped record.
func continues(line string) bool {
	if strings.Contains(line, "audit(") {
		return false
	}
	word, _ := cutWord(strings.TrimSpace(line))
	_, _, ok := cutKey(word)
	return ok
}

// readLine returns the next line without its end. complete is false for one that
// is longer than maxLine, of which only the start is returned.
func readLine(r *bufio.Reader) (line string, complete bool, err error) {
	var buf []byte
	complete = true
	for {
		part, err := r.ReadSlice('\n')
		if len(buf)+len(part) <= maxLine {
			buf = append(buf, part...)
		} else {
			complete = false
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(buf) > 0:
			err = nil
		}
		return strings.TrimRight(string(buf), "\r\n"), complete, err
	}
}
