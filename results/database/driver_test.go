package database

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/storetest"
)

// onBoth runs a test on both databases.
func onBoth(t *testing.T, run func(t *testing.T, s *Store)) {
	t.Run("sqlite", func(t *testing.T) { run(t, openLiteTest(t, Options{})) })
	t.Run("postgres", func(t *testing.T) { run(t, openTest(t, Options{Postgres: storetest.Postgres(t)})) })
}

func openTest(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	if o.SQLite == "" {
		require.NoError(t, s.Migrate(t.Context()))
	}
	return s
}

// migrated is a file with all tables and no rows: making them takes a second under the race detector.
var migrated = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "onsite-migrated-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "s.db")
	s, err := Open(context.Background(), Options{SQLite: path})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.Migrate(context.Background()), s.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// openLiteTest opens a migrated SQLite file, whose name has what must be escaped in a URI.
func openLiteTest(t *testing.T, o Options) *Store {
	t.Helper()
	file, err := migrated()
	require.NoError(t, err)
	o.SQLite = filepath.Join(t.TempDir(), "a b?c#%41.db")
	require.NoError(t, os.WriteFile(o.SQLite, file, 0o600))
	return openTest(t, o)
}

func put(name, value string) statement {
	return do(`INSERT INTO memory (name, value) VALUES ($1, $2)`, name, value)
}

func remembered(t *testing.T, s *Store) (names []string) {
	t.Helper()
	names, err := collect(t.Context(), s.db, scanText, `SELECT name FROM memory ORDER BY name`)
	require.NoError(t, err)
	return names
}

func TestTransactionsAreWholeOrNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		boom := errors.New("boom")
		require.ErrorIs(t, s.db.Tx(ctx, func(q querier) error {
			_, err := q.Batch(ctx, []statement{put("a", "1"), put("b", "1")})
			require.NoError(t, err)
			return boom
		}), boom)
		require.Empty(t, remembered(t, s))
		require.Panics(t, func() {
			_ = s.db.Tx(ctx, func(q querier) error {
				_, err := q.Exec(ctx, `INSERT INTO memory (name, value) VALUES ('a', '1')`)
				require.NoError(t, err)
				panic("boom")
			})
		})
		require.Empty(t, remembered(t, s), "and the connection can be used again")
		_, err := s.db.Batch(ctx, []statement{put("a", "1"), put("b", "1"), put("a", "2")})
		require.ErrorIs(t, err, results.ErrExists)
		require.Empty(t, remembered(t, s), "a batch is one transaction")
		require.NoError(t, s.db.Tx(ctx, func(q querier) error {
			_, err := q.Batch(ctx, []statement{put("a", "1")})
			require.NoError(t, err)
			var n int
			require.NoError(t, q.QueryRow(ctx, `SELECT count(*) FROM memory`).Scan(&n))
			require.Equal(t, 1, n, "a transaction sees its own rows")
			require.Empty(t, remembered(t, s), "and nobody else does")
			return nil
		}))
		require.Equal(t, []string{"a"}, remembered(t, s))
	})
}

