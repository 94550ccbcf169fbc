// Python is the filter that the talk "Seccomp for Developers" writes in Python, over
// libseccomp: the calls that a web application has no business with fail with EPERM.
// It says what it enforces, as text that can be read, checked and kept:
//
//	go run ./examples/python > policy.yaml
//	sysgate check policy.yaml
//
// Here the policy is made in Go, not read from a file.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// denied are the talk's rules.
var denied = []struct {
	reason string
	names  []string
}{
	{"stop executions", []string{"execve", "execveat", "vfork", "fork"}},
	{"stop listening and binding to other ports", []string{"bind", "listen"}},
}

func rules() *policy.Policy {
	refuse := policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	p := &policy.Policy{Version: 1, Default: policy.Action{Kind: abi.Allow}, X32: &refuse}
	for _, d := range denied {
		rule := policy.Rule{Action: refuse, Reason: d.reason, Optional: true} // arm64 has no fork
		for _, name := range d.names {
			rule.Calls = append(rule.Calls, policy.Pattern{Name: name})
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func main() {
	log.SetFlags(0)
	p := rules()
	if _, err := sysgate.Install(p, sysgate.Options{}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", p.Format())
	fmt.Fprintln(os.Stderr, "Seccomp enabled...")
	fmt.Fprintln(os.Stderr, "exec:", exec.Command("/bin/true").Run())
	_, err := net.Listen("tcp", "127.0.0.1:0")
	fmt.Fprintln(os.Stderr, "bind:", err)
}
