// Package proof decides exactly whether a filter does what a policy says.
//
//	result := proof.Equal(resolved, program, proof.Budget{})
//
// answers Proved only if the program returns, for every one of the 2^512 values
// of struct seccomp_data, the very word that the policy's Eval gives; Different
// with a call on which they disagree, replayed in both before it is reported;
// Unknown, with the reason, if it could not find out within its budget. A caller
// that emits or loads filters goes on only after Proved.
//
// Other questions are walks of the same diagrams:
//
//   - [Space.Outcomes]: which actions do the calls of a set or pattern get?
//   - [Space.Ask] and [Space.Prove]: does an [Assertion], or a shipped [Property],
//     hold for every call?
//   - [Space.Diff]: where do two policies or filters differ, as call patterns?
//   - [Space.Combine] and [Space.Decompile]: which policy is a combination, or a
//     filter that someone else compiled?
//
// A [Space] holds policies, filters and sets of calls for them. Every action that
// an answer claims has a witness that the caller can replay, and every pattern
// that it prints is exact: tests read them back.
//
// # How
//
// Both sides become decision diagrams over the 512 input bits with 32-bit words
// as terminals (multi-terminal binary decision diagrams). Diagrams are ordered
// and reduced, and all nodes live in one hash set, so that a function has exactly
// one node: policy and program are equal if they are the same node, and where
// they are not, going down both at once finds a witness. The order of the bits is
// architecture, number, the arguments (high half first), instruction pointer,
// each from its most significant bit on; comparisons with constants and masks
// are then of linear size.
//
// The policy's diagram follows Eval from the last resort to the first rule, each
// overriding what is below it. The program's comes from a walk with A, X and M as
// vectors of 32 conditions; both ways of a comparison are followed, and what they
// return is joined by the comparison's own condition. Places that are reached
// with the same values in the registers that still matter are visited once. All
// instructions that seccomp admits are covered; shifts by X use its low five
// bits and division by X = 0 returns word 0, as in bpf.Program.Run. A program that
// returns its accumulator could return 2^32 words; those that the policy never
// gives are one terminal, which the policy's diagram does not contain.
//
// A comparison with a constant costs about 32 steps, whatever follows it: adding
// a test on top of a diagram touches only the test's own path. So a linear chain
// of 400 comparisons costs little more than a tree, and the input need not be cut
// into slices. What would cost more is the tests of an argument that fall back
// into a list of numbers: past a comparison that found the number or the
// architecture, the walk takes it for that constant, and the rest of the list
// folds to what it does for this one.
//
// # What has to be trusted
//
// Eval (it is the meaning of the policy), Run (the meaning of the program, tested
// against the kernel) and, for Proved, this package: it shares no code with the
// compiler, and its two sides share only the node operations of diagram.go.
// Different needs no trust, its witness can be replayed. Behind all of them stand
// the system-call tables and read masks, and the kernel's translation of classic
// BPF.
//
// # Limits
//
// Every order of the bits has functions with diagrams of exponential size. Here
// they are: products and quotients of input words; sums and comparisons of two
// input words with each other; and many overlapping masks over two or more
// arguments of one call. Filters that compilers emit have no products, quotients
// or sums of words. The budget bounds nodes, steps and states, hence memory and
// time: the default one takes at most about 250 MB and a few seconds to answer
// Unknown, while usual filters take a few megabytes and a few milliseconds.
//
// Patterns that describe a set are looked for within bounds: they are exact, and
// need not be the shortest.
package proof
