// Package figures measures filters on the benchmark policies of
// testdata/policies, in the columns that its README defines: instructions, how
// many of them run, and which calls the kernel answers without running any.
//
//	p, err := figures.Read("testdata/policies", "P1")
//	columns, err := p.Measure(program, frequency)
//
// The counts do not depend on the machine, nor on who compiled the program. It is
// for tests and for bench; it knows no more of the OCI form than the four
// policies use.
package figures
