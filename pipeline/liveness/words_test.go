package liveness

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/policy"
)

// Every argument "lacking" that this check can give is said in words in both languages, never as a code.
func TestEveryLackHasWords(t *testing.T) {
	bare := policy.ReasonText(pipeline.LivenessUncertain, nil)
	for _, lack := range Lacks {
		said := policy.ReasonText(pipeline.LivenessUncertain, map[string]string{"lacking": lack})
		require.NotEqual(t, bare, said, lack)
		require.NotContains(t, said.EN, ": "+lack+".", "the code itself is no sentence")
		for _, r := range said.ZH {
			require.False(t, unicode.Is(unicode.Latin, r), "%s: %s", lack, said.ZH)
		}
	}
}

// The list holds what check.go gives: every call of doubt names one of its constants.
func TestLacksAreAllThatTheCheckGives(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "check.go", nil, 0)
	require.NoError(t, err)
	given, listed := map[string]bool{}, map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "doubt" {
				lack, ok := n.Args[2].(*ast.Ident)
				require.True(t, ok && strings.HasPrefix(lack.Name, "Lack"), "doubt is called with a constant")
				given[lack.Name] = true
			}
		case *ast.ValueSpec:
			if n.Names[0].Name == "Lacks" {
				for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
					listed[e.(*ast.Ident).Name] = true
				}
			}
		}
		return true
	})
	require.NotEmpty(t, given)
	require.Equal(t, given, listed)
}
