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
