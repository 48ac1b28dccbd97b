package programs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Call is one program that is called in an image.
type Call struct {
	At      string // file and line
	Program string
	Images  []string // the image may be any of these
}

// either stands for the image of a container if it cannot be determined. It is always one of these two.
const either = "nginx or mysql"

// A source holds a module's Go files and what they start in containers.
type source struct {
	files    *token.FileSet
	packages map[string]*pkg
	calls    []Call
	unseen   []string // where it cannot be determined what is called
}

type pkg struct {
	name   string
	values map[string]ast.Expr // the values of its constants and variables
	funcs  []*ast.FuncDecl
}

// carrier is a function that is given a script to run in an image.
type carrier struct {
	pkg, of, name string // of is the type that it is a method of
	index         int
	images        []string
}

// InGo returns what the Go files below dir call, through the docker command, in the containers that they start or enter. It
// follows the arguments of docker's exec and run, and a script through parameters, constants, variables and results. It
// returns an error for what it cannot follow, except in e2e. It leaves out other tests, since they fail by themselves if a
// program is missing, and internal/server, where a container is a whole machine.
func InGo(dir string) ([]Call, error) {
	s := &source{files: token.NewFileSet(), packages: map[string]*pkg{}}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || filepath.Dir(path) == filepath.Join(dir, "internal", "server") {
			return err
		}
		if strings.HasSuffix(path, "_test.go") && filepath.Base(filepath.Dir(path)) != "e2e" {
			return nil
		}
		file, err := parser.ParseFile(s.files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		return s.add(filepath.Dir(path), file)
	})
	if err != nil {
		return nil, err
	}
	carriers := []carrier{}
	for known := -1; known < len(carriers); { // a script may be passed on several times
		known = len(carriers)
		s.calls, s.unseen = nil, nil
		for _, p := range s.packages {
			for _, f := range p.funcs {
				carriers = s.look(p, f, carriers)
			}
		}
	}
	if len(s.unseen) > 0 {
		slices.Sort(s.unseen)
		return nil, fmt.Errorf("it cannot be seen what these call:\n%s", strings.Join(slices.Compact(s.unseen), "\n"))
	}
	return s.calls, nil
}

func (s *source) add(dir string, file *ast.File) error {
	p := s.packages[dir]
	if p == nil {
		p = &pkg{name: file.Name.Name, values: map[string]ast.Expr{}}
		s.packages[dir] = p
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			p.funcs = append(p.funcs, d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				value, is := spec.(*ast.ValueSpec)
				if !is {
					continue
				}
				for i, name := range value.Names {
					if i < len(value.Values) {
						p.values[name.Name] = value.Values[i]
					}
				}
				if embedded := embeds.FindStringSubmatch(comment(d.Doc) + comment(value.Doc)); embedded != nil {
					content, err := os.ReadFile(filepath.Join(dir, embedded[1]))
					if err != nil {
						return err
					}
					p.values[value.Names[0].Name] = &ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(string(content))}
				}
			}
		}
	}
	return nil
}

// embeds finds the single file that a text comes from. A pattern for many files never becomes a text.
var embeds = regexp.MustCompile(`(?m)^//go:embed ([^\s*]+)$`)

func comment(group *ast.CommentGroup) string {
	var lines strings.Builder
	if group != nil {
		for _, line := range group.List {
			lines.WriteString(line.Text + "\n")
		}
	}
	return lines.String()
}

// A scope is a function that is being examined.
type scope struct {
	*source
	pkg    *pkg
	f      *ast.FuncDecl
	locals map[string][]ast.Expr // what is assigned to its variables
}

// assignments returns what is assigned to each variable in a function.
func assignments(f *ast.FuncDecl) map[string][]ast.Expr {
	locals := map[string][]ast.Expr{}
	ast.Inspect(f.Body, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			for i, to := range n.Lhs {
				if name, is := to.(*ast.Ident); is && len(n.Lhs) == len(n.Rhs) {
					locals[name.Name] = append(locals[name.Name], n.Rhs[i])
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) {
					locals[name.Name] = append(locals[name.Name], n.Values[i])
				}
			}
		}
		return true
	})
	return locals
}

// written returns what a function writes into a builder, each piece on a line.
func (in scope) written(builder string, depth int) string {
	var all []string
	ast.Inspect(in.f.Body, func(node ast.Node) bool {
		if call, is := node.(*ast.CallExpr); is && len(call.Args) == 1 {
			if selector, is := call.Fun.(*ast.SelectorExpr); is && selector.Sel.Name == "WriteString" && types.ExprString(selector.X) == builder {
				all = append(all, in.texts(call.Args[0], depth+1)...)
			}
		}
		return true
	})
	return strings.Join(all, "\n")
}

