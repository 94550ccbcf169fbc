// Elsewhere asks for filters on a system that is not Linux, for a test of the root
// package: what needs the kernel has to say that it is not supported, what needs
// none has to work.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("fail:", err)
		os.Exit(1)
	}
	fmt.Println("ok:", runtime.GOOS)
}

func run() error {
	p, err := policy.Parse("test.yaml", []byte("{version: 1, abis: [amd64], default_action: errno, syscalls: [{action: allow, names: [read]}]}"))
	if err != nil {
		return err
	}
	f, err := sysgate.Compile(p, sysgate.CompileOptions{})
	if err != nil {
		return err
	}
	if got := f.Program.Run(abi.Call{Arch: abi.AMD64.AuditArch()}, false).Return; got != abi.Allow {
		return fmt.Errorf("read: %v", got)
	}
	for _, o := range []sysgate.Options{{}, {BestEffort: true}, {Unverified: true}, {ThisThread: true, KeepPrivileges: true}} {
		in, err := sysgate.Install(p, o)
		if !errors.Is(err, errors.ErrUnsupported) || in != nil || !strings.Contains(err.Error(), runtime.GOOS) {
			return fmt.Errorf("result of Install with %+v: %+v, %w", o, in, err)
		}
		if in, err = f.Install(o); !errors.Is(err, errors.ErrUnsupported) || in != nil {
			return fmt.Errorf("result of Filter.Install with %+v: %+v, %w", o, in, err)
		}
	}
	if set, err := sysgate.Features(); !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("result of Features: %+v, %w", set, err)
	}
	if _, _, _, err := sysgate.Degrade(p, sysgate.Options{}, sysgate.FeatureSet{}); !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("result of Degrade: %w", err)
	}
	return nil
}
