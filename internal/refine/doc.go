// Package refine turns what is known of a program's system calls into a policy.
//
// [FromSet] makes a policy that allows what an observed set holds, each call
// with its reason; [DenyList] makes one that allows everything but a list;
// [ParseList] reads the lists that people keep.
//
// Names only: the arguments of calls are not looked at.
package refine
