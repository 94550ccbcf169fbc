package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/build"
)

// optimizeFlags are what a filter is optimized for.
type optimizeFlags struct{ mode, frequency string }

func (f *optimizeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.mode, "optimize", build.Cached.String(),
		"`FOR`: cached (Linux 5.11 and later, where the kernel answers what is always allowed by itself), uncached (older kernels) or size")
	cmd.Flags().StringVar(&f.frequency, "frequency", "", "`FILE` of how often calls are made: a name, a tab and a number a line")
}

// options reads the table of frequencies, if there is one.
func (f *optimizeFlags) options() (build.Options, error) {
	var o build.Options
	mode, ok := build.ParseMode(f.mode)
	if !ok {
		return o, usageError(fmt.Errorf("unknown optimization %q: cached, uncached, size", f.mode))
	}
	o.Mode = mode
	if f.frequency == "" {
		return o, nil
	}
	data, err := os.ReadFile(f.frequency)
	if err != nil {
		return o, err
	}
	o.Frequency, err = build.ParseFrequency(f.frequency, data)
	return o, err
}
