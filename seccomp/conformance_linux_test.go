package seccomp_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestConformance runs the public tests of go-seccomp-bpf against this package:
// its files, from the module cache, are laid over this directory while the go
// command compiles it. What they say that is not the documented API is rewritten:
//
//   - the import path, and how a test names the architecture;
//   - the byte order of the words that their big-endian simulator reads;
//   - the rule for other architectures, which they assert;
//   - calls, whose arguments are compared in all 64 bits, for ones of which the
//     kernel reads them: read's descriptor has 32.
func TestConformance(t *testing.T) {
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("SYSGATE_LONG is not set")
	}
	testkit.NeedFilters(t)
	const module = "github.com/elastic/go-seccomp-bpf"
	for _, version := range []string{"v1.4.0", "v1.6.0"} {
		t.Run(version, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
			out, err := cmd.Output()
			var downloaded struct{ Dir, Error string }
			if json.Unmarshal(out, &downloaded) != nil || err != nil {
				t.Skipf("%s@%s is not to be had: %v: %s", module, version, err, downloaded.Error)
			}
			here, err := filepath.Abs(".")
			if err != nil {
				t.Fatal(err)
			}
			overlay := make(map[string]string)
			own, err := filepath.Glob(filepath.Join(here, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range own {
				overlay[name] = "" // as if it were not there
			}
			add := func(name, text string) {
				file := filepath.Join(dir, name)
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				overlay[filepath.Join(here, name)] = file
			}
			add("conformance_shim_test.go", shim)
			for _, name := range []string{"example_linux_test.go", "filter_test.go", "seccomp_linux_test.go"} {
				text, err := os.ReadFile(filepath.Join(downloaded.Dir, name))
				if err != nil {
					t.Fatal(err)
				}
				add(name, rewrite(t, name, string(text)))
			}
			replace, err := json.Marshal(map[string]any{"Replace": overlay})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "overlay.json")
			if err := os.WriteFile(file, replace, 0o644); err != nil {
				t.Fatal(err)
			}
			test := exec.Command("go", "test", "-overlay", file, "-count=1", "-vet=off", "-v", ".")
			log, err := test.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, log)
			}
			for name, least := range map[string]int{
				"TestPolicyAssembleBlacklist": 1, "TestPolicyAssembleWhitelist": 1, "TestPolicyAssembleLongList": 350,
				"TestPolicyAssembleDefault": 1, "TestSimpleLongList": 1, "TestSimpleConditions": 9,
				"TestTwoArgumentConditions": 9, "TestLongConditions": 1, "TestLoadFilter": 1,
			} {
				if passed := len(regexp.MustCompile(`--- PASS: `+name+`[ /]`).FindAll(log, -1)); passed < least {
					t.Errorf("%s: %d passes, want %d or more", name, passed, least)
				}
			}
		})
	}
}

// rewrite makes the changes that TestConformance lists. Each has to find its
// place.
func rewrite(t *testing.T, name, text string) string {
	t.Helper()
	for _, r := range []struct{ file, old, new string }{
		{"", `"github\.com/elastic/go-seccomp-bpf(.*)"`, `"github.com/sysgate/sysgate/seccomp$1"`},
		{"filter_test.go", `arch:(\s+)arch\.X86_64,`, `abi:$1 sysgateabi.AMD64,`},
		{"filter_test.go", `policy\.arch = arch`, `policy.abi, _ = sysgateabi.Parse(arch.Name)`},
		{"filter_test.go", `import \(`, "import (\n\tsysgateabi \"github.com/sysgate/sysgate/abi\""},
		{"filter_test.go", `filter, err := policy\.Assemble\(\)`, "policy.BadArchAction = &policy.DefaultAction\n\tfilter, err := policy.Assemble()"},
		{"filter_test.go", `var simulatorEndian = binary\.BigEndian`, `var simulatorEndian = wordsOfLittleEndian{binary.BigEndian}`},
		{"filter_test.go", `Name:( +)"(read|write)",`, `Name:$1"mmap",`},
		{"filter_test.go", `SeccompData\{NR: [01], (Arch: uint32\(arch\.X86_64\.ID\), Args)`, `SeccompData{NR: 9, $1`},
		{"seccomp_linux_test.go", `\n\s+arch: +arch\.X86_64,`, ``},
		{"seccomp_linux_test.go", `\n\s+"github\.com/stretchr/testify/assert"`, ``},
		{"seccomp_linux_test.go", `\n\s+"github\.com/sysgate/sysgate/seccomp/arch"`, ``},
	} {
		if r.file != "" && r.file != name {
			continue
		}
		old := regexp.MustCompile(r.old)
		if !old.MatchString(text) {
			t.Errorf("%s: nothing matches %s", name, r.old)
		}
		text = old.ReplaceAllString(text, r.new)
	}
	if strings.Contains(text, "elastic/go-seccomp-bpf\"") {
		t.Errorf("%s still imports the documented package", name)
	}
	return text
}

// shim declares what the tests take from the package beside its API, and from
// testify.
const shim = `package seccomp

import (
	"encoding/binary"
	"strings"
	"testing"
)

var nativeEndian binary.ByteOrder

const errnoENOSYS = 38

// wordsOfLittleEndian writes the words of a 64-bit value in the order of a
// little-endian machine, for a simulator that reads each of them big-endian.
type wordsOfLittleEndian struct{ binary.ByteOrder }

func (o wordsOfLittleEndian) PutUint64(b []byte, v uint64) {
	o.PutUint32(b, uint32(v))
	o.PutUint32(b[4:], uint32(v>>32))
}

var assert asserter

type asserter struct{}

func (asserter) Contains(t testing.TB, s, part string) {
	if !strings.Contains(s, part) {
		t.Errorf("%q does not contain %q", s, part)
	}
}
`
