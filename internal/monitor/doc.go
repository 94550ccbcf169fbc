// Package monitor turns the kernel's records into what operators read: it filters
// them, finds out about their processes, counts floods together, and writes each as
// a line or as an event of the Elastic Common Schema, or sends it to syslog or the
// journal.
//
//	err := monitor.Run(ctx, source, monitor.Options{Sink: monitor.NewText(os.Stdout, abi.Native())})
//
// [Run] is the loop; a [Sink] writes: [NewText], [NewECS], several by [Tee]. What goes
// to another program is a [Sender] ([Syslog], [Journal], and those of the packages
// below this one) behind an [Outlet], which waits for a receiver that is away without
// holding up anybody. Nothing is dropped in silence: what is counted together says how
// many it was, and records that were lost or could not be read, and events that could
// not be delivered, are events of their own.
//
// # Limits
//
// A process is looked at when its record arrives. One that has been killed is often
// gone by then: what a cache of started processes does not know of it (the command line of
// one that was over at once, on a busy machine) is left out.
package monitor
