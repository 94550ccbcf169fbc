// Tested counts the words of files. Its tests hold its policy to what they believe
// of it:
//
//	go test -v ./examples/tested
//	go build ./examples/tested && sysgate run --policy examples/tested/policy.yaml -- ./tested FILE…
//
// The policy is the program's own profile, `sysgate profile tested`, with a rule of
// a person's hand for openat: it opens files to read them, and no others. Whoever
// changes the program so that it needs more, or the policy so that it lets more
// through, is told by `go test`.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	for _, name := range os.Args[1:] {
		f, err := os.Open(name)
		if err != nil {
			log.Fatal(err)
		}
		n, err := words(f)
		f.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n, name)
	}
}

func words(r io.Reader) (int, error) {
	s := bufio.NewScanner(r)
	s.Split(bufio.ScanWords)
	n := 0
	for s.Scan() {
		n++
	}
	return n, s.Err()
}
