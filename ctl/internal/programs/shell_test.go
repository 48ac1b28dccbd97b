package programs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// hole stands in a script for what is known only at run time.
const hole = "_hole_"

// builtins lists the commands that bash and dash carry out themselves. [, echo, kill, printf, pwd, test and true exist as
// programs too, and it cannot be determined which one is meant.
var builtins = strings.Fields(". : alias bg break cd command continue eval exit export fg getopts hash jobs kill local read readonly " +
	"return set shift shopt source times trap type ulimit umask unalias unset wait declare typeset builtin let mapfile printf echo pwd test [ true false")

// before lists the programs that start another one, with those of their options that take a value as a separate word.
var before = map[string][]string{
	"exec": {"-a"}, "timeout": {"-k", "-s"}, "nice": {"-n"}, "env": {"-u", "-C"}, "xargs": {"-d", "-n", "-P", "-I", "-L", "-s", "-a"}, "nohup": nil,
	"setsid": nil, "setpriv": nil, "gosu": nil, "chroot": nil, "command": nil, "builtin": nil, "flock": {"-w", "--timeout", "-E"}, "time": nil, "stdbuf": {"-i", "-o", "-e"},
}

var shells = []string{"sh", "bash", "dash"}

// operands says how many words some of these programs take before the program that they start.
var operands = map[string]int{"timeout": 1, "gosu": 1, "chroot": 1, "flock": 1}

// inShell returns the programs that a script calls. A word that is known only at run time is an error, except the script's
// own arguments if given says that these name a program.
func inShell(script string, given bool) ([]string, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil {
		return nil, err
	}
	functions := map[string]bool{}
	arrays := map[string][]*syntax.Word{} // with which a command may begin: "${limit[@]}"
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.FuncDecl:
			functions[n.Name.Value] = true
		case *syntax.Assign:
			if n.Array != nil && n.Name != nil {
				for _, element := range n.Array.Elems {
					arrays[n.Name.Value] = append(arrays[n.Name.Value], element.Value)
				}
			}
		}
		return true
	})
	var found []string
	syntax.Walk(file, func(node syntax.Node) bool {
		call, is := node.(*syntax.CallExpr)
		if !is || err != nil {
			return err == nil
		}
		var programs []string
		programs, err = inCall(spread(call.Args, arrays), functions, given)
		found = append(found, programs...)
		return err == nil
	})
	slices.Sort(found)
	return slices.Compact(found), err
}

// spread replaces each array by its words.
func spread(words []*syntax.Word, arrays map[string][]*syntax.Word) []*syntax.Word {
	var all []*syntax.Word
	for _, word := range words {
		if array := arrays[arrayOf(word)]; array != nil {
			all = append(all, array...)
		} else {
			all = append(all, word)
		}
	}
	return all
}

// arrayOf returns the name of the array that a word stands for: limit for "${limit[@]}".
func arrayOf(word *syntax.Word) string {
	if len(word.Parts) != 1 {
		return ""
	}
	quoted, is := word.Parts[0].(*syntax.DblQuoted)
	if !is || len(quoted.Parts) != 1 {
		return ""
	}
	parameter, is := quoted.Parts[0].(*syntax.ParamExp)
	if !is || parameter.Index == nil {
		return ""
	}
	return parameter.Param.Value
}

