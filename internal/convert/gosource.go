package convert

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	goparser "go/parser"
	"go/scanner"
	gotoken "go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatGoSource = Format{
	Name: "go-source", Title: "Go file that registers a policy",
	Detect: isGoSource, Read: readGoSource, Write: writeGoSource,
	Says: Says{
		Actions:   "all",
		Default:   "one action",
		Unknown:   "the default",
		Arguments: "equality, order without a sign, bits set or clear, of the bits that the kernel reads",
		Order:     "the first group that has the call",
		ABIs:      "one; others: BadArchAction, or with go-seccomp-bpf the default",
	},
}

// goPolicy matches the composite literal of a policy.
var goPolicy = regexp.MustCompile(`\bPolicy\s*\{`)

// goImport matches the import path of a package with the type Policy: sysgate's,
// go-seccomp-bpf, libbeat's.
var goImport = regexp.MustCompile(`(^|/)(seccomp|go-seccomp-bpf)(/v[0-9]+)?$`)

func isGoSource(name string, data []byte) bool {
	if !goPolicy.Match(data) || len(data) > maxText {
		return false
	}
	file, err := goparser.ParseFile(gotoken.NewFileSet(), name, data, goparser.ImportsOnly|goparser.SkipObjectResolution)
	return err == nil && goPackage(file) != ""
}

// goPackage returns what file calls the package with the type Policy, "" if it
// imports none: of several with such a path, that of which it has a policy.
func goPackage(file *ast.File) string {
	var names []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !goImport.MatchString(imported) {
			continue
		}
		name := "seccomp" // in all
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names = append(names, name)
	}
	for _, name := range names {
		found := false
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			found = found || ok && (&goReader{pkg: name}).isType(literal.Type, "Policy")
			return !found
		})
		if found {
			return name
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return ""
}

// notGo returns the first of the errors of Go's parser, with its place.
func notGo(d *document, err error) error {
	var all scanner.ErrorList
	if !errors.As(err, &all) || len(all) == 0 {
		return fmt.Errorf("not Go: %w", err)
	}
	return d.errorf(all[0].Pos.Offset, 0, "", "not Go: %s", all[0].Msg)
}

// readGoSource reads the policy that a Go file builds of constants, without
// running it.
func readGoSource(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	d := newDocument(name, data)
	if len(data) > maxText {
		return nil, nil, d.errorf(0, 0, "", "file of %d bytes is too large: the limit is %d", len(data), maxText)
	}
	set := gotoken.NewFileSet()
	file, err := goparser.ParseFile(set, name, data, goparser.ParseComments|goparser.SkipObjectResolution)
	if err != nil {
		return nil, nil, notGo(d, err)
	}
	r := &goReader{document: d, set: set, pkg: goPackage(file), values: make(map[string]ast.Expr)}
	if r.pkg == "" {
		return nil, nil, r.fail(file.Name, "", "the file imports no package with the type Policy")
	}
	if r.abi, err = r.target(file, o); err != nil {
		return nil, nil, err
	}
	var literals []*ast.CompositeLit
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if r.isType(n.Type, "Policy") {
				literals = append(literals, n)
				return false
			}
		case *ast.ValueSpec:
			for i, ident := range n.Names {
				if i < len(n.Values) {
					r.bind(ident.Name, n.Values[i])
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if ident, ok := left.(*ast.Ident); ok && len(n.Rhs) == len(n.Lhs) {
					r.bind(ident.Name, n.Rhs[i])
				}
			}
		}
		return true
	})
	switch len(literals) {
	case 0:
		return nil, nil, r.fail(file.Name, "", "the file has no literal of %s.Policy", r.pkg)
	case 1:
	default:
		return nil, nil, r.fail(literals[1], "", "the file has several literals of %s.Policy", r.pkg)
	}
	p, err := r.policy(literals[0])
	if err != nil {
		return nil, nil, err
	}
	if !importsSysgate(file) { // go-seccomp-bpf lets other architectures take the default action
		if p.BadArch == nil {
			p.BadArch = &p.Default
		}
	}
	return p, nil, nil
}

// importsSysgate reports whether the package with the type Policy is sysgate's.
func importsSysgate(file *ast.File) bool {
	return slices.ContainsFunc(file.Imports, func(s *ast.ImportSpec) bool {
		return s.Path.Value == `"github.com/sysgate/sysgate/seccomp"`
	})
}

