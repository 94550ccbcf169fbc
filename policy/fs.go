package policy

import (
	"fmt"
	"io/fs"
)

// ParseFS is [Parse] of a file of fsys, such as one that the program embeds:
//
//	//go:embed policy.yaml
//	var files embed.FS
//
//	p, err := policy.ParseFS(files, "policy.yaml")
func ParseFS(fsys fs.FS, name string) (*Policy, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return Parse(name, data)
}
