//go:build unix

package monitor

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// machine returns what uname(2) says of the machine and of the kernel's release.
func machine() (name, kernel string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", ""
	}
	return cString(u.Machine[:]), cString(u.Release[:])
}

func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
