package models

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// The smallest normal float32 halved is a denormal: zero while f runs, itself before and after.
func TestDenormalsAreZeroOnlyInside(t *testing.T) {
	small, half := float32(math.Ldexp(1, -126)), float32(0.5)
	product := func() float32 { return small * half }
	require.Positive(t, product())
	require.NoError(t, withoutDenormals(func() error {
		require.Zero(t, product())
		return nil
	}))
	require.Positive(t, product())
}
