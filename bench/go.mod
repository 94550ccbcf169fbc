module github.com/sysgate/sysgate/bench

go 1.26.0

tool github.com/elastic/go-seccomp-bpf/cmd/seccomp-profiler

require (
	github.com/elastic/go-seccomp-bpf v1.6.0
	github.com/sysgate/sysgate v0.0.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.50.0
	gvisor.dev/gvisor v0.0.0-20250205023644-9414b50a5633
)

require (
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/time v0.7.0 // indirect
	gopkg.in/yaml.v2 v2.4.0 // indirect
)

replace github.com/sysgate/sysgate => ..
