# make test       the whole suite (as root where it can be: kernel tests load real filters)
# make test-long  what takes longer: fuzzing, large binaries, ten times the random policies
# make bench      sysgate beside its peers, in one run (needs the module proxy, gcc and libseccomp-dev; root for times)
# make check      what CI checks beside the tests

GO ?= go
TESTFLAGS ?=
FUZZTIME ?= 60s
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT = $(GO) run mvdan.cc/gofumpt@v0.12.0

.PHONY: build test test-long fuzz bench check vet fmt generate cross

build:
	$(GO) build -o sysgate ./cmd/sysgate

test:
	$(GO) test -timeout 20m $(TESTFLAGS) ./...

test-long:
	SYSGATE_LONG=1 $(GO) test -count=1 -timeout 120m ./...
	$(MAKE) fuzz

# Every fuzz target of the module, one after the other, FUZZTIME each.
fuzz:
	GO="$(GO)" FUZZTIME="$(FUZZTIME)" .ci/fuzz

bench:
	cd bench && $(GO) run .

check: vet fmt generate cross

vet:
	$(GO) vet ./...
	$(STATICCHECK) ./...

fmt:
	@out=$$($(GOFUMPT) -l .); if [ -n "$$out" ]; then echo "not formatted:"; echo "$$out"; exit 1; fi

# Generated files have to be what the generators write.
generate:
	@before=$$(.ci/treehash); $(GO) generate ./...; \
	if [ "$$before" != "$$(.ci/treehash)" ]; then git status --short; git diff --stat; echo "go generate changed the tree"; exit 1; fi

# What has to build where no filter can be loaded.
cross:
	GOOS=js GOARCH=wasm $(GO) build . ./abi ./bpf ./policy ./seccomp ./seccomp/arch ./internal/compile ./internal/proof ./internal/build
	GOOS=darwin GOARCH=arm64 $(GO) build . ./seccomp/... ./cmd/... ./internal/...
	GOOS=freebsd GOARCH=amd64 $(GO) build . ./seccomp/... ./cmd/... ./internal/...
	GOOS=windows GOARCH=amd64 $(GO) build . ./seccomp/... ./cmd/... ./internal/...
	GOARCH=386 $(GO) build ./...
	GOARCH=arm64 $(GO) build ./...
	GOARCH=s390x $(GO) build ./...
