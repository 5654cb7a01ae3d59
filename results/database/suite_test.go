package database_test

import (
	"testing"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/storetest"
)

// TestStore runs the suite on both databases.
func TestStore(t *testing.T) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) results.Store { return open(t, database.Options{}) })
		})
	}
}
