// Fetch resolves a name and dials over TCP, UDP and Unix sockets.
package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

func main() {
	net.LookupHost("localhost")
	net.Interfaces()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Write([]byte("no TLS here"))
			c.Close()
		}
	}()
	d := net.Dialer{Timeout: time.Second}
	if c, err := tls.DialWithDialer(&d, "tcp", l.Addr().String(), nil); err == nil {
		c.Close()
	}
	if p, err := net.ListenPacket("udp", "127.0.0.1:0"); err == nil {
		if c, err := net.Dial("udp", p.LocalAddr().String()); err == nil {
			c.Write([]byte("x"))
			p.SetReadDeadline(time.Now().Add(time.Second))
			p.ReadFrom(make([]byte, 8))
		}
	}
	dir, _ := os.MkdirTemp("", "fetch")
	defer os.RemoveAll(dir)
	if u, err := net.Listen("unix", filepath.Join(dir, "s")); err == nil {
		go u.Accept()
		if c, err := net.Dial("unix", u.Addr().String()); err == nil {
			c.Close()
		}
	}
}
