package reuse

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
)

var embedder, otherEmbedder = strings.Repeat("ab", 32), strings.Repeat("cd", 32)

func madeUpViews(t testing.TB) Views {
	var v Views
	require.NoError(t, v.Add(embedder, 1500*time.Millisecond, []float32{.1, -.2, .05}))
	require.NoError(t, v.Add(embedder, 2500*time.Millisecond, []float32{.2, 0, .01}))
	return v
}

func TestViewsOfOneModelOnly(t *testing.T) {
	v := madeUpViews(t)
	require.Equal(t, []int8{64, -127, 32}, v.Of[0].V)
	kept := v
	require.ErrorContains(t, v.Add(otherEmbedder, 0, []float32{1, 2, 3}), "the stills before by abababababab")
	require.ErrorContains(t, v.Add(embedder, 0, []float32{1, 2}), "has 2 values")
	for _, without := range [][]float32{{0, 0, 0}, {float32(math.Inf(1)), 0, 0}, {float32(math.NaN()), 1, 0}} {
		require.Error(t, v.Add(embedder, 0, without))
	}
	require.ErrorContains(t, new(Views).Add("face", 0, []float32{1}), "named by its sha256")
	require.Error(t, new(Views).Add(embedder, 0, make([]float32, maxViewValues+1)))
	require.Equal(t, kept, v, "what is refused changes nothing")
	for range 2 * maxViews {
		require.NoError(t, v.Add(embedder, 0, []float32{1, 2, 3}))
	}
	require.Len(t, v.Of, maxViews)
}

func TestViewsAlike(t *testing.T) {
	a := madeUpViews(t)
	c, ok := a.Alike(&a)
	require.True(t, ok)
	require.InDelta(t, 1, c, 1e-9)
	var b Views
	require.NoError(t, b.Add(embedder, 0, []float32{-.2, -.1, 0}))
	c, ok = a.Alike(&b)
	require.True(t, ok)
	require.InDelta(t, 0, c, .02, "the nearest of the two stills is at right angles")
	var other Views
	require.NoError(t, other.Add(otherEmbedder, 0, []float32{.1, -.2, .05}))
	for _, o := range []*Views{{}, &other} {
		_, ok = a.Alike(o)
		require.False(t, ok, "nothing, or what another model made, is not compared")
	}
	check := pipeline.Check{Detail: map[string]any{"closest": map[string]any{"job": "then"}}}
	history := []Candidate{{Job: "before"}, {Job: "then", Fingerprint: Fingerprint{Views: other}}}
	NoteViews(&check, &Fingerprint{Views: a}, history)
	require.Equal(t, map[string]any{"job": "then"}, check.Detail["closest"])
	history[1].Fingerprint.Views = a
	NoteViews(&check, &Fingerprint{Views: a}, history)
	require.Equal(t, map[string]any{"job": "then", "view_cosine": 1.}, check.Detail["closest"])
	NoteViews(&pipeline.Check{}, &Fingerprint{Views: a}, history) // nothing was compared
}

func TestUnmarshalRefusesViews(t *testing.T) {
	good, err := encodeViews(new(madeUpViews(t)))
	require.NoError(t, err)
	for want, spoil := range map[string]func([]byte) []byte{
		"5 views":       func(b []byte) []byte { b[0] = 5; return b },
		"left over":     func(b []byte) []byte { b[0] = 1; return b },
		"missing":       func(b []byte) []byte { b[0] = 3; return b },
		"65535 entries": func(b []byte) []byte { b[33], b[34] = 255, 255; return b },
		"of model \"\"": func(b []byte) []byte { clear(b[1:33]); return b },
		"up to 1;":      func(b []byte) []byte { copy(b[39:], []byte{1, 0, 255}); return b },
		"up to 128":     func(b []byte) []byte { b[40] = 0x80; return b },
	} {
		t.Run(want, func(t *testing.T) {
			r := reader{}
			readViews(&r, spoil(append([]byte{}, good...)))
			require.ErrorContains(t, r.err, want)
		})
	}
	f := Fingerprint{Views: Views{Model: embedder}}
	_, err = encodeViews(&f.Views)
	require.ErrorContains(t, err, "are none")
}