// inCall returns the programs that one command starts: timeout 5 curl starts two.
func inCall(words []*syntax.Word, functions map[string]bool, given bool) ([]string, error) {
	var found []string
	for len(words) > 0 {
		name := literal(words[0])
		switch {
		case name == "" && given && isArgument(words[0]):
			return found, nil
		case name == "" || strings.Contains(name, hole):
			var text strings.Builder
			_ = syntax.NewPrinter().Print(&text, words[0])
			return nil, fmt.Errorf("what it calls as %s is known only when it runs", text.String())
		case name == "eval":
			var script []string
			for _, word := range words[1:] {
				script = append(script, textOf(word, "9")) // a descriptor, as in exec 9>&-; if it is a program, it is unknown
			}
			return inShell(strings.Join(script, " "), given)
		case functions[name]:
			return found, nil
		}
		valued, starts := before[name]
		if name != "exec" && !slices.Contains(builtins, name) {
			found = append(found, name)
		}
		if name == "find" {
			more, err := inFind(words[1:], functions, given)
			return append(found, more...), err
		}
		if !starts {
			script := -1
			switch {
			case slices.Contains(shells, name):
				if i := slices.IndexFunc(words, func(w *syntax.Word) bool { return commandOption(literal(w)) }); i > 0 {
					script = i + 1
				}
			case name == "trap": // its first word is a script, unless it names a signal or says what to do with it
				if script = 1; len(words) > 1 && literal(words[1]) == "--" {
					script = 2
				}
				if script+1 >= len(words) || strings.HasPrefix(literal(words[script]), "-") {
					return found, nil
				}
			case name == "awk" || name == "mawk":
				if slices.ContainsFunc(words, func(w *syntax.Word) bool { return startsInAwk.MatchString(textOf(w, "")) }) {
					return nil, errors.New("what awk starts cannot be seen")
				}
			}
			if script < 0 || script >= len(words) {
				return found, nil
			}
			text := textOf(words[script], hole)
			more, err := inShell(text, given)
			return append(found, more...), err
		}
		words = words[1:]
		for len(words) > 0 {
			option := literal(words[0])
			if !strings.HasPrefix(option, "-") && !(name == "env" && strings.Contains(option, "=")) {
				break
			}
			words = words[1:]
			if slices.Contains(valued, option) && len(words) > 0 {
				words = words[1:]
			}
			if name == "command" { // -v asks where a program is
				return found, nil
			}
		}
		words = words[min(operands[name], len(words)):]
	}
	return found, nil
}

// commandOption reports whether an option of a shell means that a script follows: -c, or -ec and the like.
func commandOption(word string) bool {
	return len(word) > 1 && word[0] == '-' && word[1] != '-' && strings.HasSuffix(word, "c")
}

// startsInAwk matches what starts a program in awk.
var startsInAwk = regexp.MustCompile(`\bsystem\s*\(|"\s*\|\s*getline|\|\s*"`)

// inFind returns the programs that find runs on the files it finds.
func inFind(words []*syntax.Word, functions map[string]bool, given bool) ([]string, error) {
	var found []string
	for i, word := range words {
		if slices.Contains([]string{"-exec", "-execdir", "-ok", "-okdir"}, literal(word)) {
			end := i + 1
			for end < len(words) && literal(words[end]) != ";" && literal(words[end]) != "+" {
				end++
			}
			more, err := inCall(words[i+1:end], functions, given)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		}
	}
	return found, nil
}

// literal returns a word as the shell takes it; empty if that is known only at run time.
func literal(word *syntax.Word) string { return textOf(word, "") }

// textOf is like literal but, unless unknown is empty, puts it in place of what is known only at run time.
func textOf(word *syntax.Word, unknown string) string {
	var text strings.Builder
	var add func(parts []syntax.WordPart) bool
	add = func(parts []syntax.WordPart) bool {
		for _, part := range parts {
			switch part := part.(type) {
			case *syntax.Lit:
				text.WriteString(strings.ReplaceAll(part.Value, `\`, ""))
			case *syntax.SglQuoted:
				text.WriteString(part.Value)
			case *syntax.DblQuoted:
				if !add(part.Parts) {
					return false
				}
			default:
				if unknown == "" {
					return false
				}
				text.WriteString(unknown)
			}
		}
		return true
	}
	if !add(word.Parts) {
		return ""
	}
	return text.String()
}

// isArgument reports whether a word is one of the script's own arguments, or a file that a loop found: "$@", "$0", "$file".
func isArgument(word *syntax.Word) bool {
	if len(word.Parts) != 1 {
		return false
	}
	quoted, is := word.Parts[0].(*syntax.DblQuoted)
	if !is || len(quoted.Parts) != 1 {
		return false
	}
	_, is = quoted.Parts[0].(*syntax.ParamExp)
	return is
}
