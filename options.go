package sysgate

// Options say how a filter is installed. The zero value is the safe default:
// no_new_privs, every thread, everything that is asked for or an error.
type Options struct {
	Compile CompileOptions // for Install; a Filter has been compiled already

	KeepPrivileges bool // do not set no_new_privs; needs CAP_SYS_ADMIN
	ThisThread     bool // the calling thread only, which the goroutine then stays locked to
	Log            bool // have the kernel log what the filter denies (Linux 4.14)
	SpecAllow      bool // do not switch speculation mitigations on (Linux 4.17)
	Listener       bool // receive the calls for which the policy says user_notify (Linux 5.0; 5.7 for every thread)
	WaitKillable   bool // with Listener: once received, only a fatal signal interrupts a call (Linux 5.19)

	BestEffort bool // do without what the kernel lacks, as far as Degrade can; see Installed.Losses
	Unverified bool // do not fail if the filter cannot be seen in place
}
