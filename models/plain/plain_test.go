package plain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

type thing struct {
	Name  string   `yaml:"name"`
	Parts []thing  `yaml:"parts"`
	Size  *float64 `yaml:"size"`
}

func TestDecode(t *testing.T) {
	var got thing
	require.NoError(t, Decode([]byte("# a thing\nname: a\nparts:\n- {name: b, size: 1.5}\n"), &got))
	require.Equal(t, "b", got.Parts[0].Name)
	require.InDelta(t, 1.5, *got.Parts[0].Size, 0)
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"nothing":        {"", "the file is empty"},
		"unknown key":    {"name: a\ncolour: red\n", `[2:1] unknown field "colour"`},
		"inner key":      {"parts: [{nam: a}]\n", `unknown field "nam"`},
		"repeated key":   {"name: a\nname: b\n", "[2:1]"},
		"two documents":  {"name: a\n---\nname: b\n", "more than one YAML document"},
		"wrong type":     {"size: big\n", "[1:7]"},
		"anchor":         {"name: &a b\n", "[1:7] anchors, aliases"},
		"alias":          {"name: *a\n", "anchors, aliases"},
		"endless alias":  {"&0: *0\n*0:\n*0:", "anchors, aliases"},
		"tag":            {"name: !!str a\n", "anchors, aliases"},
		"merge key":      {"<<: {name: a}\n", "anchors, aliases"},
		"a tag alone":    {"parts:\n    ! 0", "anchors, aliases"},
		"open bracket":   {"parts: [", "[1:"},
		"control signs":  {"\x00\x01", ""},
		"only a comment": {"# nothing\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var into thing
			err := Decode([]byte(c.raw), &into)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
	require.ErrorIs(t, Decode(nil, new(thing)), ErrEmpty)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nparts: [{name: b}]\n"))
	f.Add([]byte("&0: *0\n*0:\n*0:"))
	f.Add([]byte("parts:\n    ! 0"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var into thing
		if err := Decode(raw, &into); err != nil {
			require.NotContains(t, err.Error(), "\n")
		}
	})
}
