//go:build !unix

package monitor

// machine returns nothing: there is no uname(2).
func machine() (name, kernel string) { return "", "" }
