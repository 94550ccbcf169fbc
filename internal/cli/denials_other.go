//go:build !linux

package cli

// denials are of programs under a filter, of which there are none.
type denials struct{}

func watchDenials() denials { return denials{} }

func (denials) close() {}

func (denials) of(int) []string { return nil }
