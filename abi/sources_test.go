package abi

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var sysPattern = regexp.MustCompile(`(?m)^\tSYS_(\w+)\s*=\s*(\d+)$`)

// placeholder is a name of the headers that is no call.
var placeholder = regexp.MustCompile(`^(syscall_mask|arch_specific_syscall|unused\d+|reserved\d+)$`)

// TestAgainstXSys compares the numbers with those of golang.org/x/sys/unix.
func TestAgainstXSys(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range All() {
		if a == X32 {
			continue // no port
		}
		path := filepath.Join(strings.TrimSpace(string(out)), "unix", "zsysnum_linux_"+a.String()+".go")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		theirs := map[string]uint32{}
		for _, m := range sysPattern.FindAllStringSubmatch(string(data), -1) {
			name := strings.ToLower(m[1])
			if placeholder.MatchString(name) {
				continue
			}
			nr, err := strconv.ParseUint(m[2], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			theirs[name] = uint32(nr)
		}
		if len(theirs) < 300 {
			t.Fatalf("%s: %d numbers", path, len(theirs))
		}
		compareNumbers(t, a, theirs)
		for nr, name := range a.Syscalls() {
			if _, ok := theirs[name]; !ok && nr < 0xf0000 {
				t.Errorf("%s: golang.org/x/sys lacks %s (%d)", a, name, nr)
			}
		}
	}
}

func compareNumbers(t *testing.T, a ABI, theirs map[string]uint32) {
	t.Helper()
	for name, want := range theirs {
		if nr, ok := a.Lookup(name); !ok || nr != want {
			t.Errorf("%s: %s is %d, %t, elsewhere %d", a, name, nr, ok, want)
		}
		if got := a.SyscallName(want); got != name {
			t.Errorf("%s: %d is %q, elsewhere %q", a, want, got, name)
		}
	}
}

// headerDir returns Debian's directory of the kernel's headers for amd64.
func headerDir(t *testing.T) string {
	dir := "/usr/include/x86_64-linux-gnu/asm"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the kernel's headers (linux-libc-dev) are not installed")
	}
	return dir
}

var nrPattern = regexp.MustCompile(`(?m)^#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ (\d+)\)|(\d+))$`)

