package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"onsite/results"
)

// Options say where the store is. Exactly one of SQLite and Postgres is given.
type Options struct {
	SQLite   string // path of the database file; it is made when it is not there
	Postgres string // DSN or URL, as libpq knows them
	// Clock is the machine's clock; nil: the real one, which jumps of the wall clock do not touch. Tests give their own.
	Clock func() time.Time
	// MaxConns bounds the connections: of the pool on PostgreSQL (16), of the readers on SQLite (4).
	MaxConns int
	// Timeout bounds a call whose context has no deadline of its own, so that a database that hangs stops nobody for good; 30 s.
	Timeout time.Duration
	Logger  *slog.Logger
}

// Store is the results store. It is made by Open, used from many goroutines, and ended by Close.
type Store struct {
	db      engine
	clock   *clock
	log     *slog.Logger
	stop    context.CancelFunc
	bg      sync.WaitGroup
	gate    gate                            // admits submissions up to a tenant's bound
	turns   [results.PriorityBulk + 1]turns // whose turn it is to be dispatched, by priority
	senders turns                           // which webhook endpoint's turn it is
	loggers turns                           // whose audit entries get their places next
}

// Open connects to the database. It does not migrate: that is Migrate. A database that cannot be reached is results.ErrAway.
func Open(ctx context.Context, o Options) (*Store, error) {
	if (o.SQLite == "") == (o.Postgres == "") {
		return nil, errors.New("open the results store: give either a SQLite file or a PostgreSQL address")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	s := &Store{log: o.Logger, clock: newClock(o.Clock)}
	var err error
	if o.SQLite != "" {
		s.db, err = openSQLite(ctx, o)
	} else {
		s.db, err = openPostgres(ctx, o)
	}
	if err != nil {
		return nil, fmt.Errorf("open the results store: %w", err)
	}
	bg, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if s.db.clocked() {
		if err := s.clock.calibrate(ctx, s.db, 3); err != nil {
			stop()
			s.db.Close()
			return nil, fmt.Errorf("open the results store: read its clock: %w", err)
		}
		s.bg.Go(func() { s.clock.follow(bg, s.db, s.log) })
	}
	return s, nil
}

// Now is the clock of the database on PostgreSQL, so that all machines agree about leases, and that of the machine on SQLite. It is
// computed here: it costs no round trip.
func (s *Store) Now() time.Time { return s.clock.now() }

// Ping says whether the database answers now.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.db.QueryRow(ctx, `SELECT 1`).Scan(&one); err != nil {
		return fmt.Errorf("ask the results store for a sign of life: %w", err)
	}
	return nil
}

// Close ends the store and waits for what runs in it.
func (s *Store) Close() error {
	s.stop()
	s.bg.Wait()
	return s.db.Close()
}
