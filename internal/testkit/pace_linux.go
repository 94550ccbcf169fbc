package testkit

import (
	"sync"
	"time"
)

// pace is to be called for each filter that the kernel is given, so that it gets
// no more of them than it can free, 50 in 50 ms.
//
// Linux frees the machine code of a filter in a work item of the queue "events",
// of which 1,024 are worked on at a time on a CPU. Each takes the lock of the
// allocator of BPF programs. Its holder may, when it gives memory back (vfree),
// wait for an item of the same queue that flushes mappings. If 1,024 frees are
// queued before that item, all of them wait for the lock and the item waits for
// them: no BPF program can be loaded or freed until the next boot, and whoever
// tries sleeps for ever (seen on 6.18 after thousands of filters in a burst). A
// filter a millisecond leaves the queue empty; all tests together load some
// thousands.
func pace() {
	paceLock.Lock()
	defer paceLock.Unlock()
	time.Sleep(time.Millisecond)
}

// paceLock makes one pace of those of all oracles and judges of a process.
var paceLock sync.Mutex
