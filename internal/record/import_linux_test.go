package record

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// TestImportOfRealTools has the tools record the counter, and compares with what the
// program does.
func TestImportOfRealTools(t *testing.T) {
	program := counterProgram(t)
	const times, processes, threads = 5, 2, 2
	const n = times * processes * threads
	for _, tt := range []struct {
		name   string
		args   []string
		tool   string
		abis   bool // are told apart
		values bool // are there
	}{
		{"text", []string{"strace", "-f", "-o", "OUT"}, "strace", false, true},
		{"everything", []string{"strace", "-f", "-tt", "-T", "-y", "-X", "verbose", "-n", "-i", "-o", "OUT"}, "strace", true, true},
		{"raw", []string{"strace", "-f", "-ttt", "-X", "raw", "-yy", "-Y", "-o", "OUT"}, "strace", false, true},
		{"files", []string{"strace", "-ff", "-r", "-o", "OUT"}, "strace", false, true},
		{"table", []string{"strace", "-f", "-c", "-o", "OUT"}, "strace -c", true, false},
		{"columns", []string{"strace", "-f", "-c", "-U", "calls,errors,name", "-o", "OUT"}, "strace -c", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.args[0]); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			args := append(tt.args[:len(tt.args)-1:len(tt.args)-1], filepath.Join(dir, "out"), program, fmt.Sprint(times), fmt.Sprint(processes), fmt.Sprint(threads))
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			if out, err := cmd.CombinedOutput(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
			names, err := filepath.Glob(filepath.Join(dir, "out*"))
			if err != nil {
				t.Fatal(err)
			}
			var files []File
			for _, name := range names {
				data, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, File{name, data})
			}
			runs, err := Import(files, abi.AMD64)
			if err != nil {
				t.Fatal(err)
			}
			if len(runs) != 1 || runs[0].Recorder != tt.tool {
				t.Fatalf("%d runs, the first by %s", len(runs), runs[0].Recorder)
			}
			run := runs[0]
			if c := madeName(t, run, abi.AMD64, "getppid"); c.Count != n {
				t.Errorf("getppid: %+v, want %d", c, n)
			}
			socket := madeName(t, run, abi.AMD64, "socket")
			if socket.Count != 2*n || socket.Open == tt.values || tt.values && len(socket.Values) != 2 {
				t.Errorf("socket: %+v", socket)
			}
			on := abi.AMD64
			if tt.abis {
				on = abi.I386
			}
			if c := made(run, abi.AMD64, 5000); c.Count != n && tt.values { // tables leave it out
				t.Errorf("number 5000: %+v", c)
			}
			if c := madeName(t, run, on, "mkdir"); c.Count != n {
				t.Errorf("mkdir on %v: %+v", on, c)
			}
		})
	}
}
