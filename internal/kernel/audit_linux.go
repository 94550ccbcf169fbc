package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// AuditAvailable reports whether the kernel has an audit system, and the boot
// option audit=0 has not switched it off: without it, nothing that a filter
// denies is logged.
func AuditAvailable() (bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("audit socket: %w", err)
	}
	return true, unix.Close(fd)
}

// AuditGet asks the audit system for its status. It needs CAP_AUDIT_CONTROL in the
// initial user namespace, and the initial PID namespace.
func AuditGet() (AuditStatus, error) {
	s, err := auditGet()
	if err != nil {
		return AuditStatus{}, fmt.Errorf("audit status: %w", err)
	}
	return s, nil
}

const (
	auditStatusLen = 32 // mask, enabled, failure, pid, rate_limit, backlog_limit, lost, backlog: as Linux 2.6 has it
	netlinkPatient = 1  // seconds to wait for an answer
)

func auditGet() (AuditStatus, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return AuditStatus{}, err
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(netlinkPatient * 1e9)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return AuditStatus{}, err
	}
	order := binary.NativeEndian
	request := make([]byte, unix.NLMSG_HDRLEN)
	order.PutUint32(request, uint32(len(request)))
	order.PutUint16(request[4:], unix.AUDIT_GET)
	order.PutUint16(request[6:], unix.NLM_F_REQUEST)
	order.PutUint32(request[8:], 1) // sequence number
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return AuditStatus{}, err
	}
	answer := make([]byte, 8192)
	n, err := retry(func() (int, error) {
		n, _, err := unix.Recvfrom(fd, answer, 0)
		return n, err
	})
	if err != nil {
		return AuditStatus{}, err
	}
	return parseAuditStatus(answer[:n])
}

// parseAuditStatus reads the netlink message that answers AUDIT_GET.
func parseAuditStatus(message []byte) (AuditStatus, error) {
	order := binary.NativeEndian
	if len(message) < unix.NLMSG_HDRLEN {
		return AuditStatus{}, fmt.Errorf("answer of %d bytes", len(message))
	}
	body := message[unix.NLMSG_HDRLEN:]
	switch kind := order.Uint16(message[4:]); {
	case kind == unix.NLMSG_ERROR && len(body) >= 4:
		return AuditStatus{}, syscall.Errno(-int32(order.Uint32(body)))
	case kind != unix.AUDIT_GET:
		return AuditStatus{}, fmt.Errorf("answer of type %d, want %d", kind, unix.AUDIT_GET)
	case len(body) < auditStatusLen:
		return AuditStatus{}, fmt.Errorf("status of %d bytes, want %d", len(body), auditStatusLen)
	}
	word := func(i int) uint32 { return order.Uint32(body[4*i:]) }
	return AuditStatus{
		Enabled:      word(1) != 0,
		Daemon:       int(word(3)),
		RateLimit:    word(4),
		BacklogLimit: word(5),
		Lost:         word(6),
	}, nil
}
