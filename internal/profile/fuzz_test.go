package profile

import (
	"bytes"
	"debug/elf"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/image"
)

// A region is a part of a program that is worth damaging.
type region struct{ off, size int }

// regions are the headers, the function table, the build information with the
// module data behind it, the types, and the code.
func regions(f *image.File, p *image.Program) []region {
	at := func(r image.Range) region {
		s := f.Segment(r.Start)
		return region{fileOffset(f, s) + int(r.Start-s.Addr), int(r.End - r.Start)}
	}
	out := []region{{0, 64 + 12*56}, at(p.Table), {at(p.Table).off, 4096}, at(p.Types), at(image.Range{Start: p.Text, End: p.Etext})}
	for i := range f.Segments {
		if s := &f.Segments[i]; s.Write {
			out = append(out, region{fileOffset(f, s), min(len(s.Data), 4096)})
		}
	}
	return out
}

// fileOffset finds where in the file the segment's bytes are.
func fileOffset(f *image.File, s *image.Segment) int {
	e, err := elf.NewFile(bytes.NewReader(f.Contents()))
	if err != nil {
		panic(err)
	}
	i := slices.IndexFunc(e.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_LOAD && p.Vaddr == s.Addr })
	return int(e.Progs[i].Off)
}

// A victim is a program to damage.
type victim struct {
	data  []byte
	parts []region
}

func newVictim(f *testing.F, env []string, flags ...string) victim {
	f.Helper()
	path := build(f, "./testdata/hello", env, append(flags, stripped)...)
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	p, err := image.LoadBytes(path, data, image.LoadOptions{Alone: true})
	if err != nil {
		f.Fatal(err)
	}
	return victim{data, regions(p.File, p)}
}

// FuzzFile damages small programs: whatever comes of it, there is an answer
// soon, and one without calls is an error.
func FuzzFile(f *testing.F) {
	victims := []victim{newVictim(f, nil), newVictim(f, []string{"GOARCH=386"}), newVictim(f, nil, "-buildmode=pie"), newVictim(f, []string{"GOARCH=arm64"}), newVictim(f, []string{"GOARCH=arm"}), newVictim(f, []string{"GOARCH=riscv64"})}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 150 {
		patch := make([]byte, 1+rnd.IntN(8))
		for k := range patch {
			patch[k] = byte(rnd.Uint32())
		}
		if i%3 == 0 {
			patch = []byte{0xff, 0xff, 0xff, 0xff}
		}
		f.Add(uint8(i), uint8(i/3), rnd.Uint32(), patch)
	}
	f.Fuzz(func(t *testing.T, which, part uint8, off uint32, patch []byte) {
		v := victims[int(which)%len(victims)]
		r := v.parts[int(part)%len(v.parts)]
		damaged := append([]byte(nil), v.data...)
		copy(damaged[r.off+int(off%uint32(r.size)):], patch)
		p, err := image.LoadBytes("damaged", damaged, image.LoadOptions{})
		if err == nil {
			var res *Result
			res, _, err = analyse(p, Options{}, newSummaries(nil), time.Now())
			if err == nil && len(res.Set.Calls) == 0 {
				t.Fatal("no calls, and no error")
			}
		}
		// A damaged path may lead to no loader.
		if refused := new(image.RefusedError); err != nil && !errors.As(err, &refused) && !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("an error that is no refusal: %v", err)
		}
	})
}

// TestHostile fills all functions of a program with code that is made to exhaust
// an analysis.
func TestHostile(t *testing.T) {
	path := build(t, "./testdata/hello", nil, stripped)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := image.LoadBytes(path, data, image.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	start := fileOffset(p.File, p.Segment(p.Text)) + int(p.Text-p.Segment(p.Text).Addr)
	for name, code := range map[string]string{
		"SYSCALL alone":                     "\x0f\x05",
		"a stack word, set behind its use":  "\x48\x8b\x44\x24\x08\x0f\x05\x48\x89\x44\x24\x08",
		"short loops":                       "\x74\x80\x0f\x05",
		"a variable that is set everywhere": "\x48\x89\x05\x00\x00\x80\x00\x48\x8b\x05\x00\x00\x80\x00\x0f\x05",
		"calls of the function itself":      "\xe8\xfb\xff\xff\xff\x0f\x05",
		"computed jumps":                    "\xff\xe0",
		"no instructions":                   "\x06",
	} {
		t.Run(name, func(t *testing.T) {
			filled := append([]byte(nil), data...)
			for _, f := range p.Funcs {
				part := filled[start+int(f.Entry) : start+int(f.End)]
				for i := range part {
					part[i] = code[i%len(code)]
				}
			}
			p, err := image.LoadBytes("hostile", filled, image.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			r, _, err := analyse(p, Options{}, newSummaries(nil), time.Now())
			if refused := new(image.RefusedError); err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if err == nil && (r.Set.Sound || len(r.Undetermined) > maxLost+1) {
				t.Errorf("sound: %v, %d undetermined", r.Set.Sound, len(r.Undetermined))
			}
		})
	}
}
