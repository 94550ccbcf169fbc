package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each row is a file with mistakes and exactly what is said of them, hints
// included.
func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown field", "default_action: allow\nsyscalls:\n  -\n    actoin: allow\n    names: [read]\n", `
web.yaml:4:5: unknown field "actoin"
    4 |     actoin: allow
      |     ^^^^^^
hint: did you mean "action"?`},
		{"duplicate key", "default_action: allow\ndefault_action: log\nsyscalls: [{action: log, names: [read]}]\n", `
web.yaml:2:1: field "default_action" stands twice: first on line 1
    2 | default_action: log
      | ^^^^^^^^^^^^^^`},
		{"what is missing", "syscalls:\n- names: [read]\n- action: log\n", `
web.yaml:1:1: missing default_action
    1 | syscalls:
      | ^
hint: add default_action: the action for calls that no rule matches
web.yaml:2:3: missing action
    2 | - names: [read]
      |   ^
hint: add action: what happens to these calls
web.yaml:3:3: the rule names no system calls
    3 | - action: log
      |   ^
hint: add names: [read, write]`},
		{"an operation is never absent", "default_action: allow\nsyscalls: [{action: log, names_with_args: [{name: dup, arguments: [{argument: 7}]}]}]", `
web.yaml:2:68: missing operation
    2 | syscalls: [{action: log, names_with_args: [{name: dup, arguments: [{argument: 7}]}]}]
      |                                                                    ^
web.yaml:2:79: argument must be between 0 and 5 (inclusive), but is 7
    2 | syscalls: [{action: log, names_with_args: [{name: dup, arguments: [{argument: 7}]}]}]
      |                                                                               ^`},
		{"kernel as a number", "version: 1\nkernel: 6.10\ndefault_action: allow\nsyscalls: []\n", `
web.yaml:2:9: kernel: want text, got a number
    2 | kernel: 6.10
      |         ^^^^
hint: write "6.10", with the quotes: as a number, 6.10 is 6.1`},
		{"names", "default_action: allow\nsyscalls:\n- action: log\n  names: [opne, \"@network-io\", 5, read, true]\n", `
web.yaml:4:11: unknown system call "opne"
    4 |   names: [opne, "@network-io", 5, read, true]
      |           ^^^^
hint: did you mean "open"?
web.yaml:4:17: unknown set "@network-io"
    4 |   names: [opne, "@network-io", 5, read, true]
      |                 ^^^^^^^^^^^^^
hint: did you mean "@systemd/network-io"?
web.yaml:4:32: names: want text, got a number
    4 |   names: [opne, "@network-io", 5, read, true]
      |                                ^
hint: quote it: "5"
web.yaml:4:41: names: want text, got a boolean
    4 |   names: [opne, "@network-io", 5, read, true]
      |                                         ^^^^
hint: quote it: "true"`},
		{"actions", "default_action: kill\nunknown_action: errno(ENOSIS)\nbad_arch_action: errno(0)\nx32_action: allow(1)\nsyscalls:\n- {action: errno(4096), names: [read]}\n- {action: trap(70000), names: [read]}\n", `
web.yaml:1:17: unknown action "kill"
    1 | default_action: kill
      |                 ^^^^
hint: did you mean kill_process or kill_thread?
web.yaml:2:23: unknown errno "ENOSIS"
    2 | unknown_action: errno(ENOSIS)
      |                       ^^^^^^
hint: did you mean "ENOSYS"?
web.yaml:3:24: errno 0 is no error
    3 | bad_arch_action: errno(0)
      |                        ^
hint: write fake_success if the call shall be skipped and report success
web.yaml:4:18: allow takes no data
    4 | x32_action: allow(1)
      |                  ^
hint: write "allow"
web.yaml:6:18: errno 4096 is out of range: the largest is 4095
    6 | - {action: errno(4096), names: [read]}
      |                  ^^^^
web.yaml:7:17: data 70000 is out of range: the largest is 65535
    7 | - {action: trap(70000), names: [read]}
      |                 ^^^^^`},
		{"patterns, with the place inside", "default_action: allow\nsyscalls:\n- action: log\n  calls:\n  - socket(domain = 1)\n  - \"sokcet(1)\"\n  - ioctl(cmd == TCGTES)\n  - mmap(prot & A | B == 0)\n", `
web.yaml:5:19: want an operator, got "="
    5 |   - socket(domain = 1)
      |                   ^
hint: write ==
web.yaml:6:6: unknown system call "sokcet"
    6 |   - "sokcet(1)"
      |      ^^^^^^
hint: did you mean "socket"?
web.yaml:7:18: unknown constant "TCGTES"
    7 |   - ioctl(cmd == TCGTES)
      |                  ^^^^^^
hint: did you mean "TCGETS"?
web.yaml:8:17: unknown constant "A"
    8 |   - mmap(prot & A | B == 0)
      |                 ^`},
		{"a pattern that a list cuts in two", "default_action: allow\nsyscalls: [{action: log, calls: [socket(AF_UNIX, 1)]}]", `