func TestBatchGivesRowsAndCounts(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		var got []string
		read := func(r row) error {
			text, err := scanText(r)
			got = append(got, text)
			return err
		}
		n, err := s.db.Batch(ctx, []statement{
			put("a", "1"), put("b", "2"), put("c", "3"),
			do(`UPDATE memory SET value = $2 WHERE name = ANY($1)`, []string{"a", "b", "z"}, "9"),
			{`DELETE FROM memory WHERE name <> ALL($1) RETURNING name`, []any{[]string{"a", "b"}}, read},
			{`SELECT name FROM memory WHERE value = $1 ORDER BY name`, []any{"9"}, read},
			do(`DELETE FROM memory WHERE name = $1`, "nothing"),
		})
		require.NoError(t, err)
		require.Equal(t, []int64{1, 1, 1, 2, 1, 2, 0}, n)
		require.Equal(t, []string{"c", "a", "b"}, got)
		n, err = s.db.Batch(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, n)
		none, err := s.db.Exec(ctx, `DELETE FROM memory WHERE name = ANY($1)`, []string(nil))
		require.NoError(t, err)
		require.Zero(t, none)
		all, err := s.db.Exec(ctx, `DELETE FROM memory WHERE name <> ALL($1)`, []string(nil))
		require.NoError(t, err)
		require.EqualValues(t, 2, all, "an empty list excludes nothing")
		_, err = s.db.Batch(ctx, []statement{put("a", "1"), {`SELECT name FROM memory`, nil, func(row) error { return errors.New("cannot read") }}})
		require.ErrorContains(t, err, "cannot read")
		var text string
		require.ErrorIs(t, s.db.QueryRow(ctx, `SELECT value FROM memory WHERE name = $1`, "nothing").Scan(&text), results.ErrNotFound)
		require.NoError(t, s.db.QueryRow(ctx, `INSERT INTO memory (name, value) VALUES ('q', '7') RETURNING value`).Scan(&text), "a statement that writes may give rows")
		require.Equal(t, "7", text)
	})
}

// TestLostRacesAreRunAgain has two transactions lock two rows in opposite order: PostgreSQL ends one of them, and it must still come through.
func TestLostRacesAreRunAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		_, err := s.db.Batch(ctx, []statement{put("a", ""), put("b", "")})
		require.NoError(t, err)
		var met sync.WaitGroup
		met.Add(2)
		var once [2]sync.Once
		meet := func(i int) { // only the first tries meet; on SQLite there is one at a time, so nobody waits
			once[i].Do(func() {
				met.Done()
				if s.postgres() {
					met.Wait()
				}
			})
		}
		var both sync.WaitGroup
		errs := make([]error, 2)
		for i, names := range [][]string{{"a", "b"}, {"b", "a"}} {
			both.Go(func() {
				errs[i] = s.db.Tx(ctx, func(q querier) error {
					if _, err := q.Exec(ctx, `UPDATE memory SET value = value || $2::text WHERE name = $1`, names[0], names[0]); err != nil {
						return err
					}
					meet(i)
					_, err := q.Exec(ctx, `UPDATE memory SET value = value || $2::text WHERE name = $1`, names[1], names[0])
					return err
				})
			})
		}
		both.Wait()
		require.NoError(t, errs[0])
		require.NoError(t, errs[1])
		for _, name := range []string{"a", "b"} {
			var value string
			require.NoError(t, s.db.QueryRow(ctx, `SELECT value FROM memory WHERE name = $1`, name).Scan(&value))
			require.Len(t, value, 2, "each transaction counts once")
		}
	})
}

func TestTryingAgainEnds(t *testing.T) {
	tries := 0
	err := again(t.Context(), func() error { tries++; return errRace })
	require.ErrorIs(t, err, errRace)
	require.Equal(t, 12, tries)
	other := errors.New("other")
	tries = 0
	require.ErrorIs(t, again(t.Context(), func() error { tries++; return other }), other)
	require.Equal(t, 1, tries)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, again(ctx, func() error { cancel(); return errRace }), context.Canceled)
}

func TestWaitingToWriteEndsWithTheContext(t *testing.T) {
	s := openLiteTest(t, Options{Timeout: 2 * time.Second})
	in, out := make(chan struct{}), make(chan struct{})
	var hog sync.WaitGroup
	hog.Go(func() {
		_ = s.db.Tx(context.WithoutCancel(t.Context()), func(querier) error { close(in); <-out; return nil })
	})
	stop := sync.OnceFunc(func() { close(out); hog.Wait() })
	t.Cleanup(stop)
	<-in
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Remember(ctx, "a", []byte("1")), context.DeadlineExceeded, "the caller's own time")
	require.ErrorIs(t, s.Remember(t.Context(), "a", []byte("1")), results.ErrAway, "no time of its own: the store's")
	_, err := s.Recall(t.Context(), "a")
	require.ErrorIs(t, err, results.ErrNotFound, "reading goes on meanwhile")
	stop()
	require.NoError(t, s.Remember(t.Context(), "a", []byte("1")))
}