type goReader struct {
	*document
	set    *gotoken.FileSet
	pkg    string
	abi    abi.ABI
	values map[string]ast.Expr // nil for names with several values
	depth  int
}

func (r *goReader) bind(name string, e ast.Expr) {
	if _, twice := r.values[name]; twice {
		e = nil
	}
	r.values[name] = e
}

func (r *goReader) fail(n ast.Node, hint, format string, args ...any) error {
	from, to := r.set.Position(n.Pos()).Offset, r.set.Position(n.End()).Offset
	to = min(to, len(r.data))
	if line := bytes.IndexByte(r.data[min(from, to):to], '\n'); line >= 0 {
		to = from + line
	}
	return r.errorf(from, max(to, from+1), hint, format, args...)
}

// target returns the ABI that the file is built for: of those that its name and
// its build constraint admit the machine's, or the only one.
func (r *goReader) target(file *ast.File, o Options) (abi.ABI, error) {
	var expr constraint.Expr
	for _, group := range file.Comments {
		for _, c := range group.List {
			if c.Pos() < file.Package && constraint.IsGoBuild(c.Text) {
				e, err := constraint.Parse(c.Text)
				if err != nil {
					return abi.None, r.fail(c, "", "build constraint: %v", err)
				}
				expr = e
			}
		}
	}
	words := strings.Split(strings.TrimSuffix(path.Base(r.document.name), ".go"), "_")
	last := words[len(words)-1]
	var all []abi.ABI
	for _, a := range abi.All() {
		arch := a.String()
		if _, named := abi.Parse(last); named && len(words) > 1 && last != arch || a == abi.X32 {
			continue
		}
		if expr == nil || expr.Eval(func(tag string) bool {
			return tag == "linux" || tag == "unix" || tag == arch || strings.HasPrefix(tag, "go1.")
		}) {
			all = append(all, a)
		}
	}
	switch native := o.native(); {
	case slices.Contains(all, native):
		return native, nil
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return abi.None, r.fail(file.Name, "", "the file is built for none of the architectures")
	default:
		return abi.None, r.fail(file.Name, "name the ABI", "the file is built for several architectures")
	}
}

// isType reports whether e is the type called name, of the package or where its
// name is left out within one of its literals.
func (r *goReader) isType(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == r.pkg
}

// follow returns the literal that e is, through names and &.
func (r *goReader) follow(e ast.Expr) ast.Expr {
	for range 10 {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.UnaryExpr:
			if x.Op != gotoken.AND {
				return e
			}
			e = x.X
		case *ast.Ident:
			value := r.values[x.Name]
			if value == nil {
				return e
			}
			e = value
		default:
			return e
		}
	}
	return e
}

// fields returns the fields of a literal of a struct.
func (r *goReader) fields(e ast.Expr, known ...string) (map[string]ast.Expr, error) {
	literal, ok := r.follow(e).(*ast.CompositeLit)
	if !ok {
		return nil, r.fail(e, "", "want a literal: the file is read, not run")
	}
	fields := make(map[string]ast.Expr)
	for _, item := range literal.Elts {
		pair, ok := item.(*ast.KeyValueExpr)
		if !ok {
			return nil, r.fail(item, "", "want fields with their names")
		}
		key, ok := pair.Key.(*ast.Ident)
		if !ok || !slices.Contains(known, key.Name) {
			return nil, r.fail(pair.Key, "fields: "+strings.Join(known, ", "), "unknown field")
		}
		fields[key.Name] = pair.Value
	}
	return fields, nil
}

// list returns the elements of a literal of a slice; none for nil.
func (r *goReader) list(e ast.Expr) ([]ast.Expr, error) {
	switch x := r.follow(e).(type) {
	case nil:
		return nil, nil
	case *ast.CompositeLit:
		return x.Elts, nil
	case *ast.Ident:
		if x.Name == "nil" {
			return nil, nil
		}
	}
	return nil, r.fail(e, "", "want a literal of a list: the file is read, not run")
}

