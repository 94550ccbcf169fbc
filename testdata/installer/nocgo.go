//go:build !cgo

package main

const usesCgo = false
