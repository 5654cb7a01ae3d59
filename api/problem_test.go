package api

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/object"
)

func bilingualText(t *testing.T, what string, text pipeline.Text) {
	t.Helper()
	require.NotEmpty(t, text.EN, what)
	require.NotEmpty(t, text.ZH, what)
	for _, r := range text.EN {
		require.False(t, unicode.Is(unicode.Han, r), "%s: Chinese in the English text", what)
	}
	require.True(t, strings.ContainsFunc(text.ZH, func(r rune) bool { return unicode.Is(unicode.Han, r) }), "%s: no Chinese in the Chinese text", what)
}

func TestEveryProblemSpeaksBothLanguages(t *testing.T) {
	for c, e := range catalogue {
		bilingualText(t, string(c), e.title)
		bilingualText(t, string(c), e.detail)
		require.GreaterOrEqual(t, e.status, 400, c)
	}
	for _, p := range phrases {
		bilingualText(t, p.template, p.text)
		require.Equal(t, strings.Count(p.text.EN, "%s"), strings.Count(p.text.ZH, "%s"), p.template)
		require.NotEmpty(t, p.code)
	}
}

func TestEveryReasonHasANotice(t *testing.T) {
	for _, code := range pipeline.Codes {
		a, ok := advices[code]
		require.True(t, ok, "reason %s has no words for the employee: add them to noticetext.go", code)
		bilingualText(t, string(code), a.what)
		bilingualText(t, string(code), a.next)
		for _, digit := range "0123456789%" {
			require.NotContains(t, a.what.EN+a.next.EN, string(digit), "no scores, thresholds or counts")
		}
	}
	for _, text := range []pipeline.Text{noticeWaiting, noticePass, noticeReview, noticeAbnormal, noticeAlike, noticeRefused, noticeDead, noticeAppeal, otherAdvice.what, otherAdvice.next} {
		bilingualText(t, text.EN, text)
	}
}

// humaMessages reads all sentences of huma's validation from its source: a new version that brings new ones fails here.
func humaMessages(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/danielgtaylor/huma/v2/validation").Output()
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), "messages.go"), nil, 0)
	require.NoError(t, err)
	messages := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for i, name := range v.Names {
				text, err := strconv.Unquote(v.Values[i].(*ast.BasicLit).Value)
				require.NoError(t, err)
				messages[name.Name] = text
			}
		}
		return true
	})
	require.Greater(t, len(messages), 40)
	return messages
}

func TestEverySentenceOfHumaIsTranslated(t *testing.T) {
	for name, template := range humaMessages(t) {
		said := verb.ReplaceAllString(template, "7")
		f := translate(&huma.ErrorDetail{Message: said, Location: "body.x", Value: "secret"})
		found := false
		for i, p := range phrases {
			if matchers[i].MatchString(said) {
				require.Equal(t, template, p.template, "%s is taken for another sentence", name)
				require.Equal(t, p.code, f.Code)
				found = true
				break
			}
		}
		require.True(t, found, "%s (%q) has no words of ours", name, template)
		require.NotContains(t, f.text.EN+f.text.ZH, "secret")
	}
	f := translate(&huma.ErrorDetail{Message: "expected required property subject to be present", Location: "body"})
	require.Equal(t, "body.subject", f.Field)
	f = translate(&huma.ErrorDetail{Message: "expected number <= 500", Location: "query.limit"})
	require.Equal(t, "500", f.Limit)
	require.Equal(t, "must be at most 500", f.text.EN)
}

func TestFaultsOfTheStoreBecomeProblems(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   code
		retry  bool
	}{
		{results.ErrNotFound, 404, codeNotFound, false},
		{object.ErrNotFound, 404, codeNotFound, false},
		{results.ErrExists, 409, codeExists, false},
		{results.ErrConflict, 412, codeChanged, false},
		{results.ErrStale, 409, codeState, false},
		{results.ErrErased, 410, codeErased, false},
		{results.ErrKeyReuse, 422, codeKeyReuse, false},
		{results.ErrKeyBusy, 409, codeKeyBusy, true},
		{results.ErrFull, 429, codeFull, true},
		{results.ErrAway, 503, codeAway, true},
		{object.ErrAway, 503, codeAway, true},
		{object.ErrNoSpace, 503, codeNoSpace, true},
		{object.ErrDenied, 503, codeAway, true},
		{context.DeadlineExceeded, 503, codeAway, true},
		{context.Canceled, 499, codeGone, false},
		{errors.New("disk on fire at /secret/path"), 500, codeInternal, false},
	} {
		p := fault(fmt.Errorf("do something: %w", c.err))
		require.Equal(t, c.status, p.Status, c.err)
		require.Equal(t, string(c.code), p.Code)
		require.Equal(t, c.retry, p.headers.Get("Retry-After") != "", c.err)
		require.ErrorIs(t, p, c.err, "the cause is kept for the log")
		sent := p.in("en", "r")
		require.NotContains(t, sent.Detail, "secret", "and not told to the client")
	}
	own := problem(codeCursor)
	require.Same(t, own, fault(fmt.Errorf("list: %w", own)))
}

func TestLanguages(t *testing.T) {
	for header, want := range map[string]string{"": "en", "zh": "zh", "zh-CN": "zh", "zh-Hant-TW": "zh", "en-GB,zh;q=0.5": "en", "zh;q=0.9,en;q=0.1": "zh",
		"fr": "en", "fr,zh;q=0.2": "zh", "*": "en", ";;;": "en", strings.Repeat("zh,", 200): "en"} {
		require.Equal(t, want, langOf(header), header)
	}
}

// A recording whose pictures are like very many others was not compared because of what it shows: nothing broke.
func TestNoticeSaysWhyNothingWasCompared(t *testing.T) {
	for body, want := range map[string]pipeline.Text{
		`{"checks":{"reuse":{"detail":{"flooded":8,"compared":3}}}}`: noticeAlike,
		`{"checks":{"reuse":{"detail":{"flooded":8,"missing":1}}}}`:  advices[pipeline.HistoryIncomplete].what,
		`{"checks":{"reuse":{"detail":{"missing":1}}}}`:              advices[pipeline.HistoryIncomplete].what,
		`{"checks":{"reuse":{"detail":{"flooded":"eight"}}}}`:        advices[pipeline.HistoryIncomplete].what,
		``: advices[pipeline.HistoryIncomplete].what,
	} {
		for _, lang := range []string{"en", "zh"} {
			n := Notice{Lang: lang}
			n.checked(results.Verdict{Decision: pipeline.DecisionReview, Codes: []pipeline.Code{pipeline.HistoryIncomplete}, Body: []byte(body)})
			require.Equal(t, pick(want, lang), n.Reasons[0].Text, body)
		}
	}
}
