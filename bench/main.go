// Command bench measures sysgate beside its peers, on the same input, in one
// run, and prints the figures as tables: compilers of filters on the benchmark
// policies, and profilers of programs. Its dependencies stay out of sysgate's
// module.
//
//	go run .                  compilers; profiles of kubectl, which it builds first
//	go run . -only filters    compilers
//	go run . -only profiles   profiles of kubectl
//	go run . BINARY...        profiles of these
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	if os.Getenv(childEnv) != "" {
		child()
	}
	rounds := flag.Int("n", 5, "`rounds`; the least time of a command counts")
	loads := flag.Int("loads", 3, "how often each filter is loaded; 0: never")
	only := flag.String("only", "", "`filters` or profiles")
	flag.Parse()
	dir, err := os.MkdirTemp("", "sysgate-bench")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if *only != "profiles" && flag.NArg() == 0 {
		if err := filters(os.Stdout, dir, *loads); err != nil {
			log.Fatal(err)
		}
	}
	if *only == "filters" {
		return
	}
	profiles(dir, *rounds)
}

// profiles prints the table of profilers.
func profiles(dir string, rounds int) {
	sysgate := goBuild(dir, "..", "sysgate", "./cmd/sysgate")
	peer := goBuild(dir, ".", "seccomp-profiler", "github.com/elastic/go-seccomp-bpf/cmd/seccomp-profiler")
	binaries := flag.Args()
	if len(binaries) == 0 {
		binaries = []string{goBuild(dir, "../testdata/programs/kubectl", "kubectl", ".")}
	}

	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "binary\tMB\tprofiler\tnames\twall s\tCPU s\tpeak MB")
	for _, b := range binaries {
		info, err := os.Stat(b)
		if err != nil {
			log.Fatal(err)
		}
		for _, p := range []struct {
			name string
			args []string
		}{
			{"sysgate", []string{sysgate, "profile", "--format", "names"}},
			{"seccomp-profiler v1.6.0", []string{peer, "-format", "config", "-out", "-"}},
		} {
			best := sample{wall: time.Hour}
			for round := range rounds {
				if s := measure(append(p.args, alias(dir, b, round))); s.wall < best.wall {
					best = s
				}
			}
			fmt.Fprintf(w, "%s\t%.1f\t%s\t%s\t%.2f\t%.2f\t%.0f\n", filepath.Base(b), float64(info.Size())/1e6, p.name, best.names, best.wall.Seconds(), best.cpu.Seconds(), float64(best.peak)/1e6)
		}
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
}

// alias returns another path of a binary, new in every round: seccomp-profiler
// keeps what it disassembled under the path of the binary.
func alias(dir, binary string, round int) string {
	abs, err := filepath.Abs(binary)
	if err != nil {
		log.Fatal(err)
	}
	link := filepath.Join(dir, fmt.Sprintf("%s-%d-%d", filepath.Base(binary), round, time.Now().UnixNano()))
	if err := os.Symlink(abs, link); err != nil {
		log.Fatal(err)
	}
	return link
}

// A sample is one run of a profiler.
type sample struct {
	names     string // how many it found, or why it did not
	wall, cpu time.Duration
	peak      int64 // bytes, children included where they are larger
}

func measure(args []string) sample {
	cmd := exec.Command(args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Stdout = &out
	start := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(start), names: fmt.Sprint(count(out.String()))}
	if err != nil {
		s.names = err.Error()
	}
	if cmd.ProcessState != nil {
		s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		s.peak = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * 1024
	}
	return s
}

// count returns the number of names in a list, one a line, or in a YAML
// configuration's names.
func count(out string) int {
	var names []string
	for line := range strings.Lines(out) {
		name := strings.TrimPrefix(strings.TrimSpace(line), "- ")
		if name != "" && !strings.ContainsAny(name, ": #") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return len(slices.Compact(names))
}

func goBuild(out, dir, name, pkg string) string {
	path := filepath.Join(out, name)
	cmd := exec.Command("go", "build", "-o", path, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		log.Fatalf("go build %s: %v\n%s", pkg, err, output)
	}
	return path
}
