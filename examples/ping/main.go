// Ping is the web page of the talk "Seccomp for Developers" that pings what its
// visitors ask for, by way of a shell, and so runs what they ask for:
//
//	go run ./examples/ping -unprotected
//	curl 'localhost:8080/cgi-bin/ping?1.1.1.1;%20ls%20-al'   # lists the directory
//
// With the filter no shell starts, whatever is asked for. The hole is stopped, and
// with it the feature that was the hole: a program that must not start others should
// not be written to start one.
//
//	go run ./examples/ping
//	curl 'localhost:8080/cgi-bin/ping?1.1.1.1;%20ls%20-al'   # operation not permitted
//
// Programs in other languages get such a filter from outside:
//
//	sysgate run --deny execve,execveat -- perl -e 'print `ping -c 1 $ARGV[0]`' '1.1.1.1; ls -al'
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"net/url"
	"os/exec"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/policy"
)

const noPrograms = `
version: 1
default_action: allow
x32_action: errno(EPERM)
syscalls:
- action: errno(EPERM)
  names: [execve, execveat]
`

func main() {
	log.SetFlags(0)
	address := flag.String("listen", "localhost:8080", "`address` to listen on")
	unprotected := flag.Bool("unprotected", false, "run without the filter")
	flag.Parse()
	if !*unprotected {
		p, err := policy.Parse("ping", []byte(noPrograms))
		if err != nil {
			log.Fatal(err)
		}
		if _, err := sysgate.Install(p, sysgate.Options{Log: true}); err != nil {
			log.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/cgi-bin/ping", ping)
	log.Printf("listening on http://%s", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

// ping does what must not be done: it gives a shell what a visitor typed.
func ping(w http.ResponseWriter, r *http.Request) {
	host, err := url.PathUnescape(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out, err := exec.Command("/bin/sh", "-c", "ping -c 1 "+host).CombinedOutput()
	if err != nil {
		http.Error(w, string(out)+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(out)
}
