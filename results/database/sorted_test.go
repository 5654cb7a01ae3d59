package database_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
)

// TestSortedByLanguage runs what depends on the order of ids on a database that sorts as a language does: punctuation before digits, for
// instance.
func TestSortedByLanguage(t *testing.T) {
	storetest.RunPart(t, "frames", func(t *testing.T) results.Store {
		dsn, err := storetest.Server(t).CreateSorted(t.Context(), "en-US")
		require.NoError(t, err)
		s := open(t, database.Options{Postgres: dsn})
		require.NoError(t, s.Migrate(t.Context()))
		return s
	})
}
