package bpf

// For the tests in package bpf_test, which need a package that imports bpf.
var (
	RandomProgram = randomProgram
	RandomLong    = randomLong
	RandomWord    = randomWord
	Codes         = codes
)
