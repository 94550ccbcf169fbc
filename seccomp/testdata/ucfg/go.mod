module github.com/sysgate/sysgate/seccomp/testdata/ucfg

go 1.26.0

require (
	github.com/elastic/go-seccomp-bpf v1.6.0
	github.com/elastic/go-ucfg v0.8.8
	github.com/sysgate/sysgate v0.0.0
	gopkg.in/yaml.v2 v2.4.0
)

require (
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/sysgate/sysgate => ../../..
