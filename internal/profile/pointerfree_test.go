package profile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const pointerFreeText = `package main

import "syscall"

var numbers = [4]uint32{0xA5C3F00D, 1, 2, 3}

//go:noinline
func call(n uintptr) { syscall.RawSyscall(n, 0, 0, 0) }

func held() uint32

func main() {
	call(syscall.SYS_SETSID)
	println(&numbers[held()&3])
}
`

// TestPointerFree checks that what looks like the address of a function of arm is none
// among Go's numbers, but is one where assembly put it.
func TestPointerFree(t *testing.T) {
	const head = "#include \"textflag.h\"\nGLOBL ·table(SB), NOPTR, $8\nTEXT ·held(SB), NOSPLIT, $0-4\n\tMOVW ·table+4(SB), R0\n\tMOVW R0, ret+0(FP)\n\tRET\n"
	for name, data := range map[string]string{
		"numbers":  "DATA ·table+4(SB)/4, $7\n",
		"assembly": "DATA ·table+4(SB)/4, $·call(SB)\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "main.go": pointerFreeText, "held_arm.s": head + data} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			bin := filepath.Join(dir, "m")
			cmd := exec.Command("go", "build", "-o", bin, ".")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm", "GOFLAGS=")
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, msg)
			}
			putEntry(t, bin, "main.call", 0xA5C3F00D)
			if r := mustProfile(t, bin); r.Set.Sound != (name == "numbers") || !names(r)["setsid"] {
				t.Errorf("sound: %v, %v, %v", r.Set.Sound, names(r), r.Undetermined)
			}
		})
	}
}

// putEntry writes the address of a function over the one word with the given value.
func putEntry(t *testing.T, bin, fn string, old uint32) {
	t.Helper()
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	word := binary.LittleEndian.AppendUint32(nil, old)
	if n := bytes.Count(data, word); n != 1 {
		t.Fatalf("the number is there %d times", n)
	}
	for _, s := range symbols {
		if s.Name == fn {
			binary.LittleEndian.PutUint32(data[bytes.Index(data, word):], uint32(s.Value))
			if err := os.WriteFile(bin, data, 0o700); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no symbol %s", fn)
}
