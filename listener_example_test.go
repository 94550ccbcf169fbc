package sysgate_test

import (
	"context"
	"errors"
	"log"
	"syscall"

	"github.com/sysgate/sysgate"
)

// A supervisor that lets a program make Unix sockets and no others. What it decides
// on stands in a register, so that it may have the kernel go on.
func ExampleListener_Serve() {
	var fd int // that the program sent over a Unix socket: Installed.Listener.FD()
	listener, err := sysgate.NewListener(fd)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	err = listener.Serve(context.Background(), func(_ context.Context, r *sysgate.Request) {
		var err error
		if r.Arg(0) == syscall.AF_UNIX { // of socket
			err = r.Continue()
		} else {
			log.Printf("denied: %v", r)
			err = r.Fail(syscall.EAFNOSUPPORT)
		}
		if err != nil && !errors.Is(err, sysgate.ErrGone) {
			log.Print(err)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
}
