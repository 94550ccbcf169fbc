// Package monitor turns the kernel's records into what operators read: it filters
// them, finds out about their processes, counts floods together, and writes each as
// a line or as an event of the Elastic Common Schema.
//
//	err := monitor.Run(ctx, source, monitor.Options{Sink: monitor.NewText(os.Stdout)})
//
// [Run] is the loop; a [Sink] writes: [NewText], [NewECS]. Nothing is dropped in
// silence: what is counted together says how many it was, records that were lost or
// could not be read are events of their own.
//
// # Limits
//
// A process is looked at when its record arrives. One that has been killed is often
// gone by then: what a cache of started processes does not know of it (a process that was
// over at once, a busy machine) is left out.
package monitor
