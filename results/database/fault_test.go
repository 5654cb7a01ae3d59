package database

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/storetest"
	"onsite/results/storetest/postgres"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	ctx := t.Context()
	_, err := Open(ctx, Options{})
	require.ErrorContains(t, err, "either")
	_, err = Open(ctx, Options{SQLite: "a", Postgres: "b"})
	require.ErrorContains(t, err, "either")
	_, err = Open(ctx, Options{SQLite: filepath.Join(t.TempDir(), "no", "folder", "s.db")})
	require.ErrorIs(t, err, results.ErrAway)
	_, err = Open(ctx, Options{Postgres: "postgres://me:secretword@[::1/db"})
	require.ErrorContains(t, err, "postgres://USER:PASSWORD@HOST")
	require.NotContains(t, err.Error(), "secretword")
	_, err = Open(ctx, Options{Postgres: "host=" + t.TempDir() + " user=x password=secretword dbname=y connect_timeout=2"})
	require.ErrorIs(t, err, results.ErrAway)
	require.NotContains(t, err.Error(), "secretword")
}

// TestPostgresAway takes the server away in every way while the store is in use: callers get results.ErrAway, nothing hangs, and the store
// goes on by itself when the server is back.
func TestPostgresAway(t *testing.T) {
	storetest.Server(t) // skips where there is none
	ctx := t.Context()
	server, err := postgres.Run(ctx, postgres.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Remove()) }()
	dsn, err := server.Create(ctx)
	require.NoError(t, err)
	s := openTest(t, Options{Postgres: dsn, Timeout: 2 * time.Second})
	require.NoError(t, s.Remember(ctx, "a", []byte("1")))
	works := func() bool { return s.Remember(ctx, "a", []byte("2")) == nil && s.Ping(ctx) == nil }

	server.Kill()
	require.ErrorIs(t, s.Remember(ctx, "a", []byte("2")), results.ErrAway)
	require.ErrorIs(t, s.Ping(ctx), results.ErrAway)
	require.ErrorIs(t, s.db.Tx(ctx, func(querier) error { return nil }), results.ErrAway)
	_, err = s.db.Batch(ctx, []statement{put("x", "1")})
	require.ErrorIs(t, err, results.ErrAway)
	require.WithinDuration(t, time.Now(), s.Now(), time.Minute, "the clock goes on")
	require.NoError(t, server.Start(ctx))
	require.Eventually(t, works, time.Minute, 20*time.Millisecond)

	require.NoError(t, server.Stop())
	require.ErrorIs(t, s.Ping(ctx), results.ErrAway)
	require.NoError(t, server.Start(ctx))
	require.Eventually(t, works, time.Minute, 20*time.Millisecond)

	// Cut in the middle of a transaction: nothing of it stays.
	err = s.db.Tx(ctx, func(q querier) error {
		if _, err := q.Batch(ctx, []statement{put("half", "1")}); err != nil {
			return err
		}
		require.NoError(t, server.Cut(ctx))
		_, err := q.Batch(ctx, []statement{put("whole", "1")})
		return err
	})
	require.ErrorIs(t, err, results.ErrAway)
	require.Eventually(t, works, time.Minute, 20*time.Millisecond)
	require.NotContains(t, remembered(t, s), "half")

	thaw := server.Freeze()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Ping(short), context.DeadlineExceeded)
	began := time.Now()
	require.ErrorIs(t, s.Ping(ctx), results.ErrAway, "a server that hangs holds nobody for longer than Options.Timeout")
	require.Less(t, time.Since(began), 10*time.Second)
	thaw()
	require.Eventually(t, works, time.Minute, 20*time.Millisecond)
}

func TestSQLiteDiskFull(t *testing.T) {
	s := openLiteTest(t, Options{})
	ctx := t.Context()
	l := s.db.(*liteEngine)
	var pages int
	require.NoError(t, l.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages))
	_, err := l.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+2)) // SQLite's own stand-in for a full disk
	require.NoError(t, err)
	require.NoError(t, s.Remember(ctx, "small", []byte(`1`)))
	large := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
	require.ErrorIs(t, s.Remember(ctx, "large", large), results.ErrAway)
	require.ErrorIs(t, s.db.Tx(ctx, func(q querier) error {
		if _, err := q.Batch(ctx, []statement{put("half", "1")}); err != nil {
			return err
		}
		_, err := q.Batch(ctx, []statement{put("large", string(large))})
		return err
	}), results.ErrAway)
	require.Equal(t, []string{"small"}, remembered(t, s), "nothing half-written")
	_, err = l.conn.ExecContext(ctx, "PRAGMA max_page_count = 1000000")
	require.NoError(t, err)
	require.NoError(t, s.Remember(ctx, "large", large), "it goes on once there is room")
}

func TestFaultsOfPostgres(t *testing.T) {
	for code, want := range map[string][]error{
		"23505": {results.ErrExists},
		"23503": {results.ErrNotFound},
		"40001": {results.ErrAway, errRace},
		"40P01": {results.ErrAway, errRace},
		"57P01": {results.ErrAway},
		"25006": {results.ErrAway},
		"53100": {results.ErrAway},
		"53300": {results.ErrAway},
		"08006": {results.ErrAway},
	} {
		for _, target := range want {
			require.ErrorIs(t, fault(t.Context(), &pgconn.PgError{Code: code}), target, code)
		}
	}
	for _, code := range []string{"42601", "42P01", "23502", "22P02"} { // our own mistakes are not a store that is away
		err := fault(t.Context(), &pgconn.PgError{Code: code})
		require.NotErrorIs(t, err, results.ErrAway, code)
	}
	stale := fault(t.Context(), &pgconn.PgError{Code: "0A000", Message: "cached plan must not change result type"})
	require.ErrorIs(t, stale, errRace)
	require.NoError(t, fault(t.Context(), nil))
}
