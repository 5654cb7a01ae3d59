package database

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// recalibrate is how often the database is asked for its time. Clocks of machines drift by less than 0.1 ms in that time.
const recalibrate = 3 * time.Second

// clock gives the time of the database without asking it: the local clock plus an offset that is measured again and again. The local clock
// is one that only runs forward (and runs on while the machine sleeps), so a jump of the wall clock moves nothing; where a test gives its
// own clock, a jump of that is mended by the next measurement.
type clock struct {
	local  func() time.Time
	offset atomic.Int64 // nanoseconds to add; 0 where the database has no clock of its own
}

func newClock(given func() time.Time) *clock {
	if given != nil {
		return &clock{local: given}
	}
	wall, since := time.Now(), boottime()
	return &clock{local: func() time.Time { return wall.Add(boottime() - since) }}
}

// boottime is the time since the machine started, its sleep included.
func boottime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("the kernel has no CLOCK_BOOTTIME: " + err.Error()) // Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}

func (c *clock) now() time.Time {
	return c.local().Add(time.Duration(c.offset.Load())).UTC().Truncate(time.Millisecond)
}

// calibrate measures how far the database's clock is from ours. A measurement knows the offset to half of its round trip; while the
// present offset is within that, it stays, so that the clock does not tremble.
func (c *clock) calibrate(ctx context.Context, db querier, samples int) error {
	var best, offset time.Duration
	for i := range samples {
		var micros int64
		sent := c.local()
		err := db.QueryRow(ctx, `SELECT (extract(epoch FROM clock_timestamp())*1000000)::bigint`).Scan(&micros)
		if err != nil {
			return err
		}
		took := c.local().Sub(sent)
		if i == 0 || took < best {
			best = took
			offset = time.UnixMicro(micros).Sub(sent.Add(took / 2))
		}
	}
	if now := time.Duration(c.offset.Load()); (now - offset).Abs() > best/2 {
		c.offset.Store(int64(offset))
	}
	return nil
}

// follow measures again until ctx ends.
func (c *clock) follow(ctx context.Context, db querier, log *slog.Logger) {
	tick := time.NewTicker(recalibrate)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		once, done := context.WithTimeout(ctx, recalibrate)
		if err := c.calibrate(once, db, 1); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "the results store's clock could not be read; the last measurement stays", "error", err)
		}
		done()
	}
}
