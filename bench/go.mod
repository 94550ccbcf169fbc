module github.com/sysgate/sysgate/bench

go 1.26.0

tool github.com/elastic/go-seccomp-bpf/cmd/seccomp-profiler

require (
	github.com/elastic/go-seccomp-bpf v1.6.0 // indirect
	golang.org/x/net v0.41.0 // indirect
	golang.org/x/sys v0.33.0 // indirect
	gopkg.in/yaml.v2 v2.4.0 // indirect
)
