package compare

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadLabels(t *testing.T) {
	path := filepath.Join(t.TempDir(), "labels.csv")
	read := func(text string) (Labels, error) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return ReadLabels(path)
	}
	got, err := read("job,subject,label,declared\nj1,e1,genuine,\n,e1,,one\nj2,,impostor,two\n")
	require.NoError(t, err)
	require.Equal(t, Labels{
		Jobs:   map[string]string{"j1": "genuine", "j2": "impostor"},
		Groups: map[string]map[string]string{"e1": {"declared": "one"}, "j2": {"declared": "two"}},
	}, got)
	for text, why := range map[string]string{
		"job,label\nj1,friend\n":      "is not genuine",
		"subject,label\ne1,genuine\n": "a label is of a job",
		"job,light\n,dark\n":          "neither a job nor a subject",
		"job,job\nj1,j1\n":            "column 2",
	} {
		_, err := read(text)
		require.ErrorContains(t, err, why)
	}
}
