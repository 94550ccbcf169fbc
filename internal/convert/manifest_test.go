package convert

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

const pod = "kind: Pod\nspec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: a.json}}}\n---\nkind: ConfigMap\ndata:\n  a.json: "

// Manifests are told by what they say, however they are written, and mistakes in them
// have their place, within a block of text too.
func TestManifests(t *testing.T) {
	const broken = "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"syscalls\": [{\"names\": [5], \"action\": \"SCMP_ACT_ALLOW\"}]}"
	indented := "    " + strings.ReplaceAll(broken, "\n", "\n    ")
	for _, tt := range []struct{ format, text, want string }{
		{"k8s", "{\"kind\": \"Pod\", \"spec\": {\"securityContext\": {\"seccompProfile\": {\"type\":\"Unconfined\"}}}}", ""},
		{"k8s", "spec: {securityContext: {seccompProfile: {type: localhost}}}", "x:1:49: unknown type"},
		{"spo", "\ufeffkind: SeccompProfile\r\nspec:\r\n  defaultAction: SCMP_ACT_LOG\r\n", ""},
		{"spo", "{\"kind\": \"SeccompProfile\", \"spec\": {\"defaultAction\": \"SCMP_ACT_LOG\"}}", ""},
		{"spo", "kind: SeccompProfile # mine\nspec:\n\tdefaultAction: SCMP_ACT_LOG\n", "x:3:1: not YAML"},
		{"spo", "kind: SeccompProfile\nspec:\n  <<: {defaultAction: SCMP_ACT_LOG}\n", "x:3:3: field \"<<\""},
		{"spo", "kind: SeccompProfile\nspec:\n  defaultAction: SCMP_ACT_LOG\n  syscalls: [{names: [read], action: SCMP_ACT_LOG, args: [{index: 0, op: SCMP_CMP_EQ, value: -1}]}]\n", "x:4:94: value: want a number"},
		{"k8s", pod + "|\n" + indented + "\n", "x:8:29: names: want text"},
		{"k8s", pod + "|-\n" + indented, "x:8:29: names: want text"},
		{"k8s", pod + "|2-  # c\n" + indented + "\n  b.json: x\n", "x:8:29: names: want text"},
		{"k8s", pod + ">\n" + indented + "\n", "x: a.json:1:61: names: want text"},
	} {
		f, ok := Detect("x", []byte(tt.text))
		if !ok || f.Name != tt.format {
			t.Errorf("%q is found to be %q", tt.text, f.Name)
			continue
		}
		_, _, err := f.Read("x", []byte(tt.text), Options{Native: abi.AMD64})
		switch {
		case err == nil && tt.want == "":
		case err == nil || tt.want == "" || !strings.HasPrefix(err.Error(), tt.want):
			t.Errorf("%q: %v", tt.text, err)
		case strings.Count(err.Error(), tt.want) != 1:
			t.Errorf("%q: said twice: %v", tt.text, err)
		}
	}
	if f, ok := Detect("x", []byte("version: 1\n# seccompProfile: a\n# kind: SeccompProfile\ndefault_action: allow\nsyscalls: []\n")); ok {
		t.Errorf("a comment makes a policy %s", f.Name)
	}
}
