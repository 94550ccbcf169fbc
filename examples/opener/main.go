// Opener runs a program that can open nothing itself: what it opens, this one opens
// for it, or not, and gives it the descriptor.
//
//	echo hello >dir/greeting
//	go run ./examples/opener -dir dir -- cat /virtual/greeting /etc/passwd
//
// A filter cannot see the name of a file, it lies in memory. A listener can read it,
// but must not let the kernel go on after that: the program could change the name in
// the next moment. So it answers with a descriptor of what was checked, and the
// kernel never reads the name. /virtual/NAME is NAME in the directory, and cannot be
// anything outside of it; libraries can be read; there is nothing else.
//
// The program is started in two steps, because a filter is given by a process to
// itself: this one starts itself, that one installs the filter, sends the listener
// back over a socket, and executes the program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/policy"
)

// opens hands over the call by which programs open files. The others that do so
// are denied, or missing, and then programs use this one.
const opens = `
version: 1
default_action: allow
x32_action: errno(EPERM)
syscalls:
- {action: user_notify, names: [openat], reason: this program answers it}
- {action: errno(ENOSYS), names: [openat2, io_uring_setup]}
- {action: errno(EPERM), names: [open, creat, open_by_handle_at, io_uring_enter], optional: true}
`

const socket = 3 // in the process that becomes the program

func main() {
	log.SetFlags(0)
	log.SetPrefix("opener: ")
	if os.Args[0] == "target" {
		log.Fatal(become(os.Args[1:]))
	}
	dir := flag.String("dir", ".", "`directory` that the program sees as /virtual")
	flag.Parse()
	if flag.NArg() == 0 {
		log.Fatal("usage: opener [-dir DIRECTORY] -- PROGRAM [ARGUMENT…]")
	}
	root, err := os.OpenRoot(*dir)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(root, flag.Args()); err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.Exited() {
			os.Exit(ended.ExitCode())
		}
		log.Fatal(err)
	}
}

// become makes this process the program, under the filter.
func become(args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	p, err := policy.Parse("opens", []byte(opens))
	if err != nil {
		return err
	}
	// Once a call is received, only what kills the program takes it back.
	in, err := sysgate.Install(p, sysgate.Options{Listener: true, WaitKillable: true})
	if err != nil {
		return err
	}
	rights := unix.UnixRights(in.Listener.FD())
	if err := unix.Sendmsg(socket, []byte{0}, rights, nil, 0); err != nil {
		return err
	}
	unix.CloseOnExec(socket)
	return syscall.Exec(path, args, os.Environ())
}

// run starts a program and opens files for it until its last process is gone.
func run(root *os.Root, args []string) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"target"}, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "socket")}
	if err := cmd.Start(); err != nil {
		return err
	}
	cmd.ExtraFiles[0].Close()
	listener, err := receive(pair[0])
	if err != nil {
		return errors.Join(err, cmd.Wait())
	}
	defer listener.Close()
	// Before Linux 6.11 Serve ends only when somebody has waited for the program.
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err = listener.Serve(context.Background(), func(_ context.Context, r *sysgate.Request) { answer(root, r) })
	return errors.Join(err, <-ended)
}

// receive takes the listener that become sends.
func receive(socket int) (*sysgate.Listener, error) {
	data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, length, _, _, err := unix.Recvmsg(socket, data, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return nil, errors.Join(errors.New("the program did not start"), err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:length])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d messages instead of a listener: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	return sysgate.NewListener(fds[0])
}

// answer opens a file for the program, or refuses to. The answers fail when the
// program is gone, which is nothing to report.
func answer(root *os.Root, r *sysgate.Request) {
	// openat(dirfd, path, flags, mode)
	path, err := r.ReadString(r.Arg(1), 4096)
	if err != nil {
		_ = r.Fail(unix.EFAULT)
		return
	}
	file, err := open(root, path, int(r.Arg(2)))
	if err != nil {
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			errno = unix.EACCES // it is not in the directory
		}
		if errno != unix.ENOENT {
			log.Printf("%s: %v", path, errno)
		}
		_ = r.Fail(errno)
		return
	}
	defer file.Close()
	_, _ = r.ReturnFD(sysgate.Descriptor{FD: int(file.Fd()), OnExec: r.Arg(2)&unix.O_CLOEXEC == 0})
}

func open(root *os.Root, path string, flags int) (*os.File, error) {
	if flags&unix.O_ACCMODE != unix.O_RDONLY || flags&(unix.O_CREAT|unix.O_TRUNC|unix.O_PATH) != 0 {
		return nil, unix.EROFS
	}
	if name, ok := strings.CutPrefix(path, "/virtual/"); ok {
		return root.Open(name)
	}
	path = filepath.Clean(path) // what is opened is what is looked at
	for _, libraries := range []string{"/lib", "/usr/lib", "/etc/ld.so.", "/usr/share/locale/"} {
		if strings.HasPrefix(path, libraries) {
			return os.Open(path)
		}
	}
	return nil, unix.EACCES
}
