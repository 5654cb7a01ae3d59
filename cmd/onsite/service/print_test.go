package service

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/cmd/onsite/config"
	"onsite/models/manifest"
	"onsite/pipeline"
)

func TestPrint(t *testing.T) {
	print := printer()
	require.NotNil(t, print, "Chromium is in deploy/setup/apt-test.txt")
	pdf, err := print(t.Context(), []byte(`<!doctype html><title>x</title><p>结论 verdict</p>`))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(pdf, []byte("%PDF-")))
	require.Greater(t, len(pdf), 1000)
}

func TestManifestsByTheirSum(t *testing.T) {
	b := &base{cfg: config.Defaults()}
	all, err := manifest.Builtin()
	require.NoError(t, err)
	find := b.manifests()
	text := find(pipeline.ModelRef{SHA256: all[0].File.SHA256})
	require.Contains(t, string(text), all[0].Name)
	require.Nil(t, find(pipeline.ModelRef{SHA256: "none"}))
}