// look finds the calls in one function, and returns the carriers, including this function if it is one.
func (s *source) look(p *pkg, f *ast.FuncDecl, carriers []carrier) []carrier {
	if f.Body == nil {
		return carriers
	}
	in := scope{s, p, f, assignments(f)}
	run := func(at ast.Node, script ast.Expr, images []string) {
		if name, is := script.(*ast.Ident); is && in.locals[name.Name] == nil {
			if i := parameter(f, name.Name); i >= 0 {
				if !slices.ContainsFunc(carriers, func(c carrier) bool {
					return c.pkg == p.name && c.of == receiver(f) && c.name == f.Name.Name && c.index == i
				}) {
					carriers = append(carriers, carrier{p.name, receiver(f), f.Name.Name, i, images})
				}
				return
			}
		}
		for _, text := range in.texts(script, 0) {
			programs, err := inShell(text, false)
			if err != nil {
				in.blind(at, err.Error())
			}
			for _, program := range programs {
				s.calls = append(s.calls, Call{s.at(at), program, images})
			}
		}
	}
	ast.Inspect(f.Body, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.CompositeLit:
			in.docker(n, in.flat(n.Elts, 0), run)
		case *ast.CallExpr:
			args := n.Args
			if n.Ellipsis.IsValid() {
				args = append(slices.Clone(args[:len(args)-1]), &ast.CompositeLit{Elts: in.flat([]ast.Expr{args[len(args)-1]}, 0)})
			}
			in.docker(n, in.flat(args, 0), run)
			for _, c := range carriers {
				if c.index < len(n.Args) && in.mayCall(n, c) {
					run(n, n.Args[c.index], narrowed(n, c))
				}
			}
		}
		return true
	})
	return carriers
}

// mayCall reports whether a call may be a call of this carrier, as far as the source shows without types.
func (in scope) mayCall(call *ast.CallExpr, c carrier) bool {
	name, from := callee(call)
	if name != c.name {
		return false
	}
	selector, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return c.of == "" && c.pkg == in.pkg.name
	}
	on := types.ExprString(selector.X)
	of := in.typeOf(from)
	switch {
	case c.of == "": // a function of another package
		return from == c.pkg
	case on == "cli" || strings.HasSuffix(on, ".cli") || len(in.locals[on]) > 0 && strings.Contains(types.ExprString(in.locals[on][0]), "CLI"): // the docker command itself
		return false
	case of != "" && slices.ContainsFunc(in.pkg.funcs, func(f *ast.FuncDecl) bool { return f.Name.Name == name && receiver(f) == of }):
		return of == c.of && in.pkg.name == c.pkg
	case in.pkg.name == c.pkg:
		return true
	}
	return ast.IsExported(name) && (from == "" || of != "" || in.locals[from] != nil) // and not a function of a package with that name
}

// narrowed returns the images in which a carrier may run a script, judging by its other arguments.
func narrowed(call *ast.CallExpr, c carrier) []string {
	for _, arg := range call.Args[:c.index] {
		if images := imagesOf(arg); slices.Equal(c.images, []string{either}) && mentions.MatchString(types.ExprString(arg)) {
			return images
		}
	}
	return c.images
}

// typeOf returns the name of the type of a function's receiver or parameter.
func (in scope) typeOf(name string) string {
	lists := []*ast.FieldList{in.f.Type.Params}
	if in.f.Recv != nil {
		lists = append(lists, in.f.Recv)
	}
	for _, list := range lists {
		for _, field := range list.List {
			for _, one := range field.Names {
				if one.Name == name {
					return typeName(field.Type)
				}
			}
		}
	}
	return ""
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	return typeName(f.Recv.List[0].Type)
}

func typeName(e ast.Expr) string {
	return strings.TrimPrefix(types.ExprString(e), "*")
}

// switches are the options of docker's run and exec that take no value.
var switches = strings.Fields("--rm --no-TTY -T --interactive -i --tty -t --no-deps --read-only --detach -d --init --privileged --quiet-pull --build")

