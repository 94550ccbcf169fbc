package main

func bitSet(i int)

func own() { bitSet(0) }
