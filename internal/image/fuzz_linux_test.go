package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad damages a static program, a dynamically linked one, its library and
// its loader. All are small: they have everything but a C library.
func FuzzLoad(f *testing.F) {
	needAMD64(f)
	dir := f.TempDir()
	const lib = `
static int one(void) { return 1; }
int (*chooser(void))(void) { return one; }
int chosen(void) __attribute__((ifunc("chooser")));
int called(void) { return 3; }
int (*table[2])(void) = { called, 0 };
static void start(void) __attribute__((constructor));
static void start(void) { table[1] = called; }
__asm__(".text; .hidden raw; .global raw; .byte 0x0f,0x1f,0; raw: mov $60,%eax; syscall; ret; .long 1,2,3,4,5");
`
	const program = `
int chosen(void), called(void), absent(void) __attribute__((weak));
extern int (*table[2])(void);
int (*pointer)(void) = called;
void _start(void) { (absent ? absent : pointer)(); chosen(); table[0](); for (;;) ; }
`
	plain := []string{"-nostdlib", "-fno-stack-protector", "-O1"}
	compile(f, dir, "ld.so", lib, append(plain, "-shared", "-fPIC", "-Wl,-z,pack-relative-relocs")...)
	compile(f, dir, "libx.so", lib, append(plain, "-shared", "-fPIC", "-Wl,-soname,libx.so.1")...)
	compile(f, dir, "dynamic", program, append(plain, "libx.so", "-no-pie", "-fno-pie", "-Wl,--dynamic-linker=/ld.so")...)
	compile(f, dir, "static", program+lib, append(plain, "-static-pie")...)
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "lib"), 0o700); err != nil {
		f.Fatal(err)
	}
	victims := map[byte][]byte{}
	places := map[byte]string{'s': "", 'd': "", 'l': filepath.Join(root, "lib/libx.so.1"), 'i': filepath.Join(root, "ld.so")}
	restore := func() {
		for k, place := range places {
			if place != "" {
				// A new file each time: the old one may be mapped.
				os.Remove(place)
				if err := os.WriteFile(place, victims[k], 0o700); err != nil {
					f.Fatal(err)
				}
			}
		}
	}
	for k, name := range map[byte]string{'s': "static", 'd': "dynamic", 'l': "libx.so", 'i': "ld.so"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		victims[k] = data
		o, err := parseObject(name, data)
		if err != nil {
			f.Fatal(err)
		}
		d := o.dynamic
		offset := func(addr uint64) uint32 { return uint32(len(data) - len(o.bytes(addr))) }
		for _, addr := range []uint64{d.symbols, d.strings, d.rela, d.plt, d.relr, d.hash, d.gnuHash, d.versym, d.verneed, o.unwind} {
			if addr != 0 && o.bytes(addr) != nil && o.segments[0].Data != nil {
				f.Add(k, offset(addr), []byte{0xff, 0xff, 0xff, 0xff})
				f.Add(k, offset(addr)+9, []byte{1, 2, 3})
			}
		}
		for off := uint32(16); off < 64+12*56; off += 8 {
			f.Add(k, off, []byte{0xff, 0xff})
		}
	}
	restore()
	for _, k := range []byte("sd") {
		p, err := LoadBytes("whole", victims[k], LoadOptions{Root: root})
		if err != nil {
			f.Fatal(err)
		}
		checkFuncs(f, p)
		if k == 'd' && len(p.Modules) != 3 {
			f.Fatalf("%d modules", len(p.Modules))
		}
		p.Close()
	}
	f.Fuzz(func(t *testing.T, k byte, off uint32, patch []byte) {
		whole, ok := victims[k]
		if !ok || len(patch) > 64 {
			return
		}
		damaged := append([]byte(nil), whole...)
		copy(damaged[off%uint32(len(damaged)):], patch)
		exe := victims['d']
		if place := places[k]; place != "" {
			os.Remove(place)
			if err := os.WriteFile(place, damaged, 0o700); err != nil {
				t.Fatal(err)
			}
			defer restore()
		} else {
			exe = damaged
		}
		p, err := LoadBytes("damaged", exe, LoadOptions{Root: root})
		if refused := new(RefusedError); errors.As(err, &refused) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		checkFuncs(t, p)
		for _, m := range p.Modules {
			for s := range m.Symbols {
				p.Lookup(s.Name)
			}
		}
	})
}