// docker examines a list of arguments that may be those of docker exec, run or create, or of the same commands of Compose.
func (in scope) docker(at ast.Node, args []ast.Expr, run func(ast.Node, ast.Expr, []string)) {
	i := slices.IndexFunc(args, func(e ast.Expr) bool { return text(e) == "exec" || text(e) == "run" || text(e) == "create" })
	if i < 0 {
		return
	}
	creates := text(args[i]) == "create"
	for _, e := range args[:i] { // git run, "go", "run": another program's
		if word := text(e); word != "" && word != "docker" && word != "compose" && !strings.HasPrefix(word, "--progress") && word != "quiet" && word != "plain" {
			return
		}
	}
	var entrypoint ast.Expr
	for i++; i < len(args); i++ {
		option := text(args[i])
		if option == "" && i+1 < len(args) && strings.HasPrefix(text(args[i+1]), "--") {
			continue // more options, in a variable
		}
		if !strings.HasPrefix(option, "-") {
			break
		}
		if slices.Contains(switches, option) || strings.Contains(option, "=") {
			continue
		}
		if i++; i < len(args) && option == "--entrypoint" {
			entrypoint = args[i]
		}
	}
	if i >= len(args) {
		return // the rest is added elsewhere
	}
	images, rest := imagesOf(args[i]), args[i+1:]
	if len(images) == 0 || creates && entrypoint == nil { // a container that is only created, with the image's own command, is a record
		return
	}
	if entrypoint != nil {
		rest = append([]ast.Expr{entrypoint}, rest...)
	}
	if len(rest) == 0 {
		return
	}
	program := text(rest[0])
	switch {
	case program == "":
		in.blind(at, "the program is "+types.ExprString(rest[0]))
		return
	case ours(program):
		return
	}
	in.calls = append(in.calls, Call{in.at(at), program, images})
	if slices.Contains(shells, program) && len(rest) > 2 && text(rest[1]) == "-c" {
		run(at, rest[2], images)
	}
}

// ours reports whether a program is a file that we put there: the binary of our own image, or one in a folder of ours.
func ours(program string) bool {
	return strings.HasPrefix(program, "/") && !regexp.MustCompile(`^(/usr)?(/local)?/s?bin/`).MatchString(program)
}

var mentions = regexp.MustCompile(`(?i)\b(\w*web\w*|\w*nginx\S*)\b|\b(\w*db|\w*mysql\S*)\b|\b(dns|app|migrate|secrets|load|oneserver-\w+|\w*browser\w*|victim)\b`)

// imagesOf returns the images that an argument of docker may refer to; none if it is one of ours.
func imagesOf(target ast.Expr) []string {
	written := types.ExprString(target)
	switch match := mentions.FindStringSubmatch(written); {
	case match == nil && strings.Contains(written, "."): // s.id
		return []string{either}
	case match == nil: // a variable, which may be either: both must have the program
		return []string{"nginx", "mysql"}
	case match[1] != "":
		return []string{"nginx"}
	case match[2] != "":
		return []string{"mysql"}
	}
	return nil
}

// flat resolves lists in a list: append, slices.Concat, literals, and local variables of them.
func (in scope) flat(list []ast.Expr, depth int) []ast.Expr {
	var all []ast.Expr
	if depth > 8 {
		return list
	}
	for _, e := range list {
		switch x := e.(type) {
		case *ast.CompositeLit:
			all = append(all, in.flat(x.Elts, depth+1)...)
			continue
		case *ast.CallExpr:
			if name, _ := callee(x); name == "append" || name == "Concat" {
				all = append(all, in.flat(x.Args, depth+1)...)
				continue
			}
		case *ast.SliceExpr:
			all = append(all, in.flat([]ast.Expr{x.X}, depth+1)...)
			continue
		case *ast.SelectorExpr:
			if value := in.of(x); value != nil && isList(value) {
				all = append(all, in.flat([]ast.Expr{value}, depth+1)...)
				continue
			}
		case *ast.Ident:
			if assigned := in.locals[x.Name]; len(assigned) > 0 && isList(assigned[0]) {
				for _, value := range assigned {
					if call, is := value.(*ast.CallExpr); is && len(call.Args) > 0 { // v = append(v, …)
						if self, is := call.Args[0].(*ast.Ident); is && self.Name == x.Name {
							all = append(all, in.flat(call.Args[1:], depth+1)...)
							continue
						}
					}
					all = append(all, in.flat([]ast.Expr{value}, depth+1)...)
				}
				continue
			}
		}
		all = append(all, e)
	}
	return all
}

