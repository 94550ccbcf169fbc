// Package sysgate gives a program the system calls it needs, and no others.
//
// Policies are in package policy, the filters that the kernel runs in package
// bpf, and the system-call tables of every Linux ABI in package abi. The command
// cmd/sysgate profiles programs, compiles and proves policies, and runs programs
// under them. This package is where what an application embeds will stand.
package sysgate
