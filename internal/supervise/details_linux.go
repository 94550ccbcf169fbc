package supervise

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// textArgs are the names of arguments that point at text.
var textArgs = map[string]bool{
	"filename": true, "pathname": true, "path": true, "name": true, "oldname": true, "newname": true, "dev_name": true, "dir_name": true,
	"_fs_name": true, "from_pathname": true, "to_pathname": true, "new_root": true, "put_old": true, "special": true, "specialfile": true,
	"library": true, "u_name": true, "uname": true, "name_user": true, "_type": true, "_description": true, "_key": true,
}

// notText are calls of which an argument with such a name is something else.
var notText = map[string]bool{"uname": true}

// textIn are further ones, of single calls.
var textIn = map[string]string{"mount": "type"}

// addressArgs are the names of arguments that point at a socket's address, whose size
// is in the argument that follows.
var addressArgs = map[string]bool{"umyaddr": true, "uservaddr": true, "addr": true}

// addressIn are the calls that have them.
var addressIn = map[string]bool{"bind": true, "connect": true, "sendto": true}

const (
	maxText   = 256 // of a text that is shown
	maxVector = 8   // of an argument vector
)

// Details returns what the arguments of a call that waits are beyond their numbers:
// texts, paths of descriptors, addresses of sockets; "" where there is nothing to say.
// It is what they are now: the program can change it at any time, so that nothing may
// be decided by it. It counts only after [kernel.Listener.Valid].
func Details(n kernel.Notification, a abi.ABI) (details [6]string) {
	args, _ := a.Args(n.Call.NR)
	name := a.SyscallName(n.Call.NR)
	for i, arg := range args {
		value := n.Call.Args[i] & a.ReadMask(n.Call.NR, i)
		switch {
		case arg.Kind == abi.FD:
			details[i] = descriptor(n.TID, int32(n.Call.Args[i]))
		case arg.Kind != abi.Pointer || value == 0:
		case textArgs[arg.Name] && !notText[name], textIn[name] == arg.Name:
			details[i] = text(n.TID, value)
		case addressIn[name] && addressArgs[arg.Name] && i+1 < len(args):
			details[i] = address(n.TID, value, n.Call.Args[i+1])
		case arg.Name == "argv":
			details[i] = vector(n.TID, value, uint64(a.Bits()/8))
		}
	}
	return details
}

// descriptor returns what a descriptor of a thread is for.
func descriptor(tid int, fd int32) string {
	if fd == unix.AT_FDCWD {
		return "AT_FDCWD"
	}
	if fd < 0 {
		return ""
	}
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, fd))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d<%s>", fd, printable(target))
}

// read reads up to size bytes, as far as they are there.
func read(tid int, addr uint64, size int) []byte {
	data := make([]byte, size)
	n, _ := kernel.ReadMemory(tid, addr, data) // less than asked for where the memory ends
	return data[:n]
}

func text(tid int, addr uint64) string {
	data := read(tid, addr, maxText)
	if len(data) == 0 {
		return ""
	}
	if end := bytes.IndexByte(data, 0); end >= 0 {
		return strconv.Quote(string(data[:end]))
	}
	return strconv.Quote(string(data)) + "…"
}

func vector(tid int, addr, word uint64) string {
	var all []string
	for range maxVector {
		data := read(tid, addr, int(word))
		if uint64(len(data)) < word {
			break
		}
		at := binary.NativeEndian.Uint64(append(data, make([]byte, 8)...))
		if at == 0 {
			return "[" + strings.Join(all, ", ") + "]"
		}
		all = append(all, text(tid, at))
		addr += word
	}
	return "[" + strings.Join(append(all, "…"), ", ") + "]"
}

// address returns a socket's address (struct sockaddr).
func address(tid int, addr, size uint64) string {
	data := read(tid, addr, int(min(size, unix.SizeofSockaddrAny)))
	if len(data) < 2 {
		return ""
	}
	family := binary.NativeEndian.Uint16(data)
	rest := data[2:]
	switch {
	case family == unix.AF_INET && len(rest) >= 6:
		ip, _ := netip.AddrFromSlice(rest[2:6])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest)).String()
	case family == unix.AF_INET6 && len(rest) >= 22:
		ip, _ := netip.AddrFromSlice(rest[6:22])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest)).String()
	case family == unix.AF_UNIX && len(rest) > 0 && rest[0] == 0:
		return "unix:@" + printable(string(rest[1:]))
	case family == unix.AF_UNIX:
		path, _, _ := strings.Cut(string(rest), "\x00")
		return "unix:" + printable(path)
	}
	return fmt.Sprintf("address of family %d", family)
}

// printable returns s without what a terminal might act on.
func printable(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
