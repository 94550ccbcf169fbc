package proc

import (
	"fmt"
	"os"
)

// initialPIDs is the initial PID namespace: its inode is PROC_PID_INIT_INO of
// include/linux/proc_ns.h.
const initialPIDs = "pid:[4026531836]"

// Initial reports whether this process is in the initial PID namespace: the numbers that
// the kernel has for processes in records and in its programs are those of this one.
// root is "/proc".
func Initial(root string) (bool, error) {
	name, err := os.Readlink(root + "/self/ns/pid")
	if err != nil {
		return false, fmt.Errorf("PID namespace: %w", err)
	}
	return name == initialPIDs, nil
}
