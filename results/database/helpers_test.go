package database_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results/database"
	"onsite/results/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// openers open an empty store of each kind.
var openers = map[string]func(t testing.TB, o database.Options) *database.Store{
	"sqlite": func(t testing.TB, o database.Options) *database.Store {
		o.SQLite = filepath.Join(t.TempDir(), "onsite.db")
		return open(t, o)
	},
	"postgres": func(t testing.TB, o database.Options) *database.Store {
		o.Postgres = storetest.Postgres(t)
		return open(t, o)
	},
}

func open(t testing.TB, o database.Options) *database.Store {
	t.Helper()
	s, err := database.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	return s
}
