package reuse

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// After a clip that is the same recording, early exit leaves out only what looks weaker in every respect.
func TestWeakerGlance(t *testing.T) {
	found := glance{sight: sight{distance: 20}, votes: 40, temporal: 3}
	for _, tt := range []struct {
		g      glance
		weaker bool
	}{
		{glance{sight: sight{distance: 90}, votes: 5, temporal: 1}, true},
		{glance{sight: sight{distance: 10}, votes: 5, temporal: 1}, false},
		{glance{sight: sight{distance: 90}, votes: 40, temporal: 1}, false},
		{glance{sight: sight{distance: 90}, votes: 5, temporal: 4}, false},
		{found, false},
	} {
		require.Equal(t, tt.weaker, tt.g.weaker(&found), tt.g)
	}
}

// Any one thing in common is enough for the full score.
func TestGlanceWithNothingInCommon(t *testing.T) {
	stranger := glance{sight: sight{distance: 110, whole: 110}, votes: 3, temporal: 0.6}
	require.True(t, stranger.nothing())
	for name, change := range map[string]func(*glance){
		"points":           func(g *glance) { g.votes = commonVotes },
		"motion":           func(g *glance) { g.temporal = commonMotion },
		"whole pictures":   func(g *glance) { g.distance, g.whole = likelyHash, likelyHash },
		"parts of a frame": func(g *glance) { g.distance, g.whole = halfDistance, 110 },
	} {
		g := stranger
		change(&g)
		require.False(t, g.nothing(), name)
	}
}
