package cli

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// denials reads the records that the kernel logs about seccomp while a program
// runs. Only who may read the kernel's log gets any, and only where no audit
// daemon takes them away: an explanation, never a decision.
type denials struct{ log int }

// watchDenials starts at the end of the kernel's log.
func watchDenials() denials {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return denials{-1}
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		unix.Close(fd)
		return denials{-1}
	}
	return denials{fd}
}

func (d denials) close() {
	if d.log >= 0 {
		unix.Close(d.log)
	}
}

// record matches the fields of a type=1326 record that name the call.
var record = regexp.MustCompile(`type=1326 .*\bpid=(\d+) .*\bsig=31 arch=([0-9a-f]+) syscall=(\d+) `)

// of returns the calls that process pid died of, "bind" or "386:socketcall", and
// ends the reading.
func (d denials) of(pid int) []string {
	defer d.close()
	var calls []string
	buf := make([]byte, 8192) // larger than a record (/dev/kmsg cuts at 8 KiB)
	for d.log >= 0 {
		n, err := unix.Read(d.log, buf)
		if err == unix.EPIPE || err == unix.EINTR {
			continue // records were overwritten before they were read
		}
		if err != nil || n <= 0 {
			break
		}
		if m := record.FindSubmatch(buf[:n]); m != nil && string(m[1]) == strconv.Itoa(pid) {
			calls = append(calls, callName(string(m[2]), string(m[3])))
		}
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

// callName returns the name of a call as a record has it: the architecture in
// hexadecimal, the number in decimal.
func callName(arch, number string) string {
	a, archErr := strconv.ParseUint(arch, 16, 32)
	nr, nrErr := strconv.ParseUint(number, 10, 32)
	call := abi.Call{NR: uint32(nr), Arch: uint32(a)}
	if archErr == nil && nrErr == nil {
		for _, candidate := range abi.All() {
			if candidate.AuditArch() != call.Arch || (candidate == abi.X32) != call.IsX32() {
				continue
			}
			name := candidate.SyscallName(call.NR)
			switch {
			case name == "":
			case candidate == abi.Native():
				return name
			default:
				return candidate.String() + ":" + name
			}
		}
	}
	return "arch " + arch + " number " + number
}

// explainSIGSYS says why the program is dead.
func (e *env) explainSIGSYS(calls []string) {
	what := "a system call that the policy does not allow"
	if len(calls) > 0 {
		what = strings.Join(calls, ", ") + ", which the policy does not allow"
	}
	e.warningf("killed by SIGSYS: the program called %s", what)
	if len(calls) == 0 {
		e.hintf("the kernel logged which: dmesg | grep type=1326, or ausearch -m SECCOMP")
	}
	e.hintf("sysgate run --mode log … only logs what the policy would deny")
}
