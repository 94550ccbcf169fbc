// Package certify checks certificates: proofs, made by somebody else, that a
// filter does what a policy says.
//
//	err := certify.Check(policyText, options, program, certificate)
//
// returns nil only if the program gives, for every possible system call, the
// action of the policy. Who checks need trust neither the compiler of the filter
// nor the maker of the certificate: the package imports neither, is short enough
// to be read in one sitting, and does in linear time what they had to search for.
//
// # How
//
// Policy and program are both lowered to choices: f = g where a test holds, else
// h. A test looks at one word of the call and asks whether the word under a mask
// is in a list of intervals; g and h are earlier choices or words that filters
// return. A policy's choices are its rules, number by number; a program's are its
// comparisons, from the last one back to the first. The last choice of each is
// what the policy, or the program, says of every call.
//
// A certificate is a decision diagram, a table of nodes that each test one of the
// 512 input bits, and for every choice the node that it is. The check is local:
// the node of f has to agree with that of g on all calls for which the test
// holds, and with that of h on all others. Going down f, g and the test at the
// same time decides that exactly. If every choice passes, and policy and program
// end in the same node, they are equal: by induction each node is its choice's
// function, whatever the table looks like otherwise.
//
// # What has to be trusted
//
// This package; policy.Parse and Resolve with the tables of package abi, which
// give the text its meaning; the kernel's own conversion of the filter. The
// hashes in a certificate (policy, filter, tables) only tell at once what does
// not belong together. They prove nothing, and nothing rests on them.
//
// # Limits
//
// The program may load words, mask them, compare them with constants and return
// constants, which is what sysgate's compiler emits. Others are refused, equal or
// not, as is what takes more than a fixed number of steps: a certificate that is
// no proof costs a few seconds at most.
package certify
