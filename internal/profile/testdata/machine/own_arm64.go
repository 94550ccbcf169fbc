package main

func paired()
func bothPaired(a, b uintptr)
func largeFrame()
func constantLoaded()
func belowStack(i int)
func stored()
func storer()
func movedWide()
func bitSet(i int)
func framePassed()

func own() {
	paired()
	bothPaired(1, 2)
	largeFrame()
	constantLoaded()
	belowStack(0)
	stored()
	storer()
	movedWide()
	bitSet(0)
	framePassed()
}