web.yaml:2:48: want ",", got the end
    2 | syscalls: [{action: log, calls: [socket(AF_UNIX, 1)]}]
      |                                                ^
hint: between [ and ], a comma ends the item: quote the pattern, or give it a line of its own
web.yaml:2:50: want the name of a system call, got "1"
    2 | syscalls: [{action: log, calls: [socket(AF_UNIX, 1)]}]
      |                                                  ^
hint: between [ and ], a comma ends the item: quote the pattern, or give it a line of its own`},
		{"numbers", "default_action: allow\nsyscalls: [{action: log, names_with_args: [{name: dup, arguments: [{operation: Equal, value: 010}, {operation: Equel, value: 1.5}]}]}]", `
web.yaml:2:94: value: number "010" starts with 0, which some read as octal
    2 | syscalls: [{action: log, names_with_args: [{name: dup, arguments: [{operation: Equal, value: 010}, {operation: Equel, value: 1.5}]}]}]
      |                                                                                              ^^^
hint: write 0o10 for octal, 10 for decimal
web.yaml:2:112: unknown operation "Equel"
    2 | …{action: log, names_with_args: [{name: dup, arguments: [{operation: Equal, value: 010}, {operation: Equel, value: 1.5}]}]}]
      |                                                                                                      ^^^^^
hint: did you mean "Equal"?
web.yaml:2:126: value: bad number "1.5"
    2 | …names_with_args: [{name: dup, arguments: [{operation: Equal, value: 010}, {operation: Equel, value: 1.5}]}]}]
      |                                                                                                      ^^^
hint: numbers are decimal, 0x…, 0o… or 0b…`},
		{"no aliases, anchors, merge keys, tags", "default_action: &a allow\nunknown_action: *a\n<<: {version: 1}\nsyscalls: !!seq []\n", `
web.yaml:1:17: anchors are not allowed in a policy
    1 | default_action: &a allow
      |                 ^^
hint: write the value out where it is used
web.yaml:2:17: aliases are not allowed in a policy
    2 | unknown_action: *a
      |                 ^^
hint: write the value out here
web.yaml:3:1: merge keys are not allowed in a policy
    3 | <<: {version: 1}
      | ^^
hint: write the keys out here
web.yaml:4:11: tags are not allowed in a policy
    4 | syscalls: !!seq []
      |           ^^^^^
hint: leave the tag out`},
		{"one document", "default_action: allow\nsyscalls: [{action: log, names: [read]}]\n---\na: 1\n", `
web.yaml:3:1: a second document
    3 | ---
      | ^^^
hint: write one policy a file`},
		{"empty", "", `
web.yaml:1:1: the document is empty`},
		{"not YAML", "a: [1\n", `
web.yaml:2:1: not YAML: did not find expected ',' or ']' while parsing a flow sequence`},
		{"JSON has positions too", "{\"default_action\": \"allow\",\n\t\"syscalls\": [{\"action\": \"log\", \"name\": [\"read\"]}]}", `
web.yaml:2:33: unknown field "name"
    2 | 	"syscalls": [{"action": "log", "name": ["read"]}]}
      | 	                               ^^^^^^
hint: did you mean "names"?`},
		{"documented form: duplicates and an empty list", "default_action: allow\nsyscalls:\n- action: errno\n  names: [read, read, dup]\n  names_with_args: [{name: dup, arguments: [{operation: Equal}]}]\n", `
web.yaml:4:17: read stands twice in one rule
    4 |   names: [read, read, dup]
      |                 ^^^^
hint: leave one read out
web.yaml:5:21: dup stands in names too, without conditions
    5 |   names_with_args: [{name: dup, arguments: [{operation: Equal}]}]
      |                     ^
hint: take it out of names`},
		{"documented form: no rules", "default_action: allow\nsyscalls: []\n", `
web.yaml:2:11: syscalls is empty
    2 | syscalls: []
      |           ^
hint: add a rule`},
		{"wrong shapes", "default_action: [allow]\nsyscalls:\n- read\n- action: log\n  names: read\n  when: {caps: [SYS_ADMN], kernel: 5}\n", `
web.yaml:1:17: default_action: want text, got a list
    1 | default_action: [allow]
      |                 ^
web.yaml:3:3: rule: want a mapping, got text
    3 | - read
      |   ^^^^
web.yaml:5:10: names: want a list, got text
    5 |   names: read
      |          ^^^^
hint: write a list: [read]
web.yaml:6:17: unknown capability "SYS_ADMN"
    6 |   when: {caps: [SYS_ADMN], kernel: 5}
      |                 ^^^^^^^^
hint: did you mean "CAP_SYS_ADMIN"?
web.yaml:6:36: kernel: want text, got a number
    6 |   when: {caps: [SYS_ADMN], kernel: 5}
      |                                    ^
hint: write "5", with the quotes: as a number, 6.10 is 6.1`},
		{"version and abis", "version: 2\nabis: [amd64, amd46, x86_64]\ndefault_action: allow\nsyscalls: []\n", `