func (r *goReader) policy(literal *ast.CompositeLit) (*policy.Policy, error) {
	fields, err := r.fields(literal, "DefaultAction", "Syscalls", "BadArchAction")
	if err != nil {
		return nil, err
	}
	if fields["DefaultAction"] == nil {
		return nil, r.fail(literal, "", "missing DefaultAction")
	}
	p := &policy.Policy{Version: 1, ABIs: []abi.ABI{r.abi}}
	if p.Default, err = r.action(fields["DefaultAction"]); err != nil {
		return nil, err
	}
	if bad := fields["BadArchAction"]; bad != nil {
		action, err := r.action(bad)
		if err != nil {
			return nil, err
		}
		p.BadArch = &action
	}
	if r.abi == abi.AMD64 { // as package seccomp and go-seccomp-bpf do
		p.Rules = append(p.Rules, policy.Rule{
			Action: policy.Action{Kind: abi.Errno, Errno: "ENOSYS"},
			Calls:  []policy.Pattern{{Numbers: &policy.NumberRange{Lo: abi.X32Bit, Hi: 0xffffffff}}},
			Reason: "x32 calls, which could pass a denial",
		})
	}
	groups, err := r.list(fields["Syscalls"])
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		rule, err := r.group(group)
		if err != nil {
			return nil, err
		}
		if len(rule.Calls) > 0 {
			p.Rules = append(p.Rules, rule)
		}
	}
	return p, nil
}

func (r *goReader) group(e ast.Expr) (policy.Rule, error) {
	var rule policy.Rule
	fields, err := r.fields(e, "Action", "Names", "NamesWithCondtions")
	if err != nil {
		return rule, err
	}
	if fields["Action"] == nil {
		return rule, r.fail(e, "", "missing Action")
	}
	if rule.Action, err = r.action(fields["Action"]); err != nil {
		return rule, err
	}
	rule.Pos = r.pos(r.set.Position(e.Pos()).Offset)
	names, err := r.list(fields["Names"])
	if err != nil {
		return rule, err
	}
	for _, name := range names {
		p, err := r.call(name)
		if err != nil {
			return rule, err
		}
		rule.Calls = append(rule.Calls, p)
	}
	conditional, err := r.list(fields["NamesWithCondtions"])
	if err != nil {
		return rule, err
	}
	for _, item := range conditional {
		fields, err := r.fields(item, "Name", "Conditions")
		if err != nil {
			return rule, err
		}
		if fields["Name"] == nil {
			return rule, r.fail(item, "", "missing Name")
		}
		p, err := r.call(fields["Name"])
		if err != nil {
			return rule, err
		}
		conditions, err := r.list(fields["Conditions"])
		if err != nil {
			return rule, err
		}
		for _, c := range conditions {
			condition, err := r.condition(c)
			if err != nil {
				return rule, err
			}
			p.Conditions = append(p.Conditions, condition)
		}
		p.Documented = len(p.Conditions) > 0
		rule.Calls = append(rule.Calls, p)
	}
	return rule, nil
}

func (r *goReader) call(e ast.Expr) (policy.Pattern, error) {
	v, err := r.eval(e)
	if err != nil {
		return policy.Pattern{}, err
	}
	name, ok := v.(string)
	if !ok {
		return policy.Pattern{}, r.fail(e, "", "want the name of a call")
	}
	if _, ok := r.abi.Lookup(name); !ok {
		hint := ""
		if s := abi.Suggest(name); s != "" && s != name {
			hint = "did you mean " + s + "?"
		}
		return policy.Pattern{}, r.fail(e, hint, "%s has no call %q", r.abi, name)
	}
	return policy.Pattern{Name: name, Pos: r.pos(r.set.Position(e.Pos()).Offset)}, nil
}

// goOperations are the operations by the names of their constants.
var goOperations = map[string]policy.Op{
	"Equal": policy.Equal, "NotEqual": policy.NotEqual, "GreaterThan": policy.Greater, "LessThan": policy.Less,
	"GreaterOrEqual": policy.GreaterOrEqual, "LessOrEqual": policy.LessOrEqual, "BitsSet": policy.AnyBits, "BitsNotSet": policy.NoBits,
}

func (r *goReader) condition(e ast.Expr) (policy.Condition, error) {
	var c policy.Condition
	fields, err := r.fields(e, "Argument", "Operation", "Value")
	if err != nil {
		return c, err
	}
	var values [2]uint64
	for i, name := range []string{"Argument", "Value"} {
		if fields[name] != nil {
			if values[i], err = r.number(fields[name]); err != nil {
				return c, err
			}
		}
	}
	if values[0] > 5 {
		return c, r.fail(fields["Argument"], "", "there are arguments 0 to 5")
	}
	if fields["Operation"] == nil {
		return c, r.fail(e, "", "missing Operation")
	}
	operation, err := r.eval(fields["Operation"])
	if err != nil {
		return c, err
	}
	name, _ := operation.(string)
	op, ok := goOperations[name]
	if !ok {
		return c, r.fail(fields["Operation"], "", "unknown operation")
	}
	c = policy.Condition{Index: int(values[0]), Op: op, Values: []string{number(values[1])}}
	if op == policy.AnyBits || op == policy.NoBits {
		c.Mask, c.Values = c.Values[0], nil
	}
	return c, nil
}

