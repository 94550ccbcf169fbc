package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const armProgram = `
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return *(int *)a - *(int *)b; }
static void *run(void *x) { return x; }
int main(int c, char **v) {
	int x[] = {3, 1, 2};
	qsort(x, 3, sizeof x[0], compare);
	pthread_t t;
	pthread_create(&t, 0, run, 0);
	switch (c) {
	case 1: puts("one"); break;
	case 2: memcpy(v[0], v[1], 5); break;
	case 3: printf("%d %f\n", c, c * 2.5); break;
	case 4: memset(v[0], 0, 4); break;
	case 5: return 7;
	case 6: abort();
	}
	struct addrinfo *r;
	return getaddrinfo("localhost", "80", 0, &r);
}
`

// TestARMStripped compares what is found out about the code of arm with what its
// mapping symbols say, in programs of Thumb and of A32 code.
func TestARMStripped(t *testing.T) {
	const cc = "arm-linux-gnueabihf-gcc"
	if _, err := exec.LookPath(cc); err != nil {
		t.Skip(cc + " is not installed: no C program for arm can be built (Debian: gcc-arm-linux-gnueabihf, libc6-dev-armhf-cross)")
	}
	for name, flags := range map[string][]string{
		"Thumb": {"-O2", "-mthumb"}, "A32": {"-Os", "-marm"}, "for one address": {"-O0", "-fno-pie", "-marm"}, "O3": {"-O3"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source, whole, stripped := filepath.Join(dir, "main.c"), filepath.Join(dir, "whole"), filepath.Join(dir, "stripped")
			if err := os.WriteFile(source, []byte(armProgram), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"-o", whole}, {"-s", "-o", stripped}} {
				cmd := exec.Command(cc, append(append(args, source, "-static", "-pthread", "-w"), flags...)...)
				if msg, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, msg)
				}
			}
			compareKinds(t, loaded(t, whole), loaded(t, stripped))
		})
	}
}

func loaded(t *testing.T, path string) *Program {
	t.Helper()
	p, err := Load(path, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// compareKinds compares the instructions of the functions of a stripped program with
// those that the mapping symbols of the whole one tell.
func compareKinds(t *testing.T, whole, stripped *Program) {
	const (
		none = iota
		a32
		thumb
		data
	)
	m := whole.Modules[0]
	if !m.arm.mapped {
		t.Fatal("no mapping symbols")
	}
	kinds := map[uint64]int{}
	for i := range whole.Funcs {
		for _, in := range whole.Instructions(i) {
			switch {
			case m.arm.isData(in.Addr):
				kinds[in.Addr] = data
			case m.arm.isThumb(in.Addr):
				kinds[in.Addr] = thumb
			default:
				kinds[in.Addr] = a32
			}
		}
	}
	code, unknown, failures := 0, 0, 0
	for i := range stripped.Funcs {
		addr, text := stripped.Code(i)
		if stripped.Unknown(i) {
			unknown += len(text)
			continue
		}
		if _, ok := stripped.Stub(i); ok {
			continue
		}
		for _, in := range stripped.Instructions(i) {
			kind := a32
			switch a := stripped.Modules[0].arm; {
			case a.isData(in.Addr):
				kind = data
			case a.isThumb(in.Addr):
				kind = thumb
			}
			code += int(in.Len)
			if want := kinds[in.Addr]; kind != want && in.Op != OpNop && string(text[in.Addr-addr:][:2]) != "\x00\x00" { // the latter fills up
				if failures++; failures < 20 {
					t.Logf("%#x in the function at %#x: kind %d, want %d: %s", in.Addr, addr, kind, want, briefly(&in))
				}
			}
		}
	}
	if failures > 4 { // a number may look like an address of what nothing leads to
		t.Errorf("%d differences", failures)
	}
	if code < 200_000 || unknown > code/20 {
		t.Errorf("%d bytes of code are known, %d are not", code, unknown)
	}
	t.Logf("%d bytes of code, %d unknown, %d differences", code, unknown, failures)
}
