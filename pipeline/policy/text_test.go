package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

// declaredCodes reads the constants of type Code from package pipeline's source, so that a new one without words fails here.
func declaredCodes(t *testing.T) []pipeline.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../verdict.go", nil, 0)
	require.NoError(t, err)
	var codes []pipeline.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, isName := spec.Type.(*ast.Ident); isName && id.Name == "Code" {
			for _, v := range spec.Values {
				word, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				require.NoError(t, err)
				codes = append(codes, pipeline.Code(word))
			}
		}
		return true
	})
	require.NotEmpty(t, codes)
	return codes
}

func TestEveryCodeHasWords(t *testing.T) {
	declared := declaredCodes(t)
	require.ElementsMatch(t, declared, pipeline.Codes, "pipeline.Codes lists every code of verdict.go")
	require.Len(t, codeTexts, len(declared), "no words for codes that do not exist")
	for _, code := range declared {
		text, ok := codeTexts[code]
		require.True(t, ok, "%s has no words in text.go", code)
		bothLanguages(t, string(code), text)
		require.ElementsMatch(t, names(text.EN), names(text.ZH), "%s: the same arguments in both languages", code)

		bare := ReasonText(code, nil)
		require.NotRegexp(t, `[{}\[\]]`, bare.EN+bare.ZH, "%s reads well without arguments", code)
		require.NotContains(t, bare.EN, "  ")
		require.True(t, strings.HasSuffix(bare.EN, ".") && strings.HasSuffix(bare.ZH, "。"), "%s is a sentence", code)

		args := map[string]string{}
		for _, n := range names(text.EN) {
			args[n] = "<" + n + ">"
		}
		full := ReasonText(code, args)
		for _, n := range names(text.EN) {
			if code == pipeline.CheckFailed || code == pipeline.NotCheckedWanted {
				continue
			}
			require.Contains(t, full.EN, args[n])
			require.Contains(t, full.ZH, args[n])
		}
	}
}

func TestDoubtsAreSaidSofter(t *testing.T) {
	for code, text := range doubtTexts {
		bothLanguages(t, string(code), text)
		require.Contains(t, codeTexts, code)
		require.ElementsMatch(t, names(text.EN), names(text.ZH), code)
		require.ElementsMatch(t, names(codeTexts[code].EN), names(text.EN), "%s: the same arguments as the firm text", code)
		soft := findingText(pipeline.CheckScene, pipeline.Finding{Code: code, Outcome: pipeline.Uncertain})
		firm := findingText(pipeline.CheckScene, pipeline.Finding{Code: code, Outcome: pipeline.Fail})
		require.NotEqual(t, soft, firm)
		require.NotRegexp(t, `[{}\[\]]`, soft.EN+soft.ZH)
	}
}

// What a photo shows is said of a photo, as firmly, with the same arguments, and without what it found likewise.
func TestPhotosAreCalledPhotos(t *testing.T) {
	for outcome, all := range map[pipeline.Outcome][2]map[pipeline.Code]pipeline.Text{pipeline.Fail: {photoTexts, codeTexts}, pipeline.Uncertain: {photoDoubts, doubtTexts}} {
		for code, text := range all[0] {
			bothLanguages(t, string(code), text)
			require.ElementsMatch(t, names(all[1][code].EN), names(text.EN), code)
			require.ElementsMatch(t, names(text.EN), names(text.ZH), code)
			f := pipeline.Finding{Code: code, Outcome: outcome, Args: map[string]string{"job": "b", "missing": "3", "signs_en": "x", "signs_zh": "y"}}
			c := OfPhoto(pipeline.Check{Findings: []pipeline.Finding{f}})
			said := findingText(pipeline.CheckReuse, c.Findings[0])
			require.NotRegexp(t, "recording|video|clip", said.EN)
			require.NotRegexp(t, "录像|视频", said.ZH)
			require.NotContains(t, f.Args, ofMedia, "the check that was given stays as it was")
			bare := OfPhoto(pipeline.Check{Findings: []pipeline.Finding{{Code: code, Outcome: outcome}}})
			require.Equal(t, findingText(pipeline.CheckReuse, bare.Findings[0]), BareText(pipeline.Reason{Code: code, Check: pipeline.CheckReuse, Text: said}))
		}
	}
	// What may be found in a photo, and speaks of a recording elsewhere, has words for photos.
	only := []pipeline.Code{ // of videos
		pipeline.FaceChanged, pipeline.StaticImage, pipeline.ReplayedWithinClip, pipeline.FrozenPart, pipeline.VoiceWithoutLips, pipeline.NoSpeech, pipeline.WordsNotSaid,
	}
	for code := range codeTexts {
		if slices.Contains(only, code) {
			continue
		}
		for _, outcome := range []pipeline.Outcome{pipeline.Fail, pipeline.Uncertain} {
			said := findingText(pipeline.CheckScene, pipeline.Finding{Code: code, Outcome: outcome, Args: map[string]string{ofMedia: photo}})
			require.NotRegexp(t, "recording|video", said.EN, code)
			require.NotRegexp(t, "录像|视频|录音", said.ZH, code)
		}
	}
}

func TestPartOfACheckThatWasNotMade(t *testing.T) {
	f := pipeline.Finding{Code: pipeline.NotCheckedWanted, Outcome: pipeline.Uncertain, Args: map[string]string{"element": "poster", "why": WhyNoPoster}}
	given := clean()
	given[pipeline.CheckScene] = pipeline.Check{Outcome: pipeline.Uncertain, Findings: []pipeline.Finding{f}}
	decision, reasons := builtin(t, "video15").Decide(given)
	require.Equal(t, pipeline.DecisionReview, decision)
	require.Equal(t, "The check “Poster” is required but could not be made: none of the enrolled posters hangs at the site at that time. This counts neither for nor against the person.", reasons[0].Text.EN)
}

