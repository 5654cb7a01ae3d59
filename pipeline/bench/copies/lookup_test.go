package copies

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeasureIndex(t *testing.T) {
	got, err := MeasureIndex(context.Background(), []int{4000}, 1, nil)
	require.NoError(t, err)
	l := got[0]
	require.Equal(t, []int{4000, 500}, []int{l.Hashes, l.Clips})
	require.Equal(t, checkedMost, l.Checked)
	require.Zero(t, l.Mistaken)
	require.GreaterOrEqual(t, l.Found, 1.0)
	require.Positive(t, l.Bytes)
	require.Len(t, l.Longer, len(longer))
	for i, n := range longer {
		require.Equal(t, n, l.Longer[i].Stills)
		require.Positive(t, l.Longer[i].P50MS)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = MeasureIndex(ctx, []int{4000}, 1, nil)
	require.ErrorIs(t, err, context.Canceled)
}
