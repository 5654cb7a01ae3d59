package database

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results/storetest"
)

// handClock is set by hand.
type handClock struct {
	sync.Mutex
	t time.Time
}

func (c *handClock) now() time.Time { c.Lock(); defer c.Unlock(); return c.t }
func (c *handClock) add(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.t = c.t.Add(d)
}

func TestNowIsThatOfPostgres(t *testing.T) {
	ctx := t.Context()
	// This machine's clock is an hour slow.
	real := time.Now()
	mine := &handClock{t: real.Add(-time.Hour)}
	s := openTest(t, Options{Postgres: storetest.Postgres(t), Clock: mine.now})
	require.WithinDuration(t, time.Now(), s.Now(), time.Minute)
	require.Equal(t, time.UTC, s.Now().Location())
	require.Equal(t, s.Now(), s.Now().Truncate(time.Millisecond))
	// It jumps: wrong until the next measurement, right after it.
	mine.add(-24 * time.Hour)
	require.NoError(t, s.clock.calibrate(ctx, s.db, 1))
	require.WithinDuration(t, time.Now(), s.Now(), time.Minute)
	// A clock that runs by itself agrees with the database to milliseconds.
	own := openTest(t, Options{Postgres: storetest.Postgres(t)})
	var ms int64
	before := own.Now()
	require.NoError(t, own.db.QueryRow(ctx, `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint`).Scan(&ms))
	require.WithinRange(t, time.UnixMilli(ms), before.Add(-200*time.Millisecond), own.Now().Add(200*time.Millisecond))
}

func TestNowIsThatOfTheMachineOnSQLite(t *testing.T) {
	mine := &handClock{t: time.Date(2026, 1, 2, 3, 4, 5, 6_789_000, time.UTC)}
	s := openLiteTest(t, Options{Clock: mine.now})
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC), s.Now())
	real := openLiteTest(t, Options{})
	require.WithinDuration(t, time.Now(), real.Now(), time.Minute)
}

// slowDB answers with a time, after the local clock has gone on by half a round trip on each way.
type slowDB struct {
	querier
	clock  *handClock
	ahead  time.Duration // of the local clock
	rounds []time.Duration
	err    error
}

func (d *slowDB) QueryRow(context.Context, string, ...any) row {
	half := d.rounds[0] / 2
	d.rounds = d.rounds[1:]
	d.clock.add(half)
	micros := d.clock.now().Add(d.ahead).UnixMicro()
	d.clock.add(half)
	return fixedRow{micros, d.err}
}

type fixedRow struct {
	n   int64
	err error
}

func (r fixedRow) Scan(dest ...any) error { *dest[0].(*int64) = r.n; return r.err }

func TestCalibration(t *testing.T) {
	hand := &handClock{t: time.UnixMilli(1_000_000)}
	c := newClock(hand.now)
	db := &slowDB{clock: hand, ahead: time.Minute, rounds: []time.Duration{200 * time.Millisecond, 2 * time.Millisecond, 90 * time.Millisecond}}
	require.NoError(t, c.calibrate(t.Context(), db, 3))
	require.Equal(t, hand.now().Add(time.Minute).UTC(), c.now(), "the quickest answer knows best")
	before := c.offset.Load()

	// A slow answer that does not contradict changes nothing; one that does, does.
	db.ahead, db.rounds = time.Minute+20*time.Millisecond, []time.Duration{100 * time.Millisecond, 10 * time.Millisecond}
	require.NoError(t, c.calibrate(t.Context(), db, 1))
	require.Equal(t, before, c.offset.Load())
	require.NoError(t, c.calibrate(t.Context(), db, 1))
	require.Equal(t, int64(time.Minute+20*time.Millisecond), c.offset.Load())

	db.err, db.rounds = errors.New("away"), []time.Duration{0}
	require.Error(t, c.calibrate(t.Context(), db, 1))
	require.Equal(t, int64(time.Minute+20*time.Millisecond), c.offset.Load(), "the last measurement stays")
}
