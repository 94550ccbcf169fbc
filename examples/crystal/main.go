// Crystal is the filter that the talk "Seccomp for Developers" writes in Crystal,
// over libseccomp: no other programs and no further ports, and the filter as text.
//
//	go run ./examples/crystal
//
// The talk passes a bare SCMP_ACT_ERRNO, which carries no errno: with 0 the kernel
// skips the call and reports success. The policy says errno(EPERM), which is what
// was meant; sysgate takes 0 only by the name fake_success. libseccomp writes its
// own notation (seccomp_export_pfc); `sysgate compile --emit pfc` writes that too.
package main

import (
	_ "embed"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
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
	// Optional: dump the filter on stdout.
	if err := in.Filter.Program.Disassemble(os.Stdout, abi.Native().BigEndian()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("exec:", exec.Command("/bin/true").Run())
	_, err = net.Listen("tcp", "127.0.0.1:0")
	fmt.Println("bind:", err)
}
