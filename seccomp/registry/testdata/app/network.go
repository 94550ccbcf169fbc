package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"
)

// echo accepts one connection and returns what it receives.
func echo(l net.Listener) {
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.Copy(c, c)
}

// talk says something to a stream, and wants the same back.
func talk(c net.Conn) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	message := []byte("hello")
	if _, err := c.Write(message); err != nil {
		return err
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func tcp(string) error {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	go echo(l)
	c, err := net.DialTimeout("tcp", l.Addr().String(), time.Minute)
	if err != nil {
		return err
	}
	tcp := c.(*net.TCPConn)
	err = errors.Join(
		tcp.SetNoDelay(true), tcp.SetKeepAlive(true), tcp.SetKeepAlivePeriod(time.Minute),
		tcp.SetReadBuffer(1<<16), tcp.SetLinger(0),
	)
	if err != nil {
		return err
	}
	buffers := net.Buffers{[]byte("one"), []byte("two")}
	if _, err := buffers.WriteTo(tcp); err != nil {
		return err
	}
	if _, err := io.ReadFull(tcp, make([]byte, 6)); err != nil {
		return err
	}
	return talk(tcp)
}

func udp(string) error {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer server.Close()
	go func() {
		b := make([]byte, 100)
		n, from, err := server.ReadFrom(b)
		if err == nil {
			_, _ = server.WriteTo(b[:n], from)
		}
	}()
	c, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		return err
	}
	if err := talk(c); err != nil {
		return err
	}
	return messages(server)
}

// messages sends a datagram with sendmsg, to itself.
func messages(c *net.UDPConn) error {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, _, err := c.WriteMsgUDP([]byte("hello"), nil, c.LocalAddr().(*net.UDPAddr)); err != nil {
		return err
	}
	_, _, _, _, err := c.ReadMsgUDP(make([]byte, 100), nil)
	return err
}

func unixSocket(dir string) error {
	name := filepath.Join(dir, "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return err
	}
	go echo(l)
	c, err := net.Dial("unix", name)
	if err != nil {
		return err
	}
	file, err := c.(*net.UnixConn).File() // dup
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), talk(c))
}

// names resolves one that the machine knows; whether a server answers for
// another is not its business.
func names(string) error {
	addrs, err := net.LookupHost("localhost")
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		return errors.New("localhost has no address")
	}
	for _, r := range []*net.Resolver{{PreferGo: true}, {}} {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_, err := r.LookupHost(ctx, "sysgate.invalid")
		cancel()
		if dns := new(net.DNSError); !errors.As(err, &dns) {
			return fmt.Errorf("sysgate.invalid: %v", err)
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	if len(interfaces) == 0 {
		return errors.New("no network interface")
	}
	_, err = net.InterfaceAddrs()
	return err
}

// pages serves files below dir.
func pages(dir string) (http.Handler, error) {
	if err := os.WriteFile(filepath.Join(dir, "page"), make([]byte, 1<<20), 0o600); err != nil {
		return nil, err
	}
	return http.FileServer(http.Dir(dir)), nil
}

func plainHTTP(dir string) error {
	handler, err := pages(dir)
	if err != nil {
		return err
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	return get(server.Client(), server.URL+"/page")
}

func secureHTTP(dir string) error {
	handler, err := pages(dir)
	if err != nil {
		return err
	}
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	return get(server.Client(), server.URL+"/page")
}

func get(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && (n != 1<<20 || response.StatusCode != http.StatusOK) {
		err = fmt.Errorf("%s, %d bytes", response.Status, n)
	}
	return err
}
