// Package build turns a resolved policy into a filter that has been proved equal
// to it:
//
//	filter, err := build.Build(resolved)
//	filter, err := build.BuildFor(resolved, build.Options{Mode: build.Size})
//
// [ConstAllow] says which calls the kernel answers without running the filter, and
// [Explain] what each pass of the compiler made.
//
// It is the only importer of internal/compile, so that no program that the
// module emits or loads has escaped the proof; a test of the repository holds it
// to that. A program that the proof refutes, or cannot decide within its budget,
// is an [*UnprovedError] and is not returned.
//
// Its tests compare policies, the simulator, the proof and the running kernel on
// random policies, and see that the proof catches programs of which one
// instruction was changed.
package build
