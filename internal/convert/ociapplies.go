package convert

import (
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
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
			r.fail(arch, "", "unknown architecture %q", name)
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

// applies decides Docker's includes (all must hold) and excludes (none may).
func (r *ociReader) applies(includes, excludes *value) bool {
	applies := true
	for _, filter := range []*value{includes, excludes} {
		if filter == nil || !r.fields(filter, "includes", append(r.options.extension(Docker, "minKernel"), "caps", "arches")...) {
			continue
		}
		arches, caps := r.list(filter.get("arches"), "arches"), r.list(filter.get("caps"), "caps")
		native, held := false, 0
		for _, arch := range arches {
			if a, ok := dockerArch(r.text(arch, "arches")); ok && a == r.options.Native {
				native = true
			}
		}
		for _, c := range caps {
			if r.hasCap(r.text(c, "caps")) {
				held++
			}
		}
		kernel := true
		minKernel := filter.get("minKernel")
		if r.options.Dialect == Podman {
			minKernel = nil
		}
		if minKernel != nil {
			k, err := abi.ParseKernel(r.text(minKernel, "minKernel"))
			if err != nil {
				r.fail(minKernel, "", "minKernel: %v", err)
			}
			kernel = !r.options.Kernel.Before(k)
		}
		if filter == includes {
			applies = applies && (len(arches) == 0 || native) && held == len(caps) && kernel
		} else {
			applies = applies && !native && held == 0 && (minKernel == nil || !kernel)
		}
	}
	return applies
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

func (r *ociReader) hasCap(name string) bool {
	for _, c := range r.options.Caps {
		if strings.EqualFold(strings.TrimPrefix(strings.ToUpper(c), "CAP_"), strings.TrimPrefix(strings.ToUpper(name), "CAP_")) {
			return true
		}
	}
	return false
}
