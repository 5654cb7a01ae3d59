package storetest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"onsite/results/storetest/postgres"
)

// skipVariable lets tests run on machines that have no PostgreSQL. Without it a missing server is a failure: a suite that quietly leaves
// out half of itself proves nothing.
const skipVariable = "ONSITE_TEST_NO_POSTGRES"

var shared struct {
	sync.Mutex
	server   *postgres.Server
	err      error
	prepared string // address of the database that PostgresLike copies
}

// Server gives the PostgreSQL server of this test binary; the first call starts it. Main stops it. Tests that kill or freeze a server
// start one of their own with package postgres.
func Server(t testing.TB) *postgres.Server {
	t.Helper()
	if os.Getenv(skipVariable) != "" {
		t.Skip(skipVariable + " is set")
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = postgres.Run(context.Background(), postgres.Options{})
	}
	if shared.err != nil {
		t.Fatalf("%v; or set %s=1 to leave these tests out", shared.err, skipVariable)
	}
	return shared.server
}

// Postgres gives the address of a fresh database.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	dsn, err := Server(t).Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// PostgresLike gives the address of a database that is as prepare left one: prepare runs once, its database is copied.
func PostgresLike(t testing.TB, prepare func(dsn string) error) (dsn string) {
	t.Helper()
	server := Server(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.prepared == "" {
		first, err := server.Create(context.Background())
		if err == nil {
			err = prepare(first)
		}
		if err != nil {
			t.Fatal(err)
		}
		shared.prepared = first
	}
	dsn, err := server.Clone(context.Background(), shared.prepared)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Main runs a package's tests and stops the shared server after them; it gives the exit status:
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		shared.server = nil
	}
	return code
}
