// Elasticsearch is the filter of Elasticsearch's SystemCallFilter.java: no new
// processes, everything else as before.
//
//	go run ./examples/elasticsearch
//
// Elasticsearch writes ten instructions by hand, tries seccomp(2) and then prctl(2),
// and asks at the end whether a filter is in place. policy.yaml says the same in
// words; the test proves that it is the same for every call. Install tries and asks
// in the same order, and sees to every thread.
package main

import (
	_ "embed"
	"fmt"
	"log"
	"os/exec"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/policy"
)

//go:embed policy.yaml
var policyYAML []byte

func main() {
	log.SetFlags(0)
	p, err := policy.Parse("policy.yaml", policyYAML)
	if err != nil {
		log.Fatal(err)
	}
	in, err := sysgate.Install(p, sysgate.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("installed by %s, seen in %s\n", in.Method, in.Verified)
	fmt.Println("exec:", exec.Command("/bin/true").Run())
}
