// App does what services do, under the policy that its package chose: the
// built-in default policies are made from its profile, and tested by running it.
//
//	app [-unfiltered]
//
// Every exercise is named on standard output as it ends; the last line is "ok".
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/sysgate/sysgate/seccomp/registry"
)

// exercises are what the program does. Each fails if the policy is too tight.
var exercises = []struct {
	name string
	run  func(dir string) error
}{
	{"files", files},
	{"directories", directories},
	{"copies", copies},
	{"pipes", pipes},
	{"users", users},
	{"host", host},
	{"tcp", tcp},
	{"udp", udp},
	{"unix", unixSocket},
	{"names", names},
	{"http", plainHTTP},
	{"tls", secureHTTP},
	{"signals", signals},
	{"timers", timers},
	{"threads", threads},
	{"memory", memory},
	{"profile", cpuProfile},
	{"watch", watch},
	{"exec", noExec},
}

func main() {
	unfiltered := flag.Bool("unfiltered", false, "load no filter, for a run that is watched")
	flag.Parse()
	if err := run(*unfiltered); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func run(unfiltered bool) error {
	dir, err := os.MkdirTemp("", "app-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	denied = !unfiltered
	if !unfiltered {
		logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		result, err := registry.LoadFilter(nil, registry.Options{Logger: logger})
		if err != nil {
			return err
		}
		if result.Outcome != registry.Installed {
			return fmt.Errorf("filter: %v: %w", result.Outcome, result.Err)
		}
		fmt.Println(result.Source)
	}
	for _, e := range exercises {
		if err := e.run(dir); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		fmt.Println(e.name)
	}
	return nil
}