web.yaml:1:10: unknown version 2 of the policy language
    1 | version: 2
      |          ^
hint: write version: 1
web.yaml:2:15: unknown ABI "amd46"
    2 | abis: [amd64, amd46, x86_64]
      |               ^^^^^
hint: did you mean "amd64"?
web.yaml:2:22: ABI amd64 stands twice
    2 | abis: [amd64, amd46, x86_64]
      |                      ^^^^^^`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse("web.yaml", []byte(tt.text))
			if err == nil {
				t.Fatalf("no error; read as\n%s", p.Format())
			}
			if got := errorText(err); got != strings.TrimPrefix(tt.want, "\n") {
				t.Errorf("got\n%s\nwant%s", got, tt.want)
			}
		})
	}
}

// errorText returns all of err with hints, as the command line prints it.
func errorText(err error) string {
	var list Errors
	var one *Error
	if !errors.As(err, &list) && errors.As(err, &one) {
		list = Errors{one}
	}
	var text []string
	for _, e := range list {
		text = append(text, e.Error())
		if e.Hint != "" {
			text = append(text, "hint: "+e.Hint)
		}
	}
	return strings.Join(text, "\n")
}

// Each row is a file, and the canonical form that says the same.
func TestParseForms(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"libbeat, with its key and enabled", `
seccomp:
  enabled: true
  default_action: allow
  syscalls:
  - action: errno
    names:
    - execve
    - fork
`, `
default_action: allow
syscalls:
- action: errno
  names: [execve, fork]
`},
		{"go-seccomp-bpf: names_with_args, argument and position, any case, hexadecimal", `
default_action: ALLOW
syscalls:
- action: Trap
  names_with_args:
  - name: clone
    arguments:
    - {argument: 0, operation: bitsset, value: 0x10000000}
    - {position: 1, operation: NOTEQUAL}
`, `
default_action: allow
syscalls:
- action: trap
  names_with_args:
  - name: clone
    arguments:
    - {argument: 0, operation: BitsSet, value: 0x10000000}
    - {argument: 1, operation: NotEqual, value: 0}
`},
		{"go-seccomp-bpf's Filter", `
no_new_privs: true
flag: 3
policy:
  default_action: allow
  syscalls: [{action: log, names: [read]}]
`, `
no_new_privs: true
flag: tsync|log
default_action: allow
syscalls:
- action: log
  names: [read]
`},
		{"enabled: false needs nothing else", "seccomp: {enabled: false}", `
enabled: false
default_action: allow
`},
		{"JSON", `{"version": 1, "default_action": "allow", "syscalls": [{"action": "errno(ENOSYS)", "calls": ["clone3"]}]}`, `
version: 1
default_action: allow
syscalls:
- action: errno(ENOSYS)
  names: [clone3]
`},
		{"comments and reasons survive", `
# About the policy.

version: 1 # the first
default_action: errno(EPERM)
# Above the list.
syscalls:
# Above the rule.
- action: allow # beside the action
  names:
  # above read
  - read # beside read
  - write # beside write
  - "@systemd/io-event"
  reason: "it: reads" # beside the reason
# At the end.
`, `
# About the policy.
# the first
# Above the list.
# At the end.

version: 1
default_action: errno(EPERM)
syscalls:
# Above the rule.
# beside the action
# beside the reason
- action: allow
  names:
  # above read
  # beside read
  - read
  - write # beside write
  - "@systemd/io-event"
  reason: "it: reads"
`},
		{"everything of the native form", `
version: 1
abis: [x86_64, i386]
kernel: "6.12"
default_action: errno
unknown_action: errno(38)
bad_arch_action: kill_thread
x32_action: fake_success
syscalls:
- action: user_notify
  calls: ["socket( domain  in {AF_UNIX,AF_INET} , type&0xf==SOCK_STREAM )", "nr:0x27()", "nr:5-9(_, 3, ...)"]
  when: {caps: [sys_admin], not_caps: [CAP_BPF], kernel: "5.4"}
  optional: true
  only: true
`, `
version: 1
abis: [amd64, 386]
kernel: "6.12"
default_action: errno(EPERM)
unknown_action: errno(38)
bad_arch_action: kill_thread
x32_action: fake_success
syscalls:
- action: user_notify
  calls:
  - socket(domain in {AF_UNIX, AF_INET}, type & 0xf == SOCK_STREAM)
  - nr:39
  - nr:5-9(_, 3)
  when: {caps: [CAP_SYS_ADMIN], not_caps: [CAP_BPF], kernel: "5.4"}
  optional: true
  only: true
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse("p.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), string(p.Format())); diff != "" {
				t.Error(diff)
			}
			again, err := Parse("p.yaml", p.Format())
			if err != nil {
				t.Fatalf("the canonical form: %v", err)
			}
			if diff := cmp.Diff(string(p.Format()), string(again.Format())); diff != "" {
				t.Errorf("formatted again: %s", diff)
			}
		})
	}
}
