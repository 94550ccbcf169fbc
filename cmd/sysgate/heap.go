package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// firstCollection is the growth of the heap, in percent of the 4 MB that Go starts
// with, before garbage is collected for the first time.
const firstCollection = 400

// collectLater lets commands that are done soon run without the collector, which
// otherwise works from 4 MB on: most end before they have allocated 16. Behind the first
// collection all is as usual. Where GOGC says something, that holds.
func collectLater() {
	if os.Getenv("GOGC") != "" {
		return
	}
	usual := debug.SetGCPercent(firstCollection)
	sentinel := new([16]byte) // not so small that it shares its memory
	runtime.AddCleanup(sentinel, func(percent int) { debug.SetGCPercent(percent) }, usual)
}
