package monitor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// JournalSocket is where systemd's journal takes entries.
const JournalSocket = "/run/systemd/journal/socket"

// Message IDs of the entries (journalctl MESSAGE_ID=…), one for each kind of event.
const (
	journalViolation = "6b1d3a9cf4be4a3c8a90a2d7b84f1e51"
	journalOther     = "1b84c2f07d1e4c5f9a1c8be51b6d3f62"
)

// A Journal sends events to systemd's journal in its native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): each field is one of its own.
type Journal struct {
	path   string
	native abi.ABI
	conn   *net.UnixConn
}

// NewJournal returns a sender to the journal's socket at path; "" is
// [JournalSocket].
func NewJournal(path string, native abi.ABI) *Journal {
	if path == "" {
		path = JournalSocket
	}
	return &Journal{path: path, native: native}
}

// Send implements [Sender].
func (j *Journal) Send(_ context.Context, events []Event) (int, error) {
	if j.conn == nil {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: j.path, Net: "unixgram"})
		if err != nil {
			return 0, err
		}
		j.conn = conn
	}
	for i, e := range events {
		entry := j.entry(e)
		_, err := j.conn.Write(entry)
		if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
			err = j.sendFile(entry)
		}
		if err != nil {
			return i, errors.Join(err, j.Close())
		}
	}
	return len(events), nil
}

// Close implements [Sender].
func (j *Journal) Close() error {
	if j.conn == nil {
		return nil
	}
	err := j.conn.Close()
	j.conn = nil
	return err
}

// sendFile sends an entry that no datagram holds: in a sealed file of memory.
func (j *Journal) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("sysgate-journal", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("a large entry: %w", err)
	}
	file := os.NewFile(uintptr(fd), "sysgate-journal")
	defer file.Close()
	if _, err := file.Write(entry); err != nil {
		return fmt.Errorf("a large entry: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("a large entry: %w", err)
	}
	raw, err := j.conn.SyscallConn() // net has no message without an address on a connected socket
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(socket uintptr) bool {
		sent = unix.Sendmsg(int(socket), nil, unix.UnixRights(fd), nil, 0)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// entry returns an event in the native protocol.
func (j *Journal) entry(e Event) []byte {
	id := journalOther
	if e.Violation != nil {
		id = journalViolation
	}
	var b []byte
	b = journalField(b, "MESSAGE", Line(e, j.native))
	b = journalField(b, "MESSAGE_ID", id)
	b = journalField(b, "PRIORITY", fmt.Sprint(int(SeverityOf(e))))
	b = journalField(b, "SYSLOG_IDENTIFIER", "sysgate")
	if v := e.Violation; v != nil && v.PID > 0 && v.Host == "" {
		b = journalField(b, "OBJECT_PID", fmt.Sprint(v.PID)) // journald adds what it knows of it
	}
	for _, f := range Fields(e, j.native) {
		b = journalField(b, journalName(f.Name), f.Text())
	}
	return b
}

// journalName makes a name one of the journal's: capitals, digits, underlines.
func journalName(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// journalField adds a field; one whose value has a newline is written with its length.
func journalField(b []byte, name, value string) []byte {
	b = append(b, name...)
	if !strings.Contains(value, "\n") {
		return append(append(append(b, '='), value...), '\n')
	}
	b = append(b, '\n')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, value...), '\n')
}
