package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/scene"
)

// realStages reads the constants of type Stage from package verify's source: importing it here would be a cycle.
func realStages(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../verify/stage.go", nil, 0)
	require.NoError(t, err)
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if id, isName := spec.Type.(*ast.Ident); isName && id.Name == "Stage" {
				word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				out = append(out, word)
			}
		}
		return true
	})
	require.NotEmpty(t, out)
	return out
}

// Every stage that is measured has words and a place, and nothing else has.
func TestStagesAreThoseThatAreMeasured(t *testing.T) {
	want := slices.DeleteFunc(realStages(t), func(s string) bool { return s == "total" }) // the total is no step: the table ends with it
	require.ElementsMatch(t, want, stages)
	require.Len(t, stageTexts, len(want))
	for _, s := range want {
		require.Contains(t, stageTexts, s)
	}
}

// Labels are what the checks mark: faces, the elements of a site, the outline of a screen, stretches with a voice, tasks; and what a picture lies
// beside.
func TestLabelsAreThoseThatChecksGive(t *testing.T) {
	want := []string{"face", "other_face", "elsewhere", "outline", "voice", "challenge", pipeline.LabelBefore, pipeline.LabelBehind, pipeline.LabelShown, pipeline.LabelAgain,
		pipeline.LabelStands, pipeline.LabelStill}
	for _, e := range scene.Elements {
		want = append(want, string(e))
	}
	require.Len(t, labelTexts, len(want))
	for _, l := range want {
		require.Contains(t, labelTexts, l)
	}
}
