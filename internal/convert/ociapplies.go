package convert

import (
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// scmpArchs are libseccomp's architectures; None for those that sysgate has no
// tables for.
var scmpArchs = map[string]abi.ABI{
	"SCMP_ARCH_X86":         abi.I386,
	"SCMP_ARCH_X86_64":      abi.AMD64,
	"SCMP_ARCH_X32":         abi.X32,
	"SCMP_ARCH_ARM":         abi.ARM,
	"SCMP_ARCH_AARCH64":     abi.ARM64,
	"SCMP_ARCH_MIPS":        abi.MIPS,
	"SCMP_ARCH_MIPS64":      abi.MIPS64,
	"SCMP_ARCH_MIPS64N32":   abi.None,
	"SCMP_ARCH_MIPSEL":      abi.MIPSLE,
	"SCMP_ARCH_MIPSEL64":    abi.MIPS64LE,
	"SCMP_ARCH_MIPSEL64N32": abi.None,
	"SCMP_ARCH_PPC":         abi.None,
	"SCMP_ARCH_PPC64":       abi.PPC64,
	"SCMP_ARCH_PPC64LE":     abi.PPC64LE,
	"SCMP_ARCH_RISCV64":     abi.RISCV64,
	"SCMP_ARCH_S390":        abi.None,
	"SCMP_ARCH_S390X":       abi.S390X,
	"SCMP_ARCH_LOONGARCH64": abi.LOONG64,
	"SCMP_ARCH_PARISC":      abi.None,
	"SCMP_ARCH_PARISC64":    abi.None,
	"SCMP_ARCH_M68K":        abi.None,
	"SCMP_ARCH_SH":          abi.None,
	"SCMP_ARCH_SHEB":        abi.None,
}

// architectures returns the ABIs of the filter: the native one, and those that
// architectures, or the native entry of archMap, adds.
func (r *ociReader) architectures(v *value) []abi.ABI {
	abis := []abi.ABI{r.options.Native}
	add := func(arch *value) abi.ABI {
		name := r.text(arch, "architectures")
		if name == "SCMP_ARCH_NATIVE" {
			return r.options.Native
		}
		a, ok := scmpArchs[name]
		switch {
		case !ok:
			r.fail(arch, hintOf(name, slices.Sorted(maps.Keys(scmpArchs)), "the architectures are "), "unknown architecture %q", name)
		case a == abi.None:
			r.lose(arch.off, "architecture "+name+" has no tables here: its calls are answered like those of an unlisted one")
		}
		return a
	}
	list := r.list(v.get("architectures"), "architectures")
	archMap := v.get("archMap")
	if r.options.Dialect == Operator {
		archMap = nil
	}
	if len(list) > 0 && archMap != nil && len(r.list(archMap, "archMap")) > 0 {
		r.fail(archMap, "", "architectures and archMap are both set: write one")
		return abis
	}
	for _, entry := range r.list(archMap, "archMap") {
		if !r.fields(entry, "archMap", "architecture", "subArchitectures") {
			continue
		}
		arch := entry.get("architecture")
		if arch == nil {
			r.fail(entry, "", "missing architecture")
			continue
		}
		if scmpArchs[r.text(arch, "architecture")] == r.options.Native {
			list = r.list(entry.get("subArchitectures"), "subArchitectures")
			break
		}
	}
	for _, arch := range list {
		a := add(arch)
		switch {
		case a == abi.None || slices.Contains(abis, a):
		case a.BigEndian() != abis[0].BigEndian():
			r.fail(arch, "", "%s and the native %s have different byte orders: libseccomp refuses them in one filter", a, abis[0])
		default:
			abis = append(abis, a)
		}
	}
	return abis
}

// A guard is what Docker's includes and excludes of an entry ask of the container.
// The zero value asks nothing.
type guard struct {
	caps    []string   // all of them
	notCaps []string   // none of them
	from    abi.Kernel // this release or a newer one
	before  abi.Kernel // an older one; zero: any
}

// empty reports that g asks nothing.
func (g guard) empty() bool {
	return len(g.caps)+len(g.notCaps) == 0 && g.from == abi.Kernel{} && g.before == abi.Kernel{}
}

// holds reports whether a container with capabilities on a release is what g asks
// for.
func (g guard) holds(has func(capability string) bool, k abi.Kernel) bool {
	return !slices.ContainsFunc(g.caps, func(c string) bool { return !has(c) }) && !slices.ContainsFunc(g.notCaps, has) &&
		!k.Before(g.from) && (g.before == abi.Kernel{} || k.Before(g.before))
}

// guard reads Docker's includes (all must hold) and excludes (none may). never is
// set where the machine's architecture rules the entry out.
func (r *ociReader) guard(includes, excludes *value) (g guard, never bool) {
	for _, filter := range []*value{includes, excludes} {
		if filter == nil || !r.fields(filter, "includes", append(r.options.extension(Docker, "minKernel"), "caps", "arches")...) {
			continue
		}
		arches := r.list(filter.get("arches"), "arches")
		native := slices.ContainsFunc(arches, func(arch *value) bool {
			a, ok := dockerArch(r.text(arch, "arches"))
			return ok && a == r.options.Native
		})
		var caps []string
		for _, c := range r.list(filter.get("caps"), "caps") {
			name := "CAP_" + strings.TrimPrefix(strings.ToUpper(r.text(c, "caps")), "CAP_")
			if !slices.Contains(policy.Capabilities(), name) {
				r.lose(c.off, name+" is no capability: nothing has it")
				never = never || filter == includes
				continue
			}
			caps = append(caps, name)
		}
		var kernel abi.Kernel
		if minKernel := filter.get("minKernel"); minKernel != nil && r.options.Dialect != Podman {
			k, err := abi.ParseKernel(r.text(minKernel, "minKernel"))
			if err != nil {
				r.fail(minKernel, "", "minKernel: %v", err)
			}
			kernel = k
			never = never || filter == excludes && k == abi.Kernel{} // every release is newer
		}
		if filter == includes {
			never = never || len(arches) > 0 && !native
			g.caps, g.from = caps, kernel
		} else {
			never = never || native
			g.notCaps, g.before = caps, kernel
		}
	}
	return g, never
}

// dockerArch returns the ABI that Docker calls name: Go's names, and others.
func dockerArch(name string) (abi.ABI, bool) {
	if strings.HasSuffix(name, "n32") || name == "ppc" || name == "s390" {
		return abi.None, false
	}
	if name == "mipsel64" {
		return abi.MIPS64LE, true
	}
	return abi.Parse(name)
}

// hasCap reports whether the container has a capability, named as guards have it.
func (r *ociReader) hasCap(name string) bool {
	return slices.ContainsFunc(r.options.Caps, func(c string) bool {
		return "CAP_"+strings.TrimPrefix(strings.ToUpper(c), "CAP_") == name
	})
}
