package main

func bitSet(i int)
func far()
func farSkipped()

func own() {
	bitSet(0)
	far()
	farSkipped()
}
