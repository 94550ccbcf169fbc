package sysgate_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// freePort is a port, of both kinds, that nothing uses; it is kept in dir for what
// drives a server there.
func freePort(t *testing.T, dir string) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		u, err := net.ListenPacket("udp", "127.0.0.1:"+port)
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		if err := os.WriteFile(filepath.Join(dir, "port"), []byte(port), 0o644); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no port is free")
	return ""
}

// programOf returns the process that runs a program: strace has it as a child, sysgate
// run becomes it.
func programOf(pid int) int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if string(comm) == "strace\n" {
		if child, err := strconv.Atoi(strings.TrimSpace(string(children))); err == nil {
			return child
		}
	}
	return pid
}

// dial connects to a socket that a server is about to make.
func dial(socket string) (c net.Conn, err error) {
	for range 500 {
		if c, err = net.Dial("unix", socket); err == nil {
			return c, c.SetDeadline(time.Now().Add(20 * time.Second))
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, err
}

func driveRedis(dir string) error {
	c, err := dial(filepath.Join(dir, "redis"))
	if err != nil {
		return err
	}
	defer c.Close()
	answer := make([]byte, 1000)
	for _, command := range []string{"PING", "SET a 1", "INCR a", "SAVE", "BGSAVE", "INFO server"} {
		if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
			return err
		}
		if n, err := c.Read(answer); err != nil || n == 0 || answer[0] == '-' {
			return fmt.Errorf("%s: %w %s", command, err, answer[:n])
		}
	}
	time.Sleep(200 * time.Millisecond) // the background save's child
	_, err = fmt.Fprint(c, "SHUTDOWN NOSAVE\r\n")
	return err
}

// talk sends what a server is told, and reads until it has said what is wanted.
func talk(c net.Conn, say, want string) error {
	if _, err := c.Write([]byte(say)); err != nil {
		return err
	}
	var heard bytes.Buffer
	for part := make([]byte, 4096); !strings.Contains(heard.String(), want); {
		n, err := c.Read(part)
		if heard.Write(part[:n]); err != nil {
			return fmt.Errorf("no answer with %q: %w\n%s", want, err, heard.String())
		}
	}
	return nil
}

// speaks is a driver of a server with this socket, that has one talk.
func speaks(socket, say, want string) func(dir string) error {
	return func(dir string) error {
		c, err := dial(filepath.Join(dir, socket))
		if err != nil {
			return err
		}
		defer c.Close()
		return talk(c, say, want)
	}
}

// driveDNS asks a name server for the address of a.lan.
func driveDNS(dir string) error {
	port, err := os.ReadFile(filepath.Join(dir, "port"))
	if err != nil {
		return err
	}
	question := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x03lan\x00\x00\x01\x00\x01"
	const address = "\xc0\x00\x02\x01" // 192.0.2.1
	c, err := net.Dial("udp", "127.0.0.1:"+string(port))
	if err != nil {
		return err
	}
	defer c.Close()
	for range 400 { // until it listens
		if err = c.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			return err
		}
		if err = talk(c, question, address); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	s, err := net.Dial("tcp", "127.0.0.1:"+string(port))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	return talk(s, string(binary.BigEndian.AppendUint16(nil, uint16(len(question))))+question, address)
}
