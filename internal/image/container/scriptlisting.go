package container

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// pipe notes that a loop reads what find lists: find DIR | sort | while read -r f; do.
func (s *script) pipe(n *syntax.BinaryCmd, when moment, from origin) {
	loop, ok := n.Y.Cmd.(*syntax.WhileClause)
	if !ok {
		return
	}
	stage := n.X
	for {
		b, ok := stage.Cmd.(*syntax.BinaryCmd)
		if !ok || b.Op != syntax.Pipe {
			break
		}
		if filter, ok := b.Y.Cmd.(*syntax.CallExpr); !ok || len(filter.Args) == 0 || !slices.Contains([]string{"sort", "uniq", "grep", "head", "tail"}, filter.Args[0].Lit()) {
			return
		}
		stage = b.X
	}
	find, ok := stage.Cmd.(*syntax.CallExpr)
	if !ok || len(find.Args) == 0 || find.Args[0].Lit() != "find" {
		return
	}
	for _, stmt := range loop.Cond {
		if read, ok := stmt.Cmd.(*syntax.CallExpr); ok && len(read.Args) > 0 {
			s.listings[read] = command{find, when, from}
		}
	}
}

// listed notes that a variable can be any file that find lists, of the image and of
// what is put there later.
func (s *script) listed(name string, find command) {
	s.assign(name, assigned{unknown: true})
	for _, argv := range s.words(find) {
		for _, dir := range argv[1:] {
			if dir == "" || dir[0] == '-' || dir[0] == '(' || dir[0] == '!' {
				break
			}
			if strings.Contains(dir, unknown) {
				continue
			}
			for _, cwd := range s.dirs {
				for _, file := range s.f.root.tree.below(s.f.absolute(environment{dir: cwd}, dir)) {
					s.assign(name, assigned{text: file})
				}
			}
		}
	}
}

// maxListed bounds the files of a directory that are followed.
const maxListed = 64

// below returns the paths of the files below a directory, none if they are too many.
func (t *tree) below(dir string) []string {
	n, _, err := t.walk(dir, true, nil)
	if err != nil {
		return nil
	}
	var files []string
	var list func(n *node, at string) bool
	list = func(n *node, at string) bool {
		for base, child := range n.children {
			name := path.Join(at, base)
			if child.kind == directory {
				if !list(child, name) {
					return false
				}
			} else if files = append(files, name); len(files) > maxListed {
				return false
			}
		}
		return true
	}
	if !list(n, dir) {
		return nil
	}
	slices.Sort(files)
	return files
}

// glob returns the paths that a pattern stands for, whose parts are as path.Match has
// them; none if they are too many.
func (t *tree) glob(pattern string) []string {
	found := []string{"/"}
	for part := range strings.SplitSeq(pattern, "/") {
		if part == "" {
			continue
		}
		var next []string
		for _, dir := range found {
			n, _, err := t.walk(dir, true, nil)
			if err != nil || n.kind != directory {
				continue
			}
			for base := range n.children {
				if ok, err := path.Match(part, base); err == nil && ok && (base[0] != '.' || part[0] == '.') {
					next = append(next, path.Join(dir, base))
				}
			}
			if len(next) > maxListed {
				return nil
			}
		}
		found = next
	}
	slices.Sort(found)
	return found
}
