package convert

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatKubernetes = Format{
	Name: "k8s", Title: "Kubernetes manifest",
	Detect: isKubernetes,
	Read:   readKubernetes,
	Write:  writeKubernetes,
	Says: Says{
		Actions:   "those of the profile that it refers to, or none",
		Default:   "that of the profile",
		Unknown:   "that of the profile",
		Arguments: "those of the profile",
		Order:     "a container's profile counts, not the pod's",
		ABIs:      "those of the profile",
	},
}

// profileField matches the field that refers to a profile, in YAML or JSON, outside of
// comments.
var profileField = regexp.MustCompile(`(?m)^([^#\n]*[\s{,-])?["']?seccompProfile["']?:`)

func isKubernetes(_ string, data []byte) bool { return profileField.Match(data) }

// readKubernetes reads a manifest with seccompProfile fields. A profile is a file
// on the nodes: it has to be in the manifest too, as an entry of a ConfigMap with
// the same file name, or the error says which file to read instead.
func readKubernetes(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	d := newDocument(name, data)
	documents, err := d.manifests()
	if err != nil {
		return nil, nil, err
	}
	var fields []*value
	files := make(map[string]*value)
	for _, m := range documents {
		if kind := m.get("kind"); kind != nil && kind.text != nil && *kind.text == "ConfigMap" {
			if entries := m.get("data"); entries != nil && entries.object != nil {
				for _, e := range *entries.object {
					files[e.name] = e.value
				}
			}
			continue
		}
		fields = append(fields, m.all("seccompProfile")...)
	}
	if len(fields) == 0 {
		return nil, nil, &policy.Error{Pos: policy.Pos{File: name}, Msg: "no seccompProfile in the manifest"}
	}
	first, err := d.refers(fields[0])
	if err != nil {
		return nil, nil, err
	}
	for _, f := range fields[1:] {
		other, err := d.refers(f)
		if err != nil {
			return nil, nil, err
		}
		if other != first {
			return nil, nil, d.errorf(f.off, f.off+1, "read the profiles themselves", "the manifest refers to two profiles: %s and %s", first, other)
		}
	}
	at := fields[0]
	switch file, local := strings.CutPrefix(first, localProfile); {
	case local:
		profile := files[path.Base(file)]
		if profile == nil || profile.text == nil {
			return nil, nil, d.errorf(at.off, at.off+1, "read that file", "the pod refers to the profile %s, on its node /var/lib/kubelet/seccomp/%s", file, file)
		}
		if inPlace := d.block(profile); inPlace != nil {
			return OCI(name, inPlace, OCIOptions{Options: o})
		}
		return OCI(name+": "+file, []byte(*profile.text), OCIOptions{Options: o})
	case first == "Unconfined":
		allow := policy.Action{Kind: abi.Allow}
		return &policy.Policy{Version: 1, ABIs: []abi.ABI{o.native()}, Default: allow, BadArch: &allow, X32: &allow}, nil, nil
	}
	return nil, nil, d.errorf(at.off, at.off+1, "read the runtime's profile, such as containerd's or CRI-O's", "the pod refers to %s: the container runtime's own profile", first)
}

const localProfile = "Localhost "

// refers returns what a seccompProfile refers to: Unconfined, RuntimeDefault, or
// Localhost and the file.
func (d *document) refers(v *value) (string, error) {
	kind, file := v.get("type"), v.get("localhostProfile")
	if kind == nil || kind.text == nil {
		return "", d.errorf(v.off, v.off+1, "", "missing type")
	}
	switch *kind.text {
	case "Localhost":
		if file == nil || file.text == nil || *file.text == "" {
			return "", d.errorf(v.off, v.off+1, "", "missing localhostProfile")
		}
		return localProfile + *file.text, nil
	case "Unconfined", "RuntimeDefault":
		return *kind.text, nil
	}
	return "", d.errorf(kind.off, kind.end, "the types are Localhost, RuntimeDefault and Unconfined", "unknown type %q", *kind.text)
}

// all returns the values of every field called name in v, from top to bottom.
func (v *value) all(name string) []*value {
	var found []*value
	switch {
	case v.list != nil:
		for _, item := range *v.list {
			found = append(found, item.all(name)...)
		}
	case v.object != nil:
		for _, m := range *v.object {
			if m.name == name && m.value.object != nil {
				found = append(found, m.value)
				continue
			}
			found = append(found, m.value.all(name)...)
		}
	}
	return found
}

// writeKubernetes writes the security context of a pod or container, and the
// profile that it refers to as a ConfigMap, from which it gets onto the nodes.
func writeKubernetes(d *Decisions, o Options) ([]byte, []Loss, error) {
	const file = "sysgate.json"
	profile, losses, err := writeOCI(d, o)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# For the pod or the container. The profile has to be on every node that it runs on,\n"+
		"# as /var/lib/kubelet/seccomp/profiles/%s.\n"+
		"securityContext:\n  seccompProfile:\n    type: Localhost\n    localhostProfile: profiles/%s\n"+
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: seccomp-profiles\ndata:\n  %s: |\n", file, file, file)
	for line := range strings.Lines(string(profile)) {
		b.WriteString("    " + line)
	}
	return b.Bytes(), losses, nil
}
