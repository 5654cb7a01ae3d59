package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the table of settings into docs/operations.md")

const (
	page  = "../../../docs/operations.md"
	begin = "<!-- settings: made from cmd/onsite/config, checked by its test -->\n"
	end   = "<!-- end of settings -->"
)

// The settings that the page documents are those that the program knows, with their defaults.
func TestDocumentedSettings(t *testing.T) {
	raw, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(raw), begin)
	require.True(t, ok)
	table, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(before+begin+Table()+end+after), 0o600))
		return
	}
	require.Equal(t, Table(), table, "run: go test ./cmd/onsite/config -run TestDocumentedSettings -update")
	for name := range Others {
		if !strings.HasPrefix(name, "ONSITE_EVAL") && !strings.HasPrefix(name, "ONSITE_MUTATIONS") && !strings.HasPrefix(name, "ONSITE_CHAOS") {
			require.Contains(t, after, "`"+name+"`")
		}
	}
}
