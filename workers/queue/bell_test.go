package queue_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/workers/queue"
	"onsite/workers/queue/queuetest"
)

func silent(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
		require.FailNow(t, "a ring that nobody rang")
	default:
	}
}

func TestLocalBell(t *testing.T) {
	var b queue.LocalBell
	b.Ring(t.Context(), "nobody listens")
	ctx, cancel := context.WithCancel(t.Context())
	one, two, other := b.Listen(ctx, "a"), b.Listen(t.Context(), "a"), b.Listen(t.Context(), "b")
	b.Ring(t.Context(), "a")
	b.Ring(t.Context(), "a")
	receive(t, one)
	receive(t, two)
	silent(t, one) // two rings while nobody looked are one
	silent(t, other)
	cancel()
	over := b.Listen(ctx, "a")
	b.Ring(t.Context(), "a")
	receive(t, two)
	silent(t, over)
}

func TestRedisBellRingsInOtherProcesses(t *testing.T) {
	srv := queuetest.Start(t)
	here, there := srv.Queue().NewBell(), srv.Queue().NewBell()
	defer here.Close()
	defer there.Close()
	ear, own := there.Listen(t.Context(), results.BellWork), here.Listen(t.Context(), results.BellWork)
	receive(t, ear) // the subscription stands: look once, you may have missed something
	receive(t, own)
	for range 3 {
		here.Ring(t.Context(), results.BellWork)
		receive(t, own)
		receive(t, ear)
	}
}

func TestRedisBellComesBack(t *testing.T) {
	srv := queuetest.Start(t)
	here, there := srv.Queue().NewBell(), srv.Queue().NewBell()
	defer here.Close()
	defer there.Close()
	ear := there.Listen(t.Context(), "topic")
	receive(t, ear)
	srv.Down()
	near := here.Listen(t.Context(), "topic")
	here.Ring(t.Context(), "topic")
	receive(t, near) // within the process it works without Redis, and does not wait for it
	srv.Up()
	receive(t, ear) // whatever was missed: look
	ear2 := there.Listen(t.Context(), "other")
	receive(t, ear2)
	here.Ring(t.Context(), "other")
	receive(t, ear2)
}

func TestRedisBellHasOneConnection(t *testing.T) {
	srv := queuetest.Start(t)
	b := srv.Queue().NewBell()
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var ears []<-chan struct{}
	for i := range 200 {
		ears = append(ears, b.Listen(ctx, results.BellJob(strconv.Itoa(i))))
	}
	for _, ear := range ears {
		receive(t, ear)
	}
	clients, err := srv.Client().ClientList(t.Context()).Result()
	require.NoError(t, err)
	subscribed := 0
	for line := range lines(clients) {
		if field(line, "sub") != "0" {
			subscribed++
			require.Equal(t, "200", field(line, "sub"))
		}
	}
	require.Equal(t, 1, subscribed)
	cancel()
	require.Eventually(t, func() bool { // Redis forgets the channels soon after the listeners went
		n, err := srv.Client().PubSubChannels(t.Context(), "onsite:*").Result()
		return err == nil && len(n) == 0
	}, soon, 10*time.Millisecond)
}

func TestRedisBellStress(t *testing.T) {
	srv := queuetest.Start(t)
	q := srv.Queue()
	for range 20 {
		b := q.NewBell()
		var users sync.WaitGroup
		for i := range 8 {
			users.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				topic := strconv.Itoa(i % 3)
				ear := b.Listen(ctx, topic)
				b.Ring(ctx, topic)
				<-ear
			})
		}
		users.Wait()
		b.Close()
	}
}
