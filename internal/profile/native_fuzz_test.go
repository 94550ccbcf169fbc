package profile

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/image"
)

// FuzzNative damages C programs, static and position-independent: there is an
// answer soon, and one without calls is an error.
func FuzzNative(f *testing.F) {
	if _, err := exec.LookPath("gcc"); err != nil {
		f.Skip("gcc is not installed: there are no C programs to damage")
	}
	var victims [][]byte
	for _, build := range [][]string{
		{"gcc", "-O2", "-static"},
		{"gcc", "-O1", "-static-pie"},
		{"gcc", "-O2", "-static", "-s"},
		{"i686-linux-gnu-gcc", "-O2", "-static"},
		{"riscv64-linux-gnu-gcc", "-O2", "-static"},
	} {
		if _, err := exec.LookPath(build[0]); err != nil {
			f.Logf("%s is not installed: none of its programs is damaged", build[0])
			continue
		}
		text := nativeHead + `static long f(void) { return raw(SYS_setuid); } struct op { long (*f)(void); } table[] = {{f}};
int main(int c, char **v) { switch (c) { case 0: return 1; case 1: puts("a"); break; case 2: abort(); case 3: puts("b"); break; case 4: getpid(); break; case 5: return 7; } return table[c].f() + syscall(SYS_getpgid); }`
		data, err := os.ReadFile(buildC(f, build[0], text, build[1:]...))
		if err != nil {
			f.Fatal(err)
		}
		victims = append(victims, data)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		patch := make([]byte, 1+rnd.IntN(8))
		for k := range patch {
			patch[k] = byte(rnd.Uint32())
		}
		off := rnd.Uint32()
		if i%2 == 0 {
			off %= 0x1000 // headers
		}
		f.Add(uint8(i), off, patch)
	}
	f.Fuzz(func(t *testing.T, which uint8, off uint32, patch []byte) {
		damaged := append([]byte(nil), victims[int(which)%len(victims)]...)
		copy(damaged[int(off)%len(damaged):], patch)
		p, err := image.LoadBytes("damaged", damaged, image.LoadOptions{})
		if err == nil {
			var res *Result
			res, _, err = analyse(p, Options{}, newSummaries(nil), time.Now())
			if err == nil && len(res.Set.Calls) == 0 {
				t.Fatal("no calls, and no error")
			}
		}
		if refused := new(image.RefusedError); err != nil && !errors.As(err, &refused) && !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("an error that is no refusal: %v", err)
		}
	})
}
