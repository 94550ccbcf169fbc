package main

func allPushed()
func constantAddress()
func tableWritten(i int)
func tableRead(i int)
func passedAddress()
func stored()
func storer()
func bitSet(i int)
func far()
func sockets(which int)
func vsyscall()
func farSkipped()

func own() {
	allPushed()
	constantAddress()
	tableWritten(0)
	tableRead(0)
	passedAddress()
	stored()
	storer()
	bitSet(0)
	far()
	sockets(1)
	vsyscall()
	farSkipped()
}
