package database

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
)

func openTest(t *testing.T) *Store {
	s, err := Open(t.Context(), Options{SQLite: filepath.Join(t.TempDir(), "a b?c#.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func TestQuick(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	require.NoError(t, s.Ping(ctx))
	require.NoError(t, s.Validate(ctx))
	boom := errors.New("boom")
	err := s.db.Tx(ctx, func(q querier) error {
		_, err := q.Exec(ctx, `INSERT INTO memory (name, value) VALUES ($1, $2)`, "x", "1")
		require.NoError(t, err)
		return boom
	})
	require.ErrorIs(t, err, boom)
	n, err := s.db.Batch(ctx, []statement{
		do(`INSERT INTO memory (name, value) VALUES ($1, $2)`, "x", "1"),
		do(`UPDATE memory SET value=$2 WHERE name = ANY($1)`, []string{"x", "y"}, "2"),
	})
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1}, n)
	_, err = s.db.Exec(ctx, `INSERT INTO memory (name, value) VALUES ($1, $2)`, "x", "1")
	require.ErrorIs(t, err, results.ErrExists)
	var v string
	require.ErrorIs(t, s.db.QueryRow(ctx, `SELECT value FROM memory WHERE name=$1`, "q").Scan(&v), results.ErrNotFound)
	require.NoError(t, s.db.QueryRow(ctx, `SELECT value FROM memory WHERE name=$1`, "x").Scan(&v))
	require.Equal(t, "2", v)
	require.NoError(t, s.db.QueryRow(ctx, `UPDATE memory SET value='3' WHERE name=$1 RETURNING value`, "x").Scan(&v))
	require.Equal(t, "3", v)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.db.Exec(gone, `DELETE FROM memory`)
	require.ErrorIs(t, err, context.Canceled)
	require.WithinDuration(t, time.Now(), s.Now(), time.Second)
	cur, known, err := s.Version(ctx)
	require.NoError(t, err)
	require.Equal(t, known, cur)
	require.NoError(t, s.Down(ctx))
	require.Error(t, s.Validate(ctx))
}
