package postgres_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"onsite/results/storetest/postgres"
)

func TestServer(t *testing.T) {
	ctx := t.Context()
	s, err := postgres.Run(ctx, postgres.Options{Settings: map[string]string{"max_connections": "20"}})
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("ONSITE_TEST_NO_POSTGRES") != "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Remove()) }()
	dsn, err := s.Create(ctx)
	require.NoError(t, err)

	c, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	_, err = c.Exec(ctx, "CREATE TABLE t (n BIGINT)")
	require.NoError(t, err)
	_, err = c.Exec(ctx, "INSERT INTO t VALUES (7)")
	require.NoError(t, err)
	var most int
	require.NoError(t, c.QueryRow(ctx, "SELECT setting::int FROM pg_settings WHERE name = 'max_connections'").Scan(&most))
	require.Equal(t, 20, most)

	require.NoError(t, s.Cut(ctx))
	require.Error(t, c.Ping(ctx), "the connection was cut")

	require.NoError(t, s.Stop())
	_, err = pgx.Connect(ctx, dsn)
	require.Error(t, err)
	require.NoError(t, s.Start(ctx))

	s.Kill()
	require.NoError(t, s.Start(ctx), s.Log())
	c, err = pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	var n int
	require.NoError(t, c.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n), "the table is there after a crash")

	require.NoError(t, c.Close(ctx))
	copied, err := s.Clone(ctx, dsn)
	require.NoError(t, err)
	c, err = pgx.Connect(ctx, copied)
	require.NoError(t, err)
	require.NoError(t, c.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n), "a copy has the tables")

	thaw := s.Freeze()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.Ping(short), context.DeadlineExceeded)
	thaw()
	c, err = pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	require.NoError(t, c.Close(ctx))
}

func TestFolderOfOnesOwnStays(t *testing.T) {
	dir, err := os.MkdirTemp("", "onsite-pg") //nolint:usetesting // the user postgres cannot reach t.TempDir
	require.NoError(t, err)
	defer func() { require.NoError(t, os.RemoveAll(dir)) }()
	s, err := postgres.New(t.Context(), postgres.Options{Dir: dir, Fsync: true})
	require.NoError(t, err)
	require.NoError(t, s.Remove())
	require.DirExists(t, dir+"/data")
}
