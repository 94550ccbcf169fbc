package abi

import "strings"

// otherNames are what the ABIs are called elsewhere: by uname(2), Debian, GNU,
// systemd and container tools.
var otherNames = []struct {
	name string
	abi  ABI
}{
	{"aarch64", ARM64},
	{"arm32", ARM},
	{"armel", ARM},
	{"armhf", ARM},
	{"armv6l", ARM},
	{"armv7", ARM},
	{"armv7l", ARM},
	{"i386", I386},
	{"i486", I386},
	{"i586", I386},
	{"i686", I386},
	{"ia32", I386},
	{"loongarch64", LOONG64},
	{"mips-le", MIPSLE},
	{"mips64-le", MIPS64LE},
	{"mips64el", MIPS64LE},
	{"mipsel", MIPSLE},
	{"powerpc64", PPC64},
	{"powerpc64le", PPC64LE},
	{"ppc64-le", PPC64LE},
	{"ppc64el", PPC64LE},
	{"x64", AMD64},
	{"x86", I386},
	{"x86-64", AMD64},
	{"x86_64", AMD64},
}

// Parse returns the ABI called name: as [ABI.String] prints it, or as other
// tools call it (x86_64, i386, aarch64, …), in either case of letters.
func Parse(name string) (ABI, bool) {
	name = strings.ToLower(name)
	for a := None + 1; a < numABIs; a++ {
		if infos[a].name == name {
			return a, true
		}
	}
	for _, other := range otherNames {
		if other.name == name {
			return other.abi, true
		}
	}
	return None, false
}