func names(template string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(template, -1) {
		out = append(out, m[1])
	}
	return out
}

func bothLanguages(t *testing.T, what string, text pipeline.Text) {
	t.Helper()
	require.NotEmpty(t, text.EN, what)
	require.NotEmpty(t, text.ZH, what)
	for _, r := range text.EN {
		require.False(t, unicode.Is(unicode.Han, r), "%s: Chinese in the English text", what)
	}
	require.True(t, strings.ContainsFunc(text.ZH, func(r rune) bool { return unicode.Is(unicode.Han, r) }), "%s: no Chinese in the Chinese text", what)
	require.NotRegexp(t, `[,;:?!()]`, text.ZH, "%s: ASCII punctuation in the Chinese text", what)
}

func TestEveryWordIsSaidInBothLanguages(t *testing.T) {
	outcomes := []pipeline.Outcome{pipeline.Pass, pipeline.Fail, pipeline.Uncertain, pipeline.NotChecked, pipeline.Error}
	for _, name := range pipeline.CheckNames {
		bothLanguages(t, "title of "+string(name), CheckTitle(name))
		bothLanguages(t, "question of "+string(name), CheckQuestion(name))
		for _, o := range outcomes {
			bothLanguages(t, string(name)+" "+string(o), CheckAnswer(name, pipeline.Check{Outcome: o, Why: WhyNoSite}))
		}
	}
	for _, o := range outcomes {
		bothLanguages(t, string(o), OutcomeTitle(o))
	}
	for _, d := range []pipeline.Decision{pipeline.DecisionPass, pipeline.DecisionAbnormal, pipeline.DecisionReview} {
		bothLanguages(t, string(d), DecisionTitle(d))
		bothLanguages(t, string(d), DecisionMeaning(d))
	}
	for lack, text := range lackTexts {
		bothLanguages(t, lack, text)
	}
	for why := range whyTexts {
		bothLanguages(t, why, Why(why))
	}
}

func TestUnknownWordsShowThemselves(t *testing.T) {
	require.Equal(t, pipeline.Text{EN: "disk full", ZH: "disk full"}, Why("disk full"))
	require.Equal(t, "aura", CheckTitle("aura").EN)
	require.Equal(t, "maybe", OutcomeTitle("maybe").ZH)
	require.Equal(t, "shrug", DecisionTitle("shrug").EN)
	require.Contains(t, ReasonText("new_code", nil).EN, "new_code")
	require.Equal(t, "Not checked.", CheckAnswer(pipeline.CheckFace, pipeline.Check{Outcome: pipeline.NotChecked}).EN)
}

func TestReasonTextReadsArguments(t *testing.T) {
	got := ReasonText(pipeline.FaceLowQuality, map[string]string{"why_en": "it is too dark", "why_zh": "太暗"})
	require.Equal(t, pipeline.Text{EN: "A face is visible, but it could not be compared: it is too dark.", ZH: "画面中有人脸，但无法比对：太暗。"}, got)
	got = ReasonText(pipeline.FaceChanged, map[string]string{"from_ms": "4560", "to_ms": "65000"})
	require.Equal(t, "The person in front of the camera changes during the recording, between 0:04.5 and 1:05.0.", got.EN)
	got = ReasonText(pipeline.FaceChanged, map[string]string{"from_ms": "soon", "to_ms": "-1"})
	require.Contains(t, got.EN, "between soon and -1")
	got = ReasonText(pipeline.LivenessUncertain, map[string]string{"lacking": "dark"})
	require.Equal(t, "无法判断镜头前是否为真人：人脸过暗。", got.ZH)
	require.Contains(t, ReasonText(pipeline.SeveralPeople, map[string]string{"people": "3"}).ZH, "3 人")
}

func TestExpand(t *testing.T) {
	args := map[string]string{"a": "1", "b": "2", "x": "{a}[b]"}
	for _, c := range []struct{ template, want string }{
		{"plain", "plain"},
		{"{a} and {b}", "1 and 2"},
		{"[has {a}, ]end", "has 1, end"},
		{"[has {none}, ]end", "end"},
		{"[{a} {none}][{b}]", "2"},
		{"{x}", "{a}[b]"},
		{"[{x}]!", "{a}[b]!"},
		{"cut {a", "cut 1"},
	} {
		require.Equal(t, c.want, expand(c.template, func(n string) string { return args[n] }), c.template)
	}
}

// A reason without what was found is as strong as it was, and quotes nothing.
func TestBareText(t *testing.T) {
	args := map[string]string{}
	for _, all := range []map[pipeline.Code]pipeline.Text{codeTexts, doubtTexts} {
		for _, text := range all {
			for _, name := range append(names(text.EN), names(text.ZH)...) {
				args[name] = "QUOTED"
			}
		}
	}
	for code := range codeTexts {
		for _, o := range []pipeline.Outcome{pipeline.Fail, pipeline.Uncertain} {
			full := findingText(pipeline.CheckPlace, pipeline.Finding{Code: code, Outcome: o, Args: args})
			got := BareText(pipeline.Reason{Code: code, Check: pipeline.CheckPlace, Text: full})
			require.Equal(t, findingText(pipeline.CheckPlace, pipeline.Finding{Code: code, Outcome: o}), got, "%s, %s", code, o)
			require.NotContains(t, got.EN+got.ZH, "QUOTED", code)
			require.NotContains(t, got.EN+got.ZH, "{", code)
		}
	}
}