// named returns the package of ours from which x selects a value; nil for anything else.
func (in scope) named(x *ast.SelectorExpr) *pkg {
	from, is := x.X.(*ast.Ident)
	for _, p := range in.packages {
		if is && p.name == from.Name && p.values[x.Sel.Name] != nil {
			return p
		}
	}
	return nil
}

// of returns the value of a constant or variable of another package.
func (in scope) of(x *ast.SelectorExpr) ast.Expr {
	if p := in.named(x); p != nil {
		return p.values[x.Sel.Name]
	}
	return nil
}

func isList(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.CompositeLit:
		_, is := x.Type.(*ast.ArrayType)
		return is
	case *ast.CallExpr:
		name, _ := callee(x)
		return name == "append" || name == "Concat"
	}
	return false
}

// texts returns what a string expression may be, with a hole for each part that is known only at run time.
func (in scope) texts(e ast.Expr, depth int) []string {
	unknown := []string{hole}
	if depth > 20 {
		return unknown
	}
	switch x := e.(type) {
	case *ast.BasicLit:
		return []string{text(x)}
	case *ast.ParenExpr:
		return in.texts(x.X, depth+1)
	case *ast.BinaryExpr:
		var all []string
		for _, left := range in.texts(x.X, depth+1) {
			for _, right := range in.texts(x.Y, depth+1) {
				all = append(all, left+right)
			}
		}
		return all
	case *ast.Ident:
		if assigned := in.locals[x.Name]; len(assigned) > 0 {
			var all []string
			for _, value := range assigned {
				all = append(all, in.texts(value, depth+1)...)
			}
			return all
		}
		if value := in.pkg.values[x.Name]; value != nil {
			return in.texts(value, depth+1)
		}
	case *ast.SelectorExpr:
		if value := in.of(x); value != nil {
			return scope{in.source, in.named(x), in.f, nil}.texts(value, depth+1)
		}
	case *ast.CallExpr:
		name, from := callee(x)
		if selector, is := x.Fun.(*ast.SelectorExpr); is && name == "String" && len(x.Args) == 0 { // of a strings.Builder
			if written := in.written(types.ExprString(selector.X), depth); written != "" {
				return []string{written}
			}
		}
		if all := in.returned(in.pkg, name, depth); len(all) > 0 { // what a function of ours returns
			return all
		}
		for _, p := range in.packages { // or one of another package of ours
			if all := in.returned(p, name, depth); ast.IsExported(name) && len(all) > 0 {
				return all
			}
		}
		if name == "Sprintf" && from == "fmt" && len(x.Args) > 0 {
			var all []string
			for _, format := range in.texts(x.Args[0], depth+1) {
				all = append(all, regexp.MustCompile(`%[^%a-zA-Z]*[a-zA-Z]`).ReplaceAllString(format, hole))
			}
			return all
		}
	}
	return unknown
}

// returned returns what a function of a package returns as its first result.
func (in scope) returned(p *pkg, name string, depth int) (all []string) {
	for _, f := range p.funcs {
		if f.Name.Name != name || f.Body == nil || f.Type.Results == nil || len(all) > 0 {
			continue
		}
		inside := scope{in.source, p, f, assignments(f)}
		ast.Inspect(f.Body, func(node ast.Node) bool {
			if back, is := node.(*ast.ReturnStmt); is && len(back.Results) > 0 {
				all = append(all, inside.texts(back.Results[0], depth+1)...)
			}
			return true
		})
	}
	return all
}

func (in scope) blind(at ast.Node, why string) {
	where := in.at(at)
	if !strings.Contains(where, "_test.go:") {
		in.unseen = append(in.unseen, where+": "+why)
	}
}

func (s *source) at(node ast.Node) string {
	position := s.files.Position(node.Pos())
	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}

// text returns the value of a string literal.
func text(e ast.Expr) string {
	if literal, is := e.(*ast.BasicLit); is && literal.Kind == token.STRING {
		value, _ := strconv.Unquote(literal.Value)
		return value
	}
	return ""
}

// callee returns the name of the function that is called, and what it is called on.
func callee(call *ast.CallExpr) (name, from string) {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name, ""
	case *ast.SelectorExpr:
		if x, is := f.X.(*ast.Ident); is {
			from = x.Name
		}
		return f.Sel.Name, from
	}
	return "", ""
}

// parameter returns the position of a parameter, or -1.
func parameter(f *ast.FuncDecl, name string) int {
	i := 0
	for _, field := range f.Type.Params.List {
		for _, parameter := range field.Names {
			if parameter.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}
