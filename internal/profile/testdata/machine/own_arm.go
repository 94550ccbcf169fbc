package main

func literal()
func perhaps(i int)
func block()
func oldABI()

func own() {
	literal()
	perhaps(0)
	block()
	oldABI()
}
