package proc

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Place is where a process belongs.
type Place struct {
	Cgroup    string // path of the cgroup: version 2's, or that of systemd's or the pids hierarchy
	Container string // ID; "" outside of containers
	Runtime   string // docker, podman, containerd, cri-o, lxc, nspawn, runc, crun, or "" where the name does not tell
	Pod       string // UID of a Kubernetes pod
	Unit      string // innermost systemd unit: "nginx.service"
}

// The names that runtimes give to the cgroups of their containers. The first that
// matches a part of the path decides, from the innermost on.
var containers = []struct {
	runtime string
	name    *regexp.Regexp // of one part of the path, or two; its group is the ID
}{
	{"docker", regexp.MustCompile(`^docker-([0-9a-f]{64})\.scope$`)},
	{"podman", regexp.MustCompile(`^libpod-([0-9a-f]{64})(?:\.scope)?$`)},
	{"cri-o", regexp.MustCompile(`^crio-([0-9a-f]{64})(?:\.scope)?$`)},
	{"containerd", regexp.MustCompile(`^cri-containerd-([0-9a-f]{64})(?:\.scope)?$`)},
	{"containerd", regexp.MustCompile(`^[^:]+:cri-containerd:([0-9a-f]{64})$`)},
	{"cri-o", regexp.MustCompile(`^[^:]+:crio:([0-9a-f]{64})$`)},
	{"containerd", regexp.MustCompile(`^nerdctl-([0-9a-f]{64})\.scope$`)},
	{"lxc", regexp.MustCompile(`^lxc\.payload\.(.+)$`)},
	{"nspawn", regexp.MustCompile(`^systemd-nspawn@(.+)\.service$`)},
	{"nspawn", regexp.MustCompile(`^machine-(.+)\.scope$`)},
	{"", regexp.MustCompile(`^([0-9a-f]{64})$`)}, // whose, the part before may tell
}

// pod matches the UID of a pod, as cgroupfs or systemd spells it.
var pod = regexp.MustCompile(`^(?:kubepods.*-)?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$`)

// states are the directories in which runtimes keep a directory for each
// container, whose name is the container's and, by default, its cgroup's.
var states = []struct{ runtime, dir string }{{"runc", "/run/runc"}, {"crun", "/run/crun"}}

// ParseCgroup reads /proc/PID/cgroup (cgroups(7)).
func ParseCgroup(text string) Place { return parseCgroup(text, "/") }

// parseCgroup looks for the states of runtimes below root.
func parseCgroup(text, root string) Place {
	paths := cgroupPaths(text)
	var p Place
	if len(paths) == 0 {
		return p
	}
	p.Cgroup = paths[0]
	for _, path := range paths {
		parts := strings.Split(strings.Trim(path, "/"), "/")
		slices.Reverse(parts) // the innermost first
		for i, part := range parts {
			part = strings.TrimPrefix(part, "_") // systemd's escape
			if p.Unit == "" && isUnit(part) {
				p.Unit = unescapeUnit(part)
			}
			if m := pod.FindStringSubmatch(part); m != nil && p.Pod == "" {
				p.Pod = strings.ReplaceAll(m[1], "_", "-")
			}
			if p.Container == "" {
				outer := ""
				if i+1 < len(parts) {
					outer = parts[i+1]
				}
				p.Container, p.Runtime = containerOf(part, outer, root)
			}
		}
	}
	return p
}

// cgroupPaths returns the paths of a cgroup file, without the root's, the most
// telling hierarchy first: version 2's, systemd's, then the others in order.
func cgroupPaths(text string) []string {
	var first, rest []string
	for line := range strings.Lines(text) {
		_, line, _ = strings.Cut(strings.TrimRight(line, "\n"), ":")
		controllers, path, ok := strings.Cut(line, ":")
		path = strings.TrimSuffix(path, " (deleted)")
		if !ok || path == "/" || path == "" {
			continue
		}
		if controllers == "" || controllers == "name=systemd" {
			first = append(first, path)
		} else {
			rest = append(rest, path)
		}
	}
	slices.Sort(rest)
	return append(first, slices.Compact(rest)...)
}

func containerOf(part, outer, root string) (id, runtime string) {
	for _, c := range containers {
		m := c.name.FindStringSubmatch(part)
		if m == nil {
			continue
		}
		if c.runtime != "" {
			return unescapeUnit(m[1]), c.runtime
		}
		switch {
		case outer == "docker":
			return m[1], "docker"
		case strings.HasPrefix(outer, "libpod"):
			return m[1], "podman"
		}
		return m[1], ""
	}
	if outer == "lxc" || outer == "lxc.payload" {
		return part, "lxc"
	}
	for _, s := range states {
		if part == "" || part == "." || part == ".." || isUnit(part) || strings.HasSuffix(part, ".slice") {
			break
		}
		if info, err := os.Stat(filepath.Join(root, s.dir, part)); err == nil && info.IsDir() {
			return part, s.runtime
		}
	}
	return "", ""
}

func isUnit(part string) bool {
	for _, kind := range []string{".service", ".scope", ".socket", ".mount", ".swap"} {
		if name, ok := strings.CutSuffix(part, kind); ok && name != "" {
			return true
		}
	}
	return false
}

// escaped matches a byte that systemd writes in hexadecimal.
var escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)

func unescapeUnit(name string) string {
	return escaped.ReplaceAllStringFunc(name, func(e string) string {
		const digits = "0123456789abcdef"
		return string([]byte{byte(strings.IndexByte(digits, e[2])<<4 | strings.IndexByte(digits, e[3]))})
	})
}
