package testkit

import "time"

// A pacer keeps tests from giving the kernel filters faster than it can free
// them. Linux frees the machine code of a filter in a work item of a queue that
// holds 1,024 items of a CPU, under one lock; the holder can wait, in vfree, for
// an item at the end of the same queue. A thousand filters dropped at once can
// therefore block the loading of filters until the next boot (seen on 6.18).
type pacer struct{ programs int }

// next is to be called for each program that the kernel takes.
func (p *pacer) next() {
	const burst, rest = 64, 5 * time.Millisecond
	if p.programs++; p.programs%burst == 0 {
		time.Sleep(rest)
	}
}
