package database_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"onsite/results/database"
	"onsite/results/storetest"
)

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// openers open an empty store of each kind.
var openers = map[string]func(t testing.TB, o database.Options) *database.Store{
	"sqlite": func(t testing.TB, o database.Options) *database.Store {
		o.SQLite = filepath.Join(t.TempDir(), "onsite.db")
		file, err := empty()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(o.SQLite, file, 0o600))
		return open(t, o)
	},
	"postgres": func(t testing.TB, o database.Options) *database.Store {
		o.Postgres = storetest.PostgresLike(t, func(dsn string) error {
			s, err := database.Open(context.Background(), database.Options{Postgres: dsn})
			if err != nil {
				return err
			}
			return errors.Join(s.Migrate(context.Background()), s.Close())
		})
		return open(t, o)
	},
}

// empty is a migrated file without rows. Copying it is much quicker than making the tables, above all under the race detector.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "onsite-empty-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	path := filepath.Join(dir, "onsite.db")
	s, err := database.Open(context.Background(), database.Options{SQLite: path})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.Migrate(context.Background()), s.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func open(t testing.TB, o database.Options) *database.Store {
	t.Helper()
	s, err := database.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
