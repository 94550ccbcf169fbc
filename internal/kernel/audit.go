package kernel

// AuditStatus is what the audit system says of itself (struct audit_status in
// include/uapi/linux/audit.h).
type AuditStatus struct {
	Enabled      bool   // records of system calls are made; those of seccomp are in any case
	Daemon       int    // process that gets the records; 0: they go to the kernel's log
	RateLimit    uint32 // records a second; 0: no limit
	BacklogLimit uint32 // records that may wait
	Lost         uint32 // records that were lost since the boot
}
