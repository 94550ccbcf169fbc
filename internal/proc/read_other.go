//go:build !linux

package proc

import "os"

// readFile returns what a file holds. There is no /proc.
func readFile(name string) ([]byte, error) { return os.ReadFile(name) }