// TestAgainstHeaders compares the numbers of 386, amd64 and x32 with Debian's
// headers, which are of an older release.
func TestAgainstHeaders(t *testing.T) {
	dir := headerDir(t)
	for a, file := range map[ABI]string{I386: "unistd_32.h", AMD64: "unistd_64.h", X32: "unistd_x32.h"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		theirs := map[string]uint32{}
		for _, m := range nrPattern.FindAllStringSubmatch(string(data), -1) {
			nr, err := strconv.ParseUint(m[2]+m[3], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			if m[2] != "" {
				nr |= X32Bit
			}
			theirs[m[1]] = uint32(nr)
		}
		if len(theirs) < 300 {
			t.Fatalf("%s: %d numbers", file, len(theirs))
		}
		compareNumbers(t, a, theirs)
	}
}

// constantHeaders are headers that the kernel's definitions of constants and
// errno values stand in, and that go together in one file.
var constantHeaders = strings.Fields(`
	linux/errno linux/fcntl linux/net linux/sched linux/prctl linux/mman linux/fs linux/stat
	linux/futex linux/keyctl linux/bpf linux/random linux/seccomp linux/personality linux/reboot linux/memfd
	linux/mempolicy linux/membarrier linux/in linux/in6 linux/tcp linux/udp linux/netlink linux/sockios linux/termios
	linux/signal linux/poll linux/eventpoll linux/inotify linux/fanotify linux/resource linux/time linux/wait
	linux/ptrace linux/mount linux/openat2 linux/close_range linux/kcmp linux/kexec linux/perf_event linux/ipc
	linux/sem linux/msg linux/loop linux/rtc linux/if_tun linux/io_uring linux/landlock linux/xattr linux/ioprio
	linux/module linux/capability linux/falloc linux/fadvise linux/nsfs linux/kd linux/vt linux/quota
	linux/userfaultfd linux/if_packet asm/prctl asm/ioctls asm/mman asm/fcntl asm/socket asm/signal`)

// olderThanHeaders are constants that have another value in Debian's headers,
// with the reason.
var olderThanHeaders = map[string]string{
	"MS_NOUSER": "1<<31 is negative in C",
}

// TestConstantsAgainstHeaders lets the C compiler evaluate the constants and
// errno values that Debian's headers have, for amd64 and 386.
func TestConstantsAgainstHeaders(t *testing.T) {
	dir := headerDir(t)
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	for a, flag := range map[ABI]string{AMD64: "-m64", I386: "-m32"} {
		t.Run(a.String(), func(t *testing.T) {
			// Without the C library's headers, which are of one ABI only.
			prologue := "typedef long time_t; typedef __SIZE_TYPE__ size_t;\n"
			for _, h := range constantHeaders {
				prologue += "#include <" + h + ".h>\n"
			}
			ours := map[string]uint64{}
			for _, table := range []*valueTable{&constants, &errnos} {
				for i := range table.names.ends {
					name := table.names.at(i)
					if v, ok := table.value(a, name); ok {
						ours[name] = v
					}
				}
			}
			theirs := compileConstants(t, []string{gcc, flag, "-idirafter", filepath.Dir(dir)}, prologue, ours)
			if len(theirs) < 1300 {
				t.Errorf("only %d of %d constants are in the headers", len(theirs), len(ours))
			}
			for name, want := range theirs {
				if got := ours[name]; got != want && uint64(uint32(want)) != got && olderThanHeaders[name] == "" {
					t.Errorf("%s is %#x, in the headers %#x", name, got, want)
				}
			}
			t.Logf("%d of %d constants compared", len(theirs), len(ours))
		})
	}
}

var wordPattern = regexp.MustCompile(`\w+`)

// compileConstants returns the values that C gives those of the names that it
// knows after the prologue; cc is the compiler and its flags.
func compileConstants(t *testing.T, cc []string, prologue string, names map[string]uint64) map[string]uint64 {
	t.Helper()
	preprocess := exec.Command(cc[0], append(cc[1:], "-E", "-dD", "-x", "c", "-")...)
	preprocess.Stdin = strings.NewReader(prologue)
	text, err := preprocess.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
	}
	defined := map[string]bool{}
	for _, w := range wordPattern.FindAll(text, -1) {
		defined[string(w)] = true
	}
	var list []string
	for name := range names {
		if defined[name] {
			list = append(list, name)
		}
	}
	object := filepath.Join(t.TempDir(), "constants.o")
	// A word that the headers have need not be a constant: drop what C rejects.
	for range 3 {
		source := prologue
		for i, name := range list {
			source += fmt.Sprintf("const unsigned long long value_%d = (unsigned long long)(long long)(%s);\n", i, name)
		}
		compile := exec.Command(cc[0], append(cc[1:], "-w", "-c", "-x", "c", "-o", object, "-")...)
		compile.Stdin = strings.NewReader(source)
		compile.Stderr = new(bytes.Buffer)
		if compile.Run() == nil {
			return readConstants(t, object, list)
		}
		rejected := map[int]bool{}
		for _, m := range errorLine.FindAllStringSubmatch(compile.Stderr.(*bytes.Buffer).String(), -1) {
			n, _ := strconv.Atoi(m[1])
			rejected[n-1-strings.Count(prologue, "\n")] = true
		}
		var rest []string
		for i, name := range list {
			if !rejected[i] {
				rest = append(rest, name)
			}
		}
		if len(rest) == len(list) {
			t.Fatalf("%s", compile.Stderr)
		}
		list = rest
	}
	t.Fatal("the constants do not compile")
	return nil
}

var errorLine = regexp.MustCompile(`<stdin>:(\d+):\d+: (?:error|note)`)

// readConstants reads the variables of compileConstants out of an object file.
func readConstants(t *testing.T, object string, list []string) map[string]uint64 {
	t.Helper()
	f, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]uint64{}
	for _, s := range symbols {
		index, ok := strings.CutPrefix(s.Name, "value_")
		if !ok {
			continue
		}
		i, err := strconv.Atoi(index)
		if err != nil {
			t.Fatal(err)
		}
		data, err := f.Sections[s.Section].Data()
		if err != nil {
			t.Fatal(err)
		}
		values[list[i]] = binary.LittleEndian.Uint64(data[s.Value:])
	}
	return values
}
