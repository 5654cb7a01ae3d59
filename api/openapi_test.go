package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

// TestOpenAPI holds the description against its last reviewed form: go test ./api -run OpenAPI -update writes a new one.
func TestOpenAPI(t *testing.T) {
	s, _ := bare(t, away{})
	s.Version = "0.0.0"
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/openapi+json", w.Header().Get("Content-Type"))
	var got bytes.Buffer
	require.NoError(t, json.Indent(&got, w.Body.Bytes(), "", " "))
	got.WriteByte('\n')
	const path = "testdata/openapi.json"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	if string(want) != got.String() {
		a, b := strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				require.Failf(t, "the API's description changed", "line %d was\n%s\nand is\n%s\nIf that is meant: go test ./api -run OpenAPI -update", i+1, a[i], b[i])
			}
		}
		require.Failf(t, "the API's description changed", "it has %d lines instead of %d", len(b), len(a))
	}
}

func TestOpenAPIIsWhole(t *testing.T) {
	s, _ := bare(t, away{})
	s.Handler()
	doc := s.api.OpenAPI()
	require.Equal(t, "3.1.0", doc.OpenAPI)
	for _, op := range s.ops {
		problems := 0
		for status, r := range op.Responses {
			if status >= "400" || status == "default" {
				require.Contains(t, r.Content, "application/problem+json", "%s %s", op.OperationID, status)
				problems++
			}
		}
		require.NotZero(t, problems, "%s: every operation may answer with a problem", op.OperationID)
		if access[op.OperationID][0] != public {
			require.NotEmpty(t, op.Security, op.OperationID)
		}
	}
}

// TestPatternsSpeakChinese: a description of a pattern is shown to people.
func TestPatternsSpeakChinese(t *testing.T) {
	s, _ := bare(t, away{})
	s.Handler()
	seen := map[string]bool{}
	note := func(schema *huma.Schema) {
		if schema != nil && schema.PatternDescription != "" {
			seen[schema.PatternDescription] = true
		}
	}
	for _, schema := range s.api.OpenAPI().Components.Schemas.Map() {
		for _, property := range schema.Properties {
			note(property)
		}
	}
	for _, op := range s.ops {
		for _, p := range op.Parameters {
			note(p.Schema)
		}
	}
	require.NotEmpty(t, seen)
	for text := range seen {
		require.NotEmpty(t, patternsZH[text], "%q has no Chinese words in patternsZH", text)
	}
	f := translate(&huma.ErrorDetail{Message: "expected string to be " + idWords, Location: "body.subject"})
	require.Equal(t, "must be "+idWords, f.text.EN)
	require.Equal(t, "应为1 至 64 个字母、数字或 . _ -，以字母或数字开头", f.text.ZH)
}