func (r *goReader) number(e ast.Expr) (uint64, error) {
	v, err := r.eval(e)
	if n, ok := v.(uint64); ok || err != nil {
		return n, err
	}
	return 0, r.fail(e, "", "want a number")
}

// goActions are the actions by the names of their constants.
var goActions = map[string]abi.Action{
	"ActionKillThread": abi.KillThread, "ActionKillProcess": abi.KillProcess, "ActionTrap": abi.Trap, "ActionErrno": abi.Errno,
	"ActionTrace": abi.Trace, "ActionLog": abi.Log, "ActionAllow": abi.Allow, "ActionUserNotify": abi.UserNotify,
}

func (r *goReader) action(e ast.Expr) (policy.Action, error) {
	v, err := r.number(e)
	if err != nil {
		return policy.Action{}, err
	}
	word := abi.Action(v)
	switch {
	case v > 1<<32-1 || !word.Known() || !word.TakesData() && word.Data() != 0:
		return policy.Action{}, r.fail(e, "", "%#x is no action", v)
	case word == abi.Errno:
		word = abi.Errno.WithData(1) // as documented
	}
	return actionOf(r.abi, word), nil
}

// eval returns the string or the number (uint64) that a constant expression is.
func (r *goReader) eval(e ast.Expr) (any, error) {
	if r.depth++; r.depth > 100 {
		return nil, r.fail(e, "", "the expression is too deep")
	}
	defer func() { r.depth-- }()
	switch x := e.(type) {
	case *ast.BasicLit:
		if x.Kind == gotoken.STRING {
			if s, err := strconv.Unquote(x.Value); err == nil {
				return s, nil
			}
		}
		if x.Kind == gotoken.INT {
			if v, err := strconv.ParseUint(x.Value, 0, 64); err == nil {
				return v, nil
			}
		}
	case *ast.ParenExpr:
		return r.eval(x.X)
	case *ast.UnaryExpr:
		if x.Op == gotoken.AND {
			return r.eval(x.X)
		}
	case *ast.CallExpr: // a conversion
		_, selector := x.Fun.(*ast.SelectorExpr)
		ident, plain := x.Fun.(*ast.Ident)
		if len(x.Args) == 1 && (selector && !r.isType(x.Fun, "Policy") || plain && slices.Contains([]string{"string", "int", "uint", "uint16", "uint32", "uint64", "uintptr"}, ident.Name)) {
			return r.eval(x.Args[0])
		}
	case *ast.BinaryExpr:
		left, err := r.eval(x.X)
		if err != nil {
			return nil, err
		}
		right, err := r.eval(x.Y)
		if err != nil {
			return nil, err
		}
		a, ok1 := left.(uint64)
		b, ok2 := right.(uint64)
		if ok1 && ok2 {
			switch x.Op {
			case gotoken.OR:
				return a | b, nil
			case gotoken.AND:
				return a & b, nil
			case gotoken.AND_NOT:
				return a &^ b, nil
			case gotoken.SHL:
				if b < 64 {
					return a << b, nil
				}
			case gotoken.ADD:
				return a + b, nil
			}
		}
	case *ast.Ident:
		if value := r.values[x.Name]; value != nil {
			return r.eval(value)
		}
	case *ast.SelectorExpr:
		name := x.Sel.Name
		if pkg, ok := x.X.(*ast.Ident); ok && pkg.Name == r.pkg {
			if action, ok := goActions[name]; ok {
				return uint64(action), nil
			}
			if _, ok := goOperations[name]; ok {
				return name, nil
			}
		} else if ok { // of syscall or unix
			if n, ok := r.abi.Errno(name); ok {
				return uint64(n), nil
			}
			if v, ok := r.abi.Constant(name); ok {
				return v, nil
			}
		}
	}
	return nil, r.fail(e, "", "want a constant: the file is read, not run")
}
