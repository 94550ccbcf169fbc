// Package compile turns a resolved policy into a classic BPF program that gives
// the policy's verdict on every call. [Compile] is all that others need; only
// internal/build calls it, so that no program leaves unproved.
//
// A policy becomes, for each architecture, runs of numbers that the same rules
// decide; the rules of a run become a decision diagram over the 32-bit words of
// the arguments; runs and diagrams become one graph of tests that name the word
// they read. [Options] say what to optimize for: every run has a weight, every
// instruction a price, and a tree of tests is the cheapest that a search finds.
// Loads are placed when the graph is written out. Control goes from
// the architecture to the number to the arguments to a return, never back, so
// that a constant verdict on a number reads nothing but architecture and number
// and the kernel can answer an allowed one from its bitmap (Linux 5.11);
// [ConstAllow] emulates how it finds out. [Explain] shows what each pass makes.
//
// Diagrams of contrived rules can grow beyond any bound. Their construction
// stops after a fixed number of steps, and the rules are then tested one by one.
package compile
