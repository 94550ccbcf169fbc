package observe

// signals are Linux's, by their numbers on every architecture but MIPS, SPARC, Alpha and
// PA-RISC (signal(7)): logs are read on other systems too.
var signals = [...]string{
	1: "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
	"CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// SignalNumber returns the number of a signal by its name, as in SIGSYS; 0 where there is
// none.
func SignalNumber(name string) int {
	for n, short := range signals {
		if n > 0 && name == "SIG"+short {
			return n
		}
	}
	switch name {
	case "SIGIOT":
		return 6
	case "SIGPOLL":
		return 29
	}
	return 0
}
