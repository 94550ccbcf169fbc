package audit

import "time"

const (
	gapPatience = 2 * time.Second // how long a missing number may still come: processors overtake each other
	gapLimit    = 1 << 16         // missing numbers that are kept; more are lost at once
)

// gaps finds the serial numbers that never came. The kernel numbers events one by
// one, and the records of one event share its number.
type gaps struct {
	next    uint64 // the smallest number that was not expected yet; 0: none came
	missing map[uint64]time.Time
	lost    uint64 // found, and not told yet
}

// saw notes that a record with a number came.
func (g *gaps) saw(serial uint64, now time.Time) {
	switch {
	case serial == 0:
	case g.next == 0:
		g.next, g.missing = serial+1, map[uint64]time.Time{}
	case serial < g.next:
		delete(g.missing, serial)
	case serial-g.next > gapLimit:
		g.lost += serial - g.next
		g.next = serial + 1
	default:
		for ; g.next < serial; g.next++ {
			if len(g.missing) >= gapLimit {
				g.lost++
				continue
			}
			g.missing[g.next] = now
		}
		g.next = serial + 1
	}
}

// take returns how many numbers have been missing for too long since it was last
// asked.
func (g *gaps) take(now time.Time) uint64 {
	for serial, since := range g.missing {
		if now.Sub(since) >= gapPatience {
			delete(g.missing, serial)
			g.lost++
		}
	}
	n := g.lost
	g.lost = 0
	return n
}
