package database

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/pressly/goose/v3"
)

// row is one row of a result.
type row interface {
	Scan(dest ...any) error
}

// rows are read with Next and Scan, and closed.
type rows interface {
	row
	Next() bool
	Err() error
	Close()
}

// statement is one of several that are sent together.
type statement struct {
	sql  string
	args []any
	// each is called for every row that the statement gives; nil when it gives none that are wanted. It only reads the row: on PostgreSQL
	// the whole batch was sent before the first row came, and an error of each takes nothing back.
	each func(row) error
}

func do(sql string, args ...any) statement { return statement{sql: sql, args: args} }

// querier runs statements: an engine, each in a transaction of its own, or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (int64, error) // gives the number of rows it changed
	Query(ctx context.Context, sql string, args ...any) (rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) row // Scan gives results.ErrNotFound when there is none
	// Batch runs several statements in one transaction, all or none: one round trip on PostgreSQL. It gives for each how many rows it
	// changed (or gave, with each). It is not tried again by itself: see Store.again.
	Batch(ctx context.Context, b []statement) ([]int64, error)
}

// engine is one database. Errors come out typed (fault.go). A statement of an engine (not of a transaction) that begins with SELECT or WITH
// and is given to Query or QueryRow may go to a reader on SQLite, so what writes and returns rows begins with INSERT, UPDATE or DELETE.
type engine interface {
	querier
	// Tx runs fn in a transaction. fn is called again when the transaction lost a race, so it must begin anew each time.
	Tx(ctx context.Context, fn func(querier) error) error
	dialect() goose.Dialect
	clocked() bool // has a clock that several machines share
	// migrator gives a handle of database/sql on which nobody else writes until done is called.
	migrator(ctx context.Context) (db *sql.DB, done func(), err error)
	files() (fs.FS, error) // its migrations
	Close() error
}

// again runs fn until it no longer ends with an error of a lost race (deadlock, serialisation, busy file): for batches and single statements
// that several machines may run into each other with. fn must begin anew each time.
func again(ctx context.Context, fn func() error) error {
	const tries = 12
	wait := 2 * time.Millisecond
	for try := 1; ; try++ {
		err := fn()
		if err == nil || try == tries || !errors.Is(err, errRace) {
			return err
		}
		// Half of it random, so that those who met once do not meet again.
		timer := time.NewTimer(wait/2 + rand.N(wait)) //nolint:gosec // no secret
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(2*wait, 250*time.Millisecond)
	}
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rs, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var all []T
	for rs.Next() {
		one, err := scan(rs)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rs.Err()
}

// bounded gives a context that ends at the latest after d, unless the caller set an end.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, d, errSlow)
}
