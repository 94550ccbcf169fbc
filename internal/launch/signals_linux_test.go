package launch

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// programCount says "ready" and its process, then each signal that it gets,
// until SIGTERM, which it answers with a summary that ends the output.
func programCount() int {
	incoming := make(chan os.Signal, 16)
	signal.Notify(incoming, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM,
		syscall.SIGWINCH, syscall.SIGQUIT, syscall.SIGCONT, syscall.Signal(40))
	fmt.Println("ready", os.Getpid())
	for sig := range incoming {
		fmt.Println(int(sig.(syscall.Signal)))
		if sig == syscall.SIGTERM {
			return 9
		}
	}
	return 1
}

// start starts cmd, which runs programCount, and returns its output and the
// program's process.
func start(t *testing.T, cmd *exec.Cmd, out io.Reader) (*bufio.Scanner, int) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("no output: %v", lines.Err())
	}
	pid, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "ready ")
	if !ok {
		t.Fatalf("output %q, want ready", lines.Text())
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	return lines, n
}

func expect(t *testing.T, lines *bufio.Scanner, sig syscall.Signal) {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("output ended: %v; want signal %d", lines.Err(), sig)
	}
	if got := strings.TrimSpace(lines.Text()); got != strconv.Itoa(int(sig)) {
		t.Fatalf("program got %q, want signal %d", got, sig)
	}
}

func TestSignalsAreForwarded(t *testing.T) {
	t.Setenv(programVar, "count")
	cmd := launcher(t, launcherSpec{Args: []string{self(t)}, Filter: allowAll})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := start(t, cmd, out)
	for _, sig := range []syscall.Signal{
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGWINCH, syscall.SIGCONT, syscall.Signal(40), syscall.SIGTERM,
	} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		expect(t, lines, sig)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d, want 9", code)
	}
}

// What the terminal sends to the whole group reaches the program once.
func TestTerminalSignalsAreNotDoubled(t *testing.T) {
	master, slave := openTerminal(t)
	t.Setenv(programVar, "count")
	cmd := launcher(t, launcherSpec{Args: []string{self(t)}, Filter: allowAll})
	cmd.Stdin, cmd.Stderr = slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := start(t, cmd, out)
	const interrupt, quit = "\x03", "\x1c"
	for _, step := range []struct {
		key string
		sig syscall.Signal
	}{{interrupt, syscall.SIGINT}, {quit, syscall.SIGQUIT}} {
		if _, err := master.WriteString(step.key); err != nil {
			t.Fatal(err)
		}
		expect(t, lines, step.sig)
		// Were the key's signal forwarded too, it would come before this one.
		if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		expect(t, lines, syscall.SIGUSR1)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, syscall.SIGTERM)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d, want 9", code)
	}
}

// A launcher that is killed takes the program with it.
func TestDeathOfLauncher(t *testing.T) {
	t.Setenv(programVar, "count")
	cmd := launcher(t, launcherSpec{Args: []string{self(t)}, Filter: allowAll})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := start(t, cmd, out)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() { // only the program's death closes the pipe
		t.Errorf("output %q after the death of the launcher", lines.Text())
	}
	cmd.Wait()
}

func TestProcessGroup(t *testing.T) {
	cmd := launcher(t, launcherSpec{Args: []string{"cat", "/proc/self/stat"}, Filter: allowAll})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, _ := run(t, cmd)
	// pid (comm) state ppid pgrp session
	fields := strings.Fields(out[strings.LastIndexByte(out, ')')+1:])
	want := strconv.Itoa(cmd.Process.Pid)
	if fields[1] != want || fields[2] != want || fields[3] != want {
		t.Errorf("parent, group, session: %v; want %s", fields[1:4], want)
	}
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// filterFlags returns the flags of the newest filter of a process
// (ptrace(2), PTRACE_SECCOMP_GET_METADATA).
func filterFlags(pid int) (uint64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(pid); err != nil {
		return 0, err
	}
	if err := unix.PtraceInterrupt(pid); err != nil {
		return 0, err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		return 0, err
	}
	const getMetadata = 0x420d
	metadata := struct{ offset, flags uint64 }{}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getMetadata, uintptr(pid), unsafe.Sizeof(metadata), uintptr(unsafe.Pointer(&metadata)), 0, 0)
	if err := unix.PtraceDetach(pid); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	return metadata.flags, nil
}
