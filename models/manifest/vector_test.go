package manifest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVectorManifests(t *testing.T) {
	good := sample(t, "scene_head")
	m, err := Parse("builtin/scene_head.yaml", []byte(good))
	require.NoError(t, err)
	data, err := Embedded(m.File.Name)
	require.NoError(t, err)
	require.Len(t, data, int(m.File.Bytes))
	_, err = Parse("own/scene_head.yaml", []byte(good))
	require.ErrorContains(t, err, "source.embedded", "a file of somebody else is never taken out of the program")
	for from, why := range map[string]string{
		"layout: vector>layout: pcm":                               "does not fit decoder logistic",
		"- name: office\n    size: 24>- name: office\n    size: 0": "input.parts[0].size",
		"- office_mean\n>- no_such_part\n":                         `"no_such_part" is not a part of the input`,
		"name: logistic>name: embedding":                           "does not answer scene_head",
	} {
		a, b, _ := strings.Cut(from, ">")
		require.Contains(t, good, a)
		_, err := Parse("builtin/scene_head.yaml", []byte(strings.Replace(good, a, b, 1)))
		require.ErrorContains(t, err, why, from)
	}
}
