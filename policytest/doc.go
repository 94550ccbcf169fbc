// Package policytest is for the tests of programs that have a seccomp policy: it
// holds the policy to what its author believes of it.
//
//	func TestPolicy(t *testing.T) {
//		p := policytest.Load(t, "server.yaml")
//		policytest.Allow(t, p, "read", "openat(flags & O_ACCMODE == O_RDONLY)")
//		policytest.Deny(t, p, "ptrace", "socket(AF_ALG)", "mmap(prot & PROT_EXEC != 0)")
//		policytest.Covers(t, p, "./server")
//		policytest.RunUnder(t, p, "./server", "-selftest")
//	}
//
//	func TestMain(m *testing.M) { policytest.Main(m) } // for RunUnder
//
// Allow and Deny are exact: they speak of every call that a pattern matches, with
// every value of every argument, not of samples. Where one is wrong the test
// fails with a call that shows it, and with the rule that decides that call.
// Patterns are those of policies; docs/policy.md describes them. Covers compares
// the policy with what the compiled program can call. RunUnder starts a program
// under the policy and reports what was denied to it.
//
// The functions take the machine that runs the test: its ABI where the policy
// lists none, no capabilities, the policy's own kernel. [Target] has the same
// functions for any other.
//
// # Limits
//
// RunUnder needs Linux 5.6, and runs programs of the machine's own ABI. Covers can
// analyse what sysgate profile can: Go programs for linux/amd64, 386 and arm64,
// built without cgo. The rest works on every system.
package policytest
