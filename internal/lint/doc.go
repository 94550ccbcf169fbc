// Package lint finds what is likely wrong with a policy or a filter, and what its
// author should know.
//
//	findings, err := lint.Check(lint.Subject{Name: "web.yaml", Policy: p, Resolved: r, Program: program})
//
// Every finding has a stable code, whose meaning, reason and remedy [Codes] tells;
// docs/lints.md is the same for people. Whatever can be decided exactly is: dead
// rules, conditions that always or never hold, and what each call gets are
// questions to package proof, not patterns of text.
//
// An error is a rule that does not hold or cannot be enforced; a warning is a
// likely mistake; a note is a fact.
//
// Limits: what arguments mean is not known beyond the tables of package abi, and
// which calls a program needs not at all: the runtimes' needs are those of their
// start and their shutdown.
package lint
