package container

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"
)

// A tree is the files of an image, the layers applied so far.
type tree struct {
	root   *node
	limits *limits
	steps  int // that walks took
}

// A node is one file of a tree.
type node struct {
	kind     kind
	layer    int32            // that it came with, from 1
	pruned   int32            // the layer that was the last to remove what is older
	children map[string]*node // of a directory
	target   string           // of a symbolic link
	file     *file            // of a regular file; hard links share it
}

type kind uint8

const (
	directory kind = iota
	regular
	symlink
	special // a device, a fifo
)

// A file is what is kept of a regular file.
type file struct {
	executable bool   // somebody may execute it
	stored     string // the name in the store of what is kept whole; ""
	binary     bool   // an ELF executable or library
	line       string // the first line of a script, with "#!"
	empty      bool
}

func newTree(l *limits) *tree {
	return &tree{root: newDirectory(1), limits: l}
}

func newDirectory(layer int32) *node {
	return &node{kind: directory, layer: layer, children: map[string]*node{}}
}

// The names by which a layer removes what lower ones have: .wh.NAME a file, and
// .wh..wh..opq all of its directory (OCI image-spec, layer.md). Other names that
// begin with .wh..wh. are AUFS's own.
const (
	whiteout     = ".wh."
	whiteoutMeta = ".wh..wh."
	opaque       = ".wh..wh..opq"
)

// cleanName returns a name of an archive as a path from the root, "" for the root
// itself. One that climbs above the root is an error.
func (t *tree) cleanName(name string) (string, error) {
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			if depth--; depth < 0 {
				return "", fmt.Errorf("%.200q leaves the image", name)
			}
		case len(part) > t.limits.name:
			return "", fmt.Errorf("%w: a part of %.200q has more than %d bytes", errTooLarge, name, t.limits.name)
		default:
			depth++
		}
	}
	clean := path.Clean("/" + name)[1:]
	if len(clean) > t.limits.path || strings.Count(clean, "/") >= t.limits.depth {
		return "", fmt.Errorf("%w: %.200q… has more than %d bytes or %d parts", errTooLarge, name, t.limits.path, t.limits.depth)
	}
	return clean, nil
}

// put adds n under a name, in the place of what is there. A directory that is
// there stays, with what is in it.
func (t *tree) put(name string, n *node) error {
	if name == "" {
		if n.kind != directory {
			return errors.New("the root is no directory")
		}
		return nil
	}
	dir, base := path.Split(name)
	parent, err := t.makeDir(dir, n.layer)
	if err != nil {
		return err
	}
	if have := parent.children[base]; have != nil && have.kind == directory && n.kind == directory {
		have.layer = n.layer
		return nil
	}
	parent.children[base] = n
	return nil
}

// hardLink adds a further name for a file.
func (t *tree) hardLink(name, target string, layer int32) error {
	target, err := t.cleanName(target)
	if err != nil {
		return fmt.Errorf("hard link %.200q: %w", name, err)
	}
	n, _, err := t.walk("/"+target, false, nil)
	switch {
	case err != nil:
		return fmt.Errorf("hard link %.200q to %.200q: %w", name, target, err)
	case n.kind == directory:
		return fmt.Errorf("hard link %.200q to the directory %.200q", name, target)
	}
	linked := *n
	linked.layer = layer
	return t.put(name, &linked)
}

// remove applies a whiteout to what lower layers have.
func (t *tree) remove(name string, layer int32) {
	dir, base := path.Split(name)
	if parent := t.dir(dir); parent != nil && parent.children[base] != nil && !parent.children[base].prune(layer) {
		delete(parent.children, base)
	}
}

// clear applies an opaque whiteout to a directory.
func (t *tree) clear(name string, layer int32) {
	if dir := t.dir(name); dir != nil && dir.pruned != layer {
		dir.pruned = layer
		for base, child := range dir.children {
			if !child.prune(layer) {
				delete(dir.children, base)
			}
		}
	}
}

// prune removes what is older than a layer, and reports whether anything is left
// of n.
func (n *node) prune(layer int32) bool {
	if n.pruned == layer { // else a layer that says it often would take its time
		return true
	}
	n.pruned = layer
	left := n.layer >= layer
	for base, child := range n.children {
		if child.prune(layer) {
			left = true
		} else {
			delete(n.children, base)
		}
	}
	return left
}

// dir returns an existing directory, nil if there is none.
func (t *tree) dir(name string) *node {
	n, _, err := t.walk("/"+name, true, nil)
	if err != nil || n.kind != directory {
		return nil
	}
	return n
}

// makeDir returns a directory, which it makes where it is not there, with those
// above it.
func (t *tree) makeDir(name string, layer int32) (*node, error) {
	n, _, err := t.walk("/"+name, true, func(parent *node, base string) *node {
		made := newDirectory(layer)
		parent.children[base] = made
		return made
	})
	return n, err
}

// maxLinks is how many links the kernel follows in one path (MAXSYMLINKS).
const maxLinks = 40

// walk returns the node at a path as a process sees it whose root the tree is, and
// its path without links: no link leads out. Without last, a link at the end is
// returned itself. missing, if not nil, makes the directories that are missing, and those
// that files are in the place of.
//
// Errors wrap the system's: ENOENT, ENOTDIR, ELOOP.
func (t *tree) walk(name string, last bool, missing func(parent *node, base string) *node) (*node, string, error) {
	var nodes []*node // from the root to the one that was reached
	var parts []string
	at := t.root
	links := 0
	rest := name
	if strings.Trim(name, "/") == "" {
		return t.root, "/", nil
	}
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if t.steps++; t.steps > t.limits.steps {
			return nil, "", tooLarge("its names", int64(t.limits.steps), "parts and links")
		}
		if at.kind != directory {
			return nil, "", syscall.ENOTDIR
		}
		switch part {
		case "", ".":
			continue
		case "..":
			if len(nodes) > 0 {
				at, nodes = nodes[len(nodes)-1], nodes[:len(nodes)-1]
				parts = parts[:len(parts)-1]
			}
			continue
		}
		next := at.children[part]
		if missing != nil && (next == nil || next.kind != directory && next.kind != symlink) {
			if len(parts) >= t.limits.depth {
				return nil, "", syscall.ENAMETOOLONG
			}
			next = missing(at, part)
		}
		switch {
		case next == nil:
			return nil, "", syscall.ENOENT
		case next.kind == symlink && (last || strings.Trim(rest, "/") != ""):
			if links++; links > maxLinks {
				return nil, "", syscall.ELOOP
			}
			if len(next.target)+len(rest) > t.limits.path {
				return nil, "", syscall.ENAMETOOLONG
			}
			if rest != "" {
				rest = next.target + "/" + rest
			} else {
				rest = next.target
			}
			if strings.HasPrefix(next.target, "/") {
				at, nodes, parts = t.root, nil, nil
			}
			if next.target == "" {
				return nil, "", syscall.ENOENT
			}
			continue
		}
		nodes, parts = append(nodes, at), append(parts, part)
		at = next
	}
	return at, "/" + strings.Join(parts, "/"), nil
}
