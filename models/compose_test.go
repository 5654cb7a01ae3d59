package models

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models/manifest"
)

// A set that differs in one model shares the sessions of all others, and each lives as long as one set runs it.
func TestCompose(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{EyeState, HeadPose}
	base, err := Open(o)
	require.NoError(t, err)
	yaml, err := os.ReadFile(filepath.Join("manifest", "builtin", "eye_state.yaml"))
	require.NoError(t, err)
	man, err := manifest.Parse("mine", append(yaml, "\n"...))
	require.NoError(t, err)
	man.Name = "mine"
	one, err := OpenManifests(DefaultOptions(), man)
	require.NoError(t, err)
	_, err = OpenManifests(DefaultOptions(), man, man)
	require.ErrorContains(t, err, "two manifests")

	both, err := Compose(base, one)
	require.NoError(t, err)
	require.Equal(t, []Task{EyeState, HeadPose}, both.Tasks())
	require.Equal(t, "mine", both.Ref(EyeState).Name)
	require.Same(t, base.models[HeadPose], both.models[HeadPose])
	require.NotEqual(t, base.Digest(), both.Digest())
	require.Equal(t, base.ManifestDigest(HeadPose), both.ManifestDigest(HeadPose))

	require.NoError(t, one.Close())
	require.NoError(t, one.Close(), "closing twice takes no owner away twice")
	require.NoError(t, both.Check(t.Context(), EyeState), "the composed set still runs it")
	_, err = one.EyeOpen(t.Context(), Pattern(24, 24, 1, 1))
	require.ErrorIs(t, err, ErrClosed)
	third, err := Compose(base, one)
	require.NoError(t, err, "its model is alive through the other set")

	shared := base.models[HeadPose]
	require.NoError(t, base.Close())
	require.NoError(t, both.Check(t.Context(), HeadPose))
	require.NoError(t, both.Close())
	require.False(t, shared.closed, "the third set runs it, too")
	require.NoError(t, third.Check(t.Context(), HeadPose))
	require.NoError(t, third.Close())
	require.True(t, shared.closed)
}

// Nothing is left behind: the last set frees the session.
func TestComposeFrees(t *testing.T) {
	o := DefaultOptions()
	o.Tasks = []Task{EyeState}
	base, err := Open(o)
	require.NoError(t, err)
	next, err := Compose(base)
	require.NoError(t, err)
	m := base.models[EyeState]
	require.NoError(t, base.Close())
	require.NoError(t, next.Check(t.Context(), EyeState))
	require.NoError(t, next.Close())
	require.True(t, m.closed)
	require.Nil(t, m.session)
	_, err = Compose(base)
	require.ErrorIs(t, err, ErrClosed)
}
