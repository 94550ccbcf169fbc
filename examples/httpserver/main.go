// Httpserver is a web server that gives itself a filter before it takes the first
// request:
//
//	go run ./examples/httpserver -listen localhost:8080
//	curl 'localhost:8080/?name=world'   # hello, world
//	curl localhost:8080/attack          # operation not permitted
//
// To embed a filter takes the lines of protect. The policy is in the binary, so that
// nobody starts the server without it. It is the server's own profile,
//
//	go build ./examples/httpserver && sysgate profile --deny execve httpserver
//
// without the call that would start another program. It lists one ABI; a release
// for another one has a policy of its own (see examples/beat).
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"syscall"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/policy"
)

//go:embed policy.yaml
var policyYAML []byte

// protect gives every thread the filter, for good.
func protect() error {
	p, err := policy.Parse("policy.yaml", policyYAML)
	if err != nil {
		return err
	}
	_, err = sysgate.Install(p, sysgate.Options{})
	return err
}

func main() {
	log.SetFlags(0)
	address := flag.String("listen", "localhost:8080", "`address` to listen on")
	flag.Parse()
	if err := protect(); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", hello)
	http.HandleFunc("/attack", attack)
	log.Printf("listening on http://%s", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello, %s\n", r.FormValue("name"))
}

// attack is what code would do that somebody got into the server: become a shell.
func attack(w http.ResponseWriter, _ *http.Request) {
	err := syscall.Exec("/bin/sh", []string{"sh"}, nil)
	http.Error(w, err.Error(), http.StatusForbidden)
}
