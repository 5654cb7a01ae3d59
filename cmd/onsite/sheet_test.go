package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A terminal draws a Chinese character two columns wide: the cells below each other begin in one column all the same.
func TestSheetColumns(t *testing.T) {
	var out bytes.Buffer
	s := newSheet(&env{out: &out, lang: "zh"})
	s.line("pairs\t%d\t%s", "对数\t%d\t%s", 7, "（一）")
	s.line("longer\t%d\t%s", "abc\t%d\t%s", 123, "x")
	s.data("%s\t%d\t%s", "真实素材", 5, "|")
	require.NoError(t, s.Flush())
	require.Equal(t, "对数      7    （一）\nabc       123  x\n真实素材  5    |\n", out.String())
}

// What compilers see of one format, nobody sees of two: the lines of both languages take the same values and have the same cells.
func TestSheetLanguages(t *testing.T) {
	verb := regexp.MustCompile(`%[+#-]?[0-9]*(\.[0-9]+)?(\[([0-9])\])?([a-zA-Z])`)
	verbs := func(format string) []string {
		var out []string
		next := 1
		for _, m := range verb.FindAllStringSubmatch(strings.ReplaceAll(format, "%%", ""), -1) {
			if m[3] != "" {
				next, _ = strconv.Atoi(m[3])
			}
			out = append(out, strconv.Itoa(next)+m[1]+m[4])
			next++
		}
		slices.Sort(out)
		return out
	}
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	seen := 0
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			name, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || name.Sel.Name != "line" {
				return true
			}
			var both [2]string
			for i := range both {
				literal, ok := call.Args[i].(*ast.BasicLit)
				if !ok {
					return true
				}
				both[i], err = strconv.Unquote(literal.Value)
				require.NoError(t, err)
			}
			seen++
			en, zh := both[0], both[1]
			require.Equal(t, verbs(en), verbs(zh), "%s\n%s", en, zh)
			require.Len(t, call.Args, 2+len(verbs(en)), en)
			for _, sign := range []string{"\t", "\n"} {
				require.Equal(t, strings.Count(en, sign), strings.Count(zh, sign), en)
			}
			return true
		})
	}
	require.Greater(t, seen, 100, "the tables of this package")
}
