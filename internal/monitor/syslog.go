package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/sysgate/sysgate/abi"
)

// A Syslog sends events as messages of RFC 5424: to the local daemon's socket, over
// UDP (RFC 5426), or over TCP with a count of octets before each (RFC 6587).
type Syslog struct {
	network, address string
	host, version    string
	native           abi.ABI
	conn             net.Conn
	frame            func(message []byte) []byte // tells messages apart on the connection; nil: datagrams
}

// The parts of a message that are the same in each (RFC 5424). The number is the one
// that is kept for examples (RFC 5612): sysgate has none of its own.
const (
	facilityAuthPriv = 10
	syslogID         = "seccomp@32473"
	maxValue         = 2048 // bytes of one value: a datagram has to hold all
)

// NewSyslog returns a sender to address: unix:///dev/log, udp://HOST:PORT or
// tcp://HOST:PORT; "" is the local daemon. It connects when there is something to
// send.
func NewSyslog(address, version string, native abi.ABI) (*Syslog, error) {
	if address == "" {
		address = "unix:///dev/log"
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	s := &Syslog{network: u.Scheme, address: u.Host, version: version, native: native}
	s.host, _ = os.Hostname()
	switch u.Scheme {
	case "unix":
		s.address = u.Path
		if u.Host != "" || u.Path == "" {
			return nil, fmt.Errorf("%q: no path, as in unix:///dev/log", address)
		}
	case "udp", "tcp":
		if _, port, err := net.SplitHostPort(u.Host); err != nil || port == "" {
			return nil, fmt.Errorf("%q: no host with a port, as in %s://127.0.0.1:514", address, u.Scheme)
		}
	default:
		return nil, fmt.Errorf("%q: not unix:///PATH, udp://HOST:PORT or tcp://HOST:PORT", address)
	}
	return s, nil
}

// Send implements [Sender].
func (s *Syslog) Send(ctx context.Context, events []Event) (int, error) {
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return 0, err
		}
	}
	for i, e := range events {
		message := s.message(e, time.Now())
		if s.frame != nil {
			message = s.frame(message)
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		switch _, err := s.conn.Write(message); {
		case errors.Is(err, syscall.EMSGSIZE):
			return i + 1, &RejectedError{Events: 1, Reason: fmt.Sprintf("a message of %d bytes is too long for %s", len(message), s.network)}
		case err != nil:
			return i, errors.Join(err, s.Close()) // a daemon that was started anew has a new socket
		}
	}
	return len(events), nil
}

func (s *Syslog) connect(ctx context.Context) error {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	network := s.network
	if network == "unix" {
		network = "unixgram" // most daemons have one of these
	}
	conn, err := dialer.DialContext(ctx, network, s.address)
	if network == "unixgram" && errors.Is(err, syscall.EPROTOTYPE) {
		network = "unix"
		conn, err = dialer.DialContext(ctx, network, s.address)
	}
	if err != nil {
		return err
	}
	s.conn, s.frame = conn, frames[network]
	return nil
}

// frames are how messages are told apart in streams: by a count of octets (RFC 6587),
// and to a local daemon by an end of line, which no message has inside.
var frames = map[string]func([]byte) []byte{
	"tcp":  func(message []byte) []byte { return fmt.Appendf(nil, "%d %s", len(message), message) },
	"unix": func(message []byte) []byte { return append(message, '\n') },
}

// Close implements [Sender].
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// message returns an event as RFC 5424 has it: what is known as structured data, the
// line of text output as the message.
func (s *Syslog) message(e Event, now time.Time) []byte {
	when, host := now, s.host
	if v := e.Violation; v != nil {
		if !v.Time.IsZero() {
			when = v.Time
		}
		if v.Host != "" {
			host = v.Host
		}
	}
	var b []byte
	b = fmt.Appendf(b, "<%d>1 %s %s sysgate %d %s ", facilityAuthPriv*8+int(SeverityOf(e)), when.UTC().Format("2006-01-02T15:04:05.000Z"), header(host, 255), os.Getpid(), messageID(e))
	b = fmt.Appendf(b, `[origin software="sysgate" swVersion="%s"][%s`, paramValue(s.version), syslogID)
	for _, f := range Fields(e, s.native) {
		if f.Name != "event.original" {
			b = fmt.Appendf(b, ` %s="%s"`, f.Name, paramValue(f.Text()))
		}
	}
	b = append(b, "] \xef\xbb\xbf"...) // the mark says that the rest is UTF-8
	return append(b, cut(Line(e, s.native), 2*maxValue)...)
}

func messageID(e Event) string {
	switch {
	case e.Violation != nil:
		return "violation"
	case e.Abend != nil:
		return "abend"
	case e.Loss != nil:
		return "lost"
	}
	return "unread"
}

// header makes text a field of the header: printable ASCII, no blanks.
func header(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}

// paramValue escapes a value of structured data (RFC 5424, 6.3.3). What is no UTF-8,
// and what a terminal would take for a command, is escaped as in Go's strings first.
func paramValue(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(cut(Printable(text), maxValue))
}

// cut shortens text to a number of bytes, between runes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
