package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
	"modernc.org/sqlite"
	lite "modernc.org/sqlite/lib"

	"onsite/results"
)

var (
	// errRace marks an error after which the same transaction may simply be tried again. It is always an ErrAway too, for when
	// trying again did not help.
	errRace = errors.New("lost a race for the rows")
	// errSlow is why a call that had no deadline of its own was ended.
	errSlow = errors.New("the database did not answer in time")
	errDisk = errors.New("the disk of the results store is full or fails; make room, nothing accepted is lost")
)

// fault types an error of a driver:
//
//	no row                                  results.ErrNotFound
//	unique or primary key                   results.ErrExists
//	foreign key                             results.ErrNotFound: what the row belongs to is not there
//	connection, shutdown, disk              results.ErrAway
//	deadlock, serialisation, busy file      results.ErrAway and errRace
//
// The end of the caller's context passes as it is.
func fault(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	var li *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, results.ErrAway), errors.Is(err, results.ErrNotFound), errors.Is(err, results.ErrExists):
		return err
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, sql.ErrNoRows):
		return results.ErrNotFound
	case ctx.Err() != nil:
		if errors.Is(context.Cause(ctx), errSlow) {
			return fmt.Errorf("%w: %w", results.ErrAway, errSlow)
		}
		return fmt.Errorf("%w (%s)", context.Cause(ctx), err.Error()) // as text: what else is in err is not what happened
	case errors.As(err, &pg):
		return faultPostgres(pg)
	case errors.As(err, &li):
		return faultSQLite(li)
	case lostConnection(err):
		return fmt.Errorf("%w: %w", results.ErrAway, err)
	}
	return err
}

func faultPostgres(err *pgconn.PgError) error {
	switch err.Code {
	case "23505":
		return fmt.Errorf("%w: %w", results.ErrExists, err)
	case "23503":
		return fmt.Errorf("%w: %w", results.ErrNotFound, err)
	case "40001", "40P01", "55P03":
		return fmt.Errorf("%w: %w: %w", results.ErrAway, errRace, err)
	case "0A000":
		// The form of a table changed under a prepared statement; pgx has forgotten the statement by now.
		if strings.Contains(err.Message, "cached plan") {
			return fmt.Errorf("%w: %w: %w", results.ErrAway, errRace, err)
		}
		return err
	case "25006", "57P01", "57P02", "57P03", "57P05": // a standby; shutting down, crashed, starting, idle too long
		return fmt.Errorf("%w: %w", results.ErrAway, err)
	}
	switch err.Code[:2] {
	case "08", "53", "58", "XX": // connection, resources (disk, memory, connections), files, internal: nothing that our words are at fault for
		return fmt.Errorf("%w: %w", results.ErrAway, err)
	}
	return err
}

func faultSQLite(err *sqlite.Error) error {
	switch err.Code() {
	case lite.SQLITE_CONSTRAINT_UNIQUE, lite.SQLITE_CONSTRAINT_PRIMARYKEY, lite.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", results.ErrExists, err)
	case lite.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", results.ErrNotFound, err)
	}
	switch err.Code() & 0xff {
	case lite.SQLITE_BUSY, lite.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w: %w", results.ErrAway, errRace, err)
	case lite.SQLITE_FULL, lite.SQLITE_IOERR, lite.SQLITE_CANTOPEN, lite.SQLITE_READONLY:
		return fmt.Errorf("%w: %w: %w", results.ErrAway, errDisk, err)
	}
	return err
}

// lostConnection says whether the way to the database broke, or never was.
func lostConnection(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, puddle.ErrClosedPool) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, pgconn.ErrConnClosed) || pgconn.SafeToRetry(err)
}
