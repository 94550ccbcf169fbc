package cli

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// admit returns r with one rule more, before all others, that allows the
// launcher's own execve: the call with exactly its three pointers. Where r
// allows that call anyway, it is r itself. Package launch says why the program
// cannot use the rule.
func admit(r *policy.Resolved, call abi.Call) *policy.Resolved {
	if r.Eval(call).Action == abi.Allow {
		return r
	}
	pointers := make(policy.Alternative, 3)
	for i := range pointers {
		at := call.Args[i]
		pointers[i] = policy.Test{Word: uint8(i), Mask: ^uint64(0), In: []policy.Interval{{Lo: at, Hi: at}}}
	}
	rule := policy.ResolvedRule{
		Numbers: []policy.NumberRange{{Lo: call.NR, Hi: call.NR}},
		Any:     []policy.Alternative{pointers},
		Action:  abi.Allow,
		Rule:    policy.RuleDefault, // none of the policy's
	}
	admitted := *r
	admitted.ABIs = slices.Clone(r.ABIs)
	for i := range admitted.ABIs {
		section := &admitted.ABIs[i]
		if section.ABI == abi.Native() {
			section.Rules = append([]policy.ResolvedRule{rule}, section.Rules...)
			return &admitted
		}
	}
	// A policy without the native ABI, for a 32-bit program: it gets one where
	// nothing else passes.
	admitted.X32 = r.BadArch
	admitted.ABIs = append(admitted.ABIs, policy.ResolvedABI{
		ABI:     abi.Native(),
		Rules:   []policy.ResolvedRule{rule},
		Default: r.BadArch,
		Unknown: r.BadArch,
	})
	return &admitted
}

// logged returns r with log in the place of every action that is not allow.
func logged(r *policy.Resolved) *policy.Resolved {
	soften := func(a abi.Action) abi.Action {
		if a == abi.Allow {
			return a
		}
		return abi.Log
	}
	return replaced(r, soften)
}

// replaced returns r with other actions.
func replaced(r *policy.Resolved, with func(abi.Action) abi.Action) *policy.Resolved {
	l := &policy.Resolved{ABIs: slices.Clone(r.ABIs), BadArch: with(r.BadArch), X32: with(r.X32)}
	for i := range l.ABIs {
		section := &l.ABIs[i]
		section.Default, section.Unknown = with(section.Default), with(section.Unknown)
		section.Rules = slices.Clone(section.Rules)
		for j := range section.Rules {
			section.Rules[j].Action = with(section.Rules[j].Action)
		}
	}
	return l
}
