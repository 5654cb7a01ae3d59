package workers

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

// blinking is a store that is away, or hangs, for a while.
type blinking struct {
	ReconcilerStore
	away error
	hang time.Duration
}

func (b *blinking) Waiting(context.Context, time.Time, int) ([]results.Job, error) {
	time.Sleep(b.hang)
	return nil, b.away
}

func TestLiveWorkersMayRenewAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &blinking{}
		s := &reconciling{Reconciler: Reconciler{Store: b}}
		may := func() bool { return s.mayReclaim(t.Context()) }
		require.True(t, may())
		time.Sleep(time.Second)
		require.True(t, may())

		b.away = results.ErrAway
		time.Sleep(time.Second)
		require.False(t, may())
		b.away = nil
		time.Sleep(time.Second)
		require.True(t, may(), "leases are longer than a short outage")

		b.away = results.ErrAway
		for range 4 {
			time.Sleep(time.Second)
			require.False(t, may())
		}
		b.away = nil
		require.False(t, may(), "they ran out meanwhile")
		time.Sleep(renewalTime - time.Millisecond)
		require.False(t, may())
		time.Sleep(time.Millisecond)
		require.True(t, may(), "who has not renewed by now is dead")

		b.hang = longOutage + time.Second
		require.False(t, may(), "the store hung and answered")
		b.hang = 0
		time.Sleep(renewalTime)
		require.True(t, may())
	})
}
