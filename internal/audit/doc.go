// Package audit reads what the kernel records about seccomp: audit records of type
// 1326, from the kernel itself or from the logs that programs make of them.
//
//	l, err := audit.Listen()          // the kernel's stream: CAP_AUDIT_READ
//	r := audit.NewReader(file, audit.Options{})
//	e, err := r.Next()                // a violation, or what could not be read
//
// [Reader] tells the form of each line by itself: netlink payloads, audit.log raw
// and enriched, ausearch's output raw and interpreted, the kernel's log as dmesg,
// /dev/kmsg and syslog show it, the journal's export and JSON forms, and the
// events of sysgate monitor and Auditbeat. [Joiner] adds the record of a process's
// end to its violation. [Listener] hears the kernel; [SelfTest] makes a record that
// it must hear.
//
// # Limits
//
// A record has no arguments. It says the action without its data (which errno).
// Interpreted output of ausearch has lost the difference between kill_process and
// kill_thread; the violation then says so in Doubts. Enriched names of calls are not
// used: auditd writes SYSCALL=unknown-syscall(-1) there.
package audit
