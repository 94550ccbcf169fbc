// Adversary hands system-call numbers around in ways that hide them, one number
// a way: the argument chooses it.
package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"syscall"
	"unsafe"
)

var global uintptr = 111 // getpgrp

type config struct{ pad, nr uintptr }

var conf config

//go:noinline
func set(c *config, nr uintptr) { c.nr = nr }

var (
	table  = [...]uintptr{102, 104, 107, 108} // getuid getgid geteuid getegid
	byName = map[string]uintptr{"getppid": 110, "getsid": 124}
)

type (
	caller interface{ call(nr uintptr) }
	one    struct{}
	two    struct{ n int }
)

//go:noinline
func (one) call(nr uintptr) { syscall.RawSyscall(nr, 0, 0, 0) }

//go:noinline
func (t *two) call(nr uintptr) { syscall.RawSyscall(nr, uintptr(t.n), 0, 0) }

//go:noinline
func direct(nr uintptr) { syscall.Syscall(nr, 0, 0, 0) }

//go:noinline
func small(nr uint8) { syscall.Syscall(uintptr(nr), 0, 0, 0) }

//go:noinline
func computed(a, b uintptr) { syscall.Syscall(a+b, 0, 0, 0) }

//go:noinline
func result() uintptr { return 135 }

// Variables of which code takes an address far before the word that is read.
var (
	large  = struct{ pad, nr [1024]uintptr }{nr: [1024]uintptr{1000: 99}} // sysinfo
	filled [2000]uintptr
)

//go:noinline
func fill(t []uintptr, n int) { t[n] = 141 }

//go:noinline
func far() {
	fill(large.nr[:], 1000)
	syscall.Syscall(large.nr[1000], 0, 0, 0)
}

//go:noinline
func indexed(n int) {
	filled[1500] = 99
	filled[n+1498] = 140
	syscall.Syscall(filled[1500], 0, 0, 0)
}

//go:noinline
func code(prot int) {
	b, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err == nil {
		err = syscall.Mprotect(b, prot)
	}
	if err != nil {
		panic(err)
	}
}

//go:noinline
func chosen(n int) (string, uintptr, error) {
	switch n {
	case 9:
		return "alarm", 37, nil
	case 10:
		return "", passedBack(n, 34), io.EOF
	}
	return "getitimer", 36, nil
}

//go:noinline
func passedBack(_ int, nr uintptr) uintptr { return nr }

//go:noinline
func changed() (nr uintptr) {
	defer func() {
		recover()
		nr = 97
	}()
	return 98 / uintptr(len(os.Args)/100)
}

//go:noinline
func overridden() { syscall.Syscall(changed(), 7, 0, 0) }

//go:noinline
func twice(nr uintptr, n int) uintptr {
	if n > 0 {
		return twice(nr+1, n-1)
	}
	return nr
}

//go:noinline
func recursive() { syscall.Syscall(twice(94, 1), 0, 0, 0) }

//go:noinline
func spill(nr uintptr) uintptr {
	fmt.Fprint(os.Stderr, "")
	x := nr
	p := &x
	keep(p)
	r, _, _ := syscall.Syscall(x, ^uintptr(0), 0, 0)
	return r
}

//go:noinline
func keep(p *uintptr) { *p = 137 }

var fn func(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err syscall.Errno)

func main() {
	for _, a := range os.Args[1:] {
		switch a {
		case "global":
			syscall.Syscall(global, 0, 0, 0)
		case "field":
			set(&conf, 115)
			syscall.Syscall(conf.nr, 0, 0, 0)
		case "table":
			for i := range table {
				syscall.Syscall(table[i], 0, 0, 0)
			}
		case "map":
			syscall.Syscall(byName["getppid"], 0, 0, 0)
		case "iface":
			var c caller = one{}
			if len(os.Args) > 2 {
				c = &two{1}
			}
			c.call(118)
		case "value":
			fn = syscall.Syscall
			fn(120, 0, 0, 0)
		case "closure":
			nr := uintptr(140 + len(os.Args)*0)
			f := func() { syscall.Syscall(nr, 0, 0, 0) }
			defer f()
			nr = 141
		case "reflect":
			reflect.ValueOf(direct).Call([]reflect.Value{reflect.ValueOf(uintptr(142))})
		case "direct":
			direct(143)
		case "small":
			small(144)
		case "computed":
			computed(100, 45)
		case "result":
			direct(result())
		case "chosen":
			_, nr, err := chosen(len(os.Args))
			if err == nil {
				direct(nr)
			}
		case "code":
			code(syscall.PROT_READ | syscall.PROT_EXEC)
		case "far":
			far()
		case "indexed":
			indexed(len(os.Args))
		case "overridden":
			overridden()
		case "recursive":
			recursive()
		case "spill":
			spill(136)
		case "defer":
			defer syscall.Syscall(146, 0, 0, 0)
		case "go":
			go direct(147)
		case "loop":
			for nr := uintptr(148); nr < 152; nr++ {
				direct(nr)
			}
		case "unsafe":
			var a [4]uintptr
			*(*uintptr)(unsafe.Pointer(&a[2])) = uintptr(len(os.Args) + 150)
			direct(a[2])
		case "method":
			g := one{}.call
			g(154)
		case "recover":
			nr := uintptr(159)
			if len(os.Args) < 3 {
				recovers()
				nr = 160
			}
			syscall.Syscall(nr, 0, 0, 0)
		case "yield":
			nr := uintptr(172)
			if len(os.Args) < 3 {
				runtime.Gosched()
				nr = 173
			}
			syscall.Syscall(nr, 0, 0, 0)
		case "generic":
			generic(uintptr(155))
		}
	}
}

//go:noinline
func recovers() {
	defer func() { recover() }()
	panic("recovered")
}

//go:noinline
func generic[T ~uintptr | ~uint32](n T) { syscall.Syscall(uintptr(n), 0, 0, 0) }
