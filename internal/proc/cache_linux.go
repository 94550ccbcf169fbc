package proc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// maxCached bounds how many processes a cache knows: the latest ones.
const maxCached = 1 << 14

// A Cache knows processes that have ended: it reads about each when it executes a
// program, as the kernel tells (the process events connector, CONFIG_PROC_EVENTS). It may be
// used by several goroutines.
type Cache struct {
	root string
	fd   int

	mu    sync.Mutex
	known map[int]*Process
	order []int // the IDs in known, the oldest first from next on
	next  int
}

// Watch returns a cache that learns until ctx ends. It takes CAP_NET_ADMIN and the
// initial PID and network namespaces. Processes that run already are read in the
// background.
func Watch(ctx context.Context, root string) (*Cache, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("process events: %w", err)
	}
	c := &Cache{root: root, fd: fd, known: map[int]*Process{}}
	// Events that are lost are processes that are not known: more room loses fewer.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: procIndex})
	for _, request := range [][]byte{listenRequest(), listenRequest(eventFork | eventExec)} {
		if err == nil {
			err = unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("process events: %w", err)
	}
	go c.run(ctx)
	go c.fill(ctx)
	return c, nil
}

// The connector's messages (include/uapi/linux/connector.h, cn_proc.h): a netlink
// header, struct cn_msg, struct proc_event.
const (
	cnHeader    = unix.NLMSG_HDRLEN + 20
	eventHeader = 16
	eventFork   = 1
	eventExec   = 2
	procIndex   = 1 // CN_IDX_PROC, the group too
	procValue   = 1 // CN_VAL_PROC
	procListen  = 1 // PROC_CN_MCAST_LISTEN
)

// listenRequest asks for events (PROC_CN_MCAST_LISTEN): for all, or those of some types.
// Linux before 6.6 takes no notice of a request with types, so that both are made: what
// is not waited for is not in the way of what a process does in its first moments.
func listenRequest(types ...uint32) []byte {
	order := binary.NativeEndian
	b := make([]byte, cnHeader+4*(1+len(types)))
	order.PutUint32(b, uint32(len(b)))
	order.PutUint16(b[4:], unix.NLMSG_DONE)
	order.PutUint32(b[unix.NLMSG_HDRLEN:], procIndex)
	order.PutUint32(b[unix.NLMSG_HDRLEN+4:], procValue)
	order.PutUint16(b[unix.NLMSG_HDRLEN+16:], uint16(len(b)-cnHeader))
	order.PutUint32(b[cnHeader:], procListen)
	for i, what := range types {
		order.PutUint32(b[cnHeader+4*(1+i):], what)
	}
	return b
}

func (c *Cache) run(ctx context.Context) {
	defer unix.Close(c.fd)
	// On a busy machine the thread that reads must not wait for its turn while the process
	// makes its only call. It is dropped with the goroutine, and Go starts no thread from it.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20) // without the right to it, as it is
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
			_, _ = unix.Poll(fds, 100)
			continue
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS):
			continue
		case err != nil:
			return
		}
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
			c.event(buf[:n])
		}
	}
}

// event learns from one message.
func (c *Cache) event(message []byte) {
	order := binary.NativeEndian
	if len(message) < cnHeader+eventHeader+8 {
		return
	}
	body := message[cnHeader:]
	switch what, data := order.Uint32(body), body[eventHeader:]; {
	case what == eventExec:
		pid := int(order.Uint32(data[4:]))
		if p, err := Read(c.root, pid); err == nil {
			c.put(p)
		} else if born := c.Lookup(pid); born != nil {
			// It has ended: whose it was and where, it had from its birth.
			c.put(&Process{PID: pid, Status: Status{PPID: born.PPID, UID: born.UID, GID: born.GID, Dead: true}, Parent: born.Parent, Place: born.Place})
		}
	case what == eventFork && len(data) >= 16 && order.Uint32(data[8:]) == order.Uint32(data[12:]): // a process, no thread
		// What a child has before it executes something is its parent's.
		parent, child := int(order.Uint32(data[4:])), int(order.Uint32(data[12:]))
		if p := c.Lookup(parent); p != nil {
			copied := *p
			copied.PID, copied.PPID, copied.Parent = child, parent, p.Name
			c.put(&copied)
		} else {
			c.forget(child) // its ID was another one's
		}
	}
}

// fill reads the processes that were there before.
func (c *Cache) fill(ctx context.Context) {
	names, err := readNames(c.root)
	if err != nil {
		return
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		if pid, err := strconv.Atoi(name); err == nil && c.Lookup(pid) == nil {
			if p, err := Read(c.root, pid); err == nil {
				c.put(p)
			}
		}
	}
}

func (c *Cache) put(p *Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[p.PID]; !ok {
		if len(c.order) < maxCached {
			c.order = append(c.order, p.PID)
		} else {
			delete(c.known, c.order[c.next])
			c.order[c.next] = p.PID
			c.next = (c.next + 1) % maxCached
		}
	}
	c.known[p.PID] = p
}

func (c *Cache) forget(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[pid]; ok {
		c.known[pid] = nil
	}
}

// Lookup returns what is known of the latest process with an ID, nil if nothing is.
func (c *Cache) Lookup(pid int) *Process {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[pid]
}
