// Command purpose does what a set of the tests is for: its argument names the set.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	dir := os.Args[2]
	if err := map[string]func(string) error{
		"files-read": read, "files-write": write, "network-client": client, "network-server": server,
		"network-local": local, "exec": run, "event-loop": loop, "timers": timers, "signals": signals,
		"terminal": terminal, "identity": identity, "drop-privileges": drop,
	}[os.Args[1]](dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(dir string) error {
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	}); err != nil {
		return err
	}
	if _, err := os.Getwd(); err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err != nil {
		return err
	}
	_, err := os.Readlink(filepath.Join(dir, "link"))
	return err
}

func write(dir string) error {
	name := filepath.Join(dir, "written")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, step := range []func() error{
		func() error { _, err := f.WriteAt([]byte("text"), 10); return err },
		func() error { return f.Truncate(5) },
		f.Sync,
		func() error { return f.Chmod(0o640) },
		func() error { return f.Chown(-1, -1) },
		func() error { return os.Chtimes(name, time.Now(), time.Now()) },
		func() error { return os.Link(name, name+".hard") },
		func() error { return os.Symlink(name, name+".soft") },
		func() error { return os.Rename(name, name+".moved") },
		func() error { return os.Remove(name + ".moved") },
		func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) },
		func() error { return os.RemoveAll(filepath.Join(dir, "a")) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// echo returns what a server at addr answers.
func echo(network, addr string) error {
	c, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("ping")); err != nil {
		return err
	}
	b := make([]byte, 4)
	_, err = io.ReadFull(c, b)
	return err
}

func client(string) error {
	if err := echo("tcp", os.Args[3]); err != nil {
		return err
	}
	if err := echo("unix", os.Args[4]); err != nil {
		return err
	}
	_, err := net.LookupHost("localhost")
	return err
}

func serve(network, addr string) error {
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.CopyN(c, c, 4)
			c.Close()
		}
		done <- err
	}()
	if os.Args[1] == "network-local" {
		if err := echo(network, l.Addr().String()); err != nil {
			return err
		}
		return <-done
	}
	fmt.Println(l.Addr()) // the test connects
	return <-done
}

func server(string) error { return serve("tcp", "127.0.0.1:0") }

func local(dir string) error { return serve("unix", filepath.Join(dir, "socket")) }

func run(string) error {
	out, err := exec.Command("/proc/self/exe", "identity", "/").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func loop(string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	go w.Write([]byte("x"))
	if _, err := r.Read(make([]byte, 1)); err != nil {
		return err
	}
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		return err
	}
	_, err = syscall.InotifyAddWatch(fd, "/", syscall.IN_CREATE)
	return err
}

func timers(string) error {
	time.Sleep(time.Millisecond)
	<-time.After(time.Millisecond)
	var usage syscall.Rusage
	return syscall.Getrusage(0, &usage)
}

func signals(string) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		return err
	}
	<-c
	return nil
}

func terminal(string) error {
	var size [4]uint16
	for _, cmd := range []uintptr{syscall.TCGETS, syscall.TIOCGWINSZ} {
		// Not a terminal (ENOTTY) is an answer, EPERM is the filter's.
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, 0, cmd, uintptr(unsafe.Pointer(&size))); e == syscall.EPERM {
			return e
		}
	}
	return nil
}

func identity(string) error {
	if os.Getuid() < 0 || os.Getppid() < 0 || os.Geteuid() < 0 || os.Getegid() < 0 {
		return fmt.Errorf("no identity")
	}
	_, err := os.Getgroups()
	return err
}

func drop(string) error {
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setresgid(65534, 65534, 65534); err != nil {
		return err
	}
	return syscall.Setresuid(65534, 65534, 65534)
}
