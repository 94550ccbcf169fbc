package policy

import (
	"slices"
	"strings"
)

// capabilities are those of include/uapi/linux/capability.h, in the order of
// their numbers, without CAP_.
const capabilities = `
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`

// capability returns the full name of a capability (CAP_SYS_ADMIN), which may
// stand without CAP_ and in either case of letters; "" and a hint if there is
// none.
func capability(s string) (name, hint string) {
	short := strings.TrimPrefix(strings.ToUpper(s), "CAP_")
	known := strings.Fields(capabilities)
	if slices.Contains(known, short) {
		return "CAP_" + short, ""
	}
	if near := nearest(short, known); near != "" {
		return "", "did you mean \"CAP_" + near + "\"?"
	}
	return "", ""
}

// Capabilities returns the full names of the capabilities that [When] can hold,
// each at the index of its number (include/uapi/linux/capability.h).
func Capabilities() []string {
	names := strings.Fields(capabilities)
	for i, name := range names {
		names[i] = "CAP_" + name
	}
	return names
}