func TestSQLiteIsDurableAndStrict(t *testing.T) {
	s := openLiteTest(t, Options{})
	l := s.db.(*liteEngine)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0"} {
		var got string
		require.NoError(t, l.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := l.readers.ExecContext(t.Context(), `DELETE FROM memory`)
	require.Error(t, err, "readers only read")
	_, err = s.db.Exec(t.Context(), `INSERT INTO elections (role, holder, until) VALUES ('a', 'b', 'text')`)
	require.Error(t, err, "a column holds what its type says")
}

func TestForLite(t *testing.T) {
	for from, want := range map[string]string{
		`SELECT a FROM t WHERE a = $1 AND b = $12`:                             `SELECT a FROM t WHERE a = ?1 AND b = ?12`,
		`DELETE FROM t WHERE a = ANY($2)`:                                      `DELETE FROM t WHERE a IN (SELECT value FROM json_each(?2))`,
		`DELETE FROM t WHERE a = ANY($2::text[]) OR b <> ALL($1)`:              `DELETE FROM t WHERE a IN (SELECT value FROM json_each(?2)) OR b NOT IN (SELECT value FROM json_each(?1))`,
		`INSERT INTO t SELECT k.v, $2::bigint FROM unnest($1::text[]) AS k(v)`: `INSERT INTO t SELECT k.v, ?2 FROM (SELECT value AS v FROM json_each(?1)) AS k`,
		`SELECT a FROM t ORDER BY a LIMIT $1 FOR UPDATE SKIP LOCKED`:           `SELECT a FROM t ORDER BY a LIMIT ?1`,
		`SELECT a FROM t FOR NO KEY UPDATE`:                                    `SELECT a FROM t`,
		`SELECT '$.path', '::'`:                                                `SELECT '$.path', '::'`,
	} {
		require.Equal(t, want, forLite(from))
		require.Equal(t, want, forLite(from), "from the cache")
	}
}

func TestBindLeavesTheCallersArgumentsAlone(t *testing.T) {
	when := time.UnixMilli(1234).In(time.FixedZone("", 3600))
	args := []any{when, []string{"a"}, "x", time.Time{}, js(map[string]int{"n": 1})}
	got, err := bind(args, true)
	require.NoError(t, err)
	require.Equal(t, []any{int64(1234), `["a"]`, "x", int64(0), `{"n":1}`}, got)
	require.Equal(t, when, args[0])
	got, err = bind(args, false)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, got[1])
	_, err = bind([]any{js(make(chan int))}, false)
	require.Error(t, err)
}

func TestTimesAndJSONOnTheWay(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		when := time.Date(2026, 3, 1, 9, 0, 0, 7_999_999, time.FixedZone("CST", 8*3600))
		_, err := s.db.Exec(ctx, `INSERT INTO elections (role, holder, until) VALUES ($1, $2, $3)`, "r", js([]string{"上海"}), when)
		require.NoError(t, err)
		var back time.Time
		var names []string
		require.NoError(t, s.db.QueryRow(ctx, `SELECT until, holder FROM elections`).Scan(at(&back), fromJSON(&names)))
		require.Equal(t, when.UTC().Truncate(time.Millisecond), back)
		require.Equal(t, []string{"上海"}, names)
		require.Error(t, s.db.QueryRow(ctx, `SELECT role FROM elections`).Scan(at(&back)))
		require.Error(t, s.db.QueryRow(ctx, `SELECT role FROM elections`).Scan(fromJSON(&names)), "r is no JSON")
	})
}
