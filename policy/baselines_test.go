//go:build linux

package policy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/policytest"
)

const goBaseline = `package main

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(syscall.Getpid(), syscall.SIGUSR1)
	<-c
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			runtime.LockOSThread()
			make([]byte, 32<<20)[5] = 1
			time.Sleep(time.Millisecond)
			runtime.GC()
		})
	}
	wg.Wait()
	go func() {
		for {
		}
	}()
	time.Sleep(30 * time.Millisecond)
	os.Stdout.WriteString("ok\n")
}
`

const cBaseline = `#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile int got;
static void handle(int s) { got = s; }
static void *work(void *p)
{
	char *m = malloc(1 << 20);
	memset(m, 1, 1 << 20);
	free(m);
	return p;
}

int main(void)
{
	struct sigaction a = {.sa_handler = handle};
	pthread_t t[4];
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec until, d = {0, 1000};
	char *p;
	int i;

	sigaction(SIGUSR1, &a, 0);
	raise(SIGUSR1);
	for (i = 0; i < 4; i++)
		pthread_create(t + i, 0, work, 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	clock_gettime(CLOCK_REALTIME, &until);
	pthread_mutex_lock(&m);
	pthread_cond_timedwait(&c, &m, &until);
	pthread_mutex_unlock(&m);
	p = malloc(8 << 20);
	p = realloc(p, 32 << 20);
	free(p);
	nanosleep(&d, 0);
	printf("ok %d\n", got);
	return got != SIGUSR1;
}
`

// TestBaselines runs programs that start threads, handle signals, allocate and exit
// under a policy that allows their runtime's set and nothing else.
func TestBaselines(t *testing.T) {
	testkit.NeedFilters(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	goFile, cFile := write("main.go", goBaseline), write("main.c", cBaseline)
	for _, tt := range []struct {
		set, arch string
		build     []string
	}{
		{"@go", runtime.GOARCH, []string{"go", "build", "-o", "", goFile}},
		{"@go", "386", []string{"go", "build", "-o", "", goFile}},
		{"@glibc", runtime.GOARCH, []string{"gcc", "-pthread", "-o", "", cFile}},
		{"@glibc", runtime.GOARCH, []string{"gcc", "-static", "-pthread", "-o", "", cFile}},
		{"@musl", runtime.GOARCH, []string{"musl-gcc", "-o", "", cFile}},
		{"@musl", runtime.GOARCH, []string{"musl-gcc", "-static", "-o", "", cFile}},
	} {
		t.Run(fmt.Sprint(tt.set, " ", tt.arch, " ", tt.build[:2]), func(t *testing.T) {
			if tt.arch == "386" && runtime.GOARCH != "amd64" {
				t.Skip("386 programs run on amd64")
			}
			if _, err := exec.LookPath(tt.build[0]); err != nil {
				t.Skipf("%s is not installed", tt.build[0])
			}
			program := filepath.Join(t.TempDir(), "program")
			for i := range tt.build {
				if tt.build[i] == "" {
					tt.build[i] = program
				}
			}
			cmd := exec.Command(tt.build[0], tt.build[1:]...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+tt.arch, "GOFLAGS=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			abis := tt.arch
			if tt.arch == "386" { // started by an amd64 program
				abis = "amd64, 386"
			}
			p, err := policy.Parse("p.yaml", fmt.Appendf(nil, "version: 1\nabis: [%s]\ndefault_action: errno(EPERM)\nsyscalls:\n- {action: allow, names: [%q]}\n", abis, tt.set))
			if err != nil {
				t.Fatal(err)
			}
			policytest.RunUnder(t, p, program)
		})
	}
}
