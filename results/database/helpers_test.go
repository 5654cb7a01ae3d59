package database_test

import (
	"fmt"
	"os"
	"path/filepath"
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
