package pipeline

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.csv")
	read := func(text string) ([]Row, error) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return ReadTable(path, "a", "b")
	}
	rows, err := read("\ufeffb, a ,c\n1, 2,\"x\ny\"\n\n3\n")
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []string{"2", "1", "x\ny", ""}, []string{rows[0].Get("a"), rows[0].Get("b"), rows[0].Get("c"), rows[0].Get("d")})
	require.Equal(t, 2, rows[0].Line)
	require.Equal(t, 5, rows[1].Line)
	require.Equal(t, []string{"", "3"}, []string{rows[1].Get("a"), rows[1].Get("b")})

	rows, err = read("a,b\n")
	require.NoError(t, err)
	require.Empty(t, rows)
	for text, want := range map[string]string{"": "no header", "a,c\n1,2\n": `no column "b"; want a CSV file whose first line names the columns a,b`, "a,b\n\"1,2\n": "t.csv: "} {
		_, err := read(text)
		require.ErrorContains(t, err, want)
	}
	_, err = ReadTable(t.TempDir(), "a")
	require.ErrorIs(t, err, ErrNotRegular)
}
