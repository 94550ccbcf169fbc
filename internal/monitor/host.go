package monitor

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
)

// A Host is what the events of a machine say of it and of their maker.
type Host struct {
	Name, Architecture, ID string
	Containerized          bool
	IP, MAC                []string
	OS                     map[string]string // family, name, version, codename, platform, kernel
	Version                string            // sysgate's
	agent, run             string            // IDs of this installation and of this run
}

// ThisHost looks at the machine. version is sysgate's.
func ThisHost(version string) *Host {
	h := &Host{Version: version, OS: map[string]string{}, Architecture: runtime.GOARCH, run: uuid(rand.Text())}
	h.Name, _ = os.Hostname()
	if machine, kernel := machine(); machine != "" {
		h.Architecture, h.OS["kernel"] = machine, kernel
	}
	if id, err := os.ReadFile("/etc/machine-id"); err == nil {
		h.ID = strings.TrimSpace(string(id))
	}
	h.agent = uuid("sysgate " + h.ID + " " + h.Name)
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if text, err := os.ReadFile(file); err == nil {
			osRelease(h.OS, string(text))
			break
		}
	}
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			h.Containerized = true
		}
	}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		if mac := i.HardwareAddr.String(); mac != "" && !slices.Contains(h.MAC, mac) {
			h.MAC = append(h.MAC, mac)
		}
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok {
				h.IP = append(h.IP, n.IP.String())
			}
		}
	}
	return h
}

// osRelease reads os-release(5) into the fields of ECS.
func osRelease(fields map[string]string, text string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		if field, ok := map[string]string{"NAME": "name", "VERSION": "version", "VERSION_CODENAME": "codename", "ID": "platform"}[key]; ok {
			fields[field] = value
		}
		if like, _, _ := strings.Cut(value, " "); key == "ID_LIKE" || key == "ID" && fields["family"] == "" {
			fields["family"] = like
		}
	}
}

// uuid makes an identifier of a text.
func uuid(text string) string {
	sum := sha256.Sum256([]byte(text))
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// set sets the fields of the machine and of the maker.
func (h *Host) set(d *document, l Layout) {
	d.set("host.name", h.Name)
	d.set("host.architecture", h.Architecture)
	d.set("host.id", h.ID)
	for field, value := range h.OS {
		d.set("host.os."+field, value)
	}
	d.set("host.containerized", h.Containerized)
	if l == ECS6 {
		d.set("beat.name", h.Name)
		d.set("beat.hostname", h.Name)
		d.set("beat.version", h.Version)
		return
	}
	d.set("ecs.version", map[Layout]string{ECS7: "1.5.0", ECS8: "8.11.0"}[l])
	d.set("host.hostname", h.Name)
	d.set("host.ip", h.IP)
	d.set("host.mac", h.MAC)
	d.set("agent.type", "sysgate")
	d.set("agent.version", h.Version)
	d.set("agent.hostname", h.Name)
	d.set("agent.id", h.agent)
	d.set("agent.ephemeral_id", h.run)
}
