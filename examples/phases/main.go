// Phases is a service that gives up in two steps what it does not need any more:
//
//	echo hello >greeting
//	go run ./examples/phases -greeting greeting -listen localhost:8080
//	echo read | nc localhost 8080   # operation not permitted
//
// While it starts, it reads files and opens its socket, and start.yaml keeps it from
// starting programs. When it serves, it needs neither files nor new sockets:
// serve.yaml comes on top and lists the few calls that are left. Filters add up: a
// call has to pass both, and nothing takes one off again.
package main

import (
	"bufio"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/policy"
)

//go:embed start.yaml
var startYAML []byte

//go:embed serve.yaml
var serveYAML []byte

// restrict gives every thread one more filter.
func restrict(name string, text []byte) {
	p, err := policy.Parse(name, text)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := sysgate.Install(p, sysgate.Options{}); err != nil {
		log.Fatal(err)
	}
}

func main() {
	log.SetFlags(0)
	greeting := flag.String("greeting", "", "`file` with what to say to who connects")
	address := flag.String("listen", "localhost:8080", "`address` to listen on")
	flag.Parse()

	restrict("start.yaml", startYAML)
	text, err := os.ReadFile(*greeting)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("starting: %v", exec.Command("/bin/true").Run())

	restrict("serve.yaml", serveYAML)
	log.Printf("listening on %s", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn, string(text), *greeting)
	}
}

// serve says hello, and then tries what the client asks for.
func serve(conn net.Conn, text, file string) {
	defer conn.Close()
	fmt.Fprint(conn, text)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		var err error
		switch what := strings.TrimSpace(lines.Text()); what {
		case "read":
			_, err = os.ReadFile(file)
		case "dial":
			_, err = net.Dial("tcp", conn.LocalAddr().String())
		case "exec":
			err = exec.Command("/bin/true").Run()
		case "bye":
			return
		}
		fmt.Fprintln(conn, err)
	}
}
