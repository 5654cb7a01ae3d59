package database

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/results"
	"onsite/results/storetest"
)

func TestMigrateUpDownUp(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		require.NoError(t, s.Validate(ctx))
		first := tables(t, s)
		require.Contains(t, first, "subjects.erased_at")
		require.Contains(t, first, "jobs.token")
		current, known, err := s.Version(ctx)
		require.NoError(t, err)
		require.Equal(t, known, current)
		require.Positive(t, known)
		versions := versions(t)
		require.Equal(t, versions[len(versions)-1], known)
		for i := len(versions) - 2; i >= 0; i-- {
			require.NoError(t, s.Down(ctx))
			current, _, err := s.Version(ctx)
			require.NoError(t, err)
			require.Equal(t, versions[i], current)
			require.ErrorContains(t, s.Validate(ctx), "not applied")
		}
		require.Empty(t, tables(t, s), "all of it is gone")
		require.NoError(t, s.Migrate(ctx))
		require.NoError(t, s.Migrate(ctx), "once more does nothing")
		require.NoError(t, s.Validate(ctx))
		require.Equal(t, first, tables(t, s))
		require.NoError(t, s.CreateTenant(ctx, results.Tenant{ID: "t", CreatedAt: s.Now()}))
	})
}

// versions are those of the migrations, 0 before the first, in order.
func versions(t *testing.T) []int64 {
	t.Helper()
	files, err := fs.Glob(migrations(false), "*.sql")
	require.NoError(t, err)
	all := []int64{0}
	for _, name := range files { // Glob sorts
		number, _, ok := strings.Cut(name, "_")
		require.True(t, ok, name)
		n, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err, name)
		require.Greater(t, n, all[len(all)-1], "two migrations with one number")
		all = append(all, n)
	}
	return all
}

// TestMigrateFromNothing is what every other test on SQLite leaves out.
func TestMigrateFromNothing(t *testing.T) {
	s := openTest(t, Options{SQLite: filepath.Join(t.TempDir(), "s.db")})
	require.ErrorContains(t, s.Validate(t.Context()), "not applied")
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.Validate(t.Context()))
}

func TestBothDatabasesHaveTheSameTables(t *testing.T) {
	lite := openLiteTest(t, Options{})
	pg := openTest(t, Options{Postgres: storetest.Postgres(t)})
	require.Equal(t, tables(t, pg), tables(t, lite))
}

// tables lists table.column of everything that is ours.
func tables(t *testing.T, s *Store) []string {
	t.Helper()
	query := `SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`
	if s.postgres() {
		query = `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'`
	}
	all, err := collect(t.Context(), s.db, scanText, query)
	require.NoError(t, err)
	all = slices.DeleteFunc(all, func(name string) bool { return strings.HasPrefix(name, "goose_") })
	slices.Sort(all)
	return all
}

func TestSeveralProcessesMigrateAtOnce(t *testing.T) {
	for name, o := range map[string]Options{"sqlite": {SQLite: filepath.Join(t.TempDir(), "s.db")}, "postgres": {Postgres: storetest.Postgres(t)}} {
		t.Run(name, func(t *testing.T) {
			const n = 4
			errs := make([]error, n)
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					s, err := Open(t.Context(), o)
					if err == nil {
						err = s.Migrate(t.Context())
						s.Close()
					}
					errs[i] = err
				})
			}
			all.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
		})
	}
}

func TestNewerTablesAreLeftAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		_, err := s.db.Exec(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`)
		require.NoError(t, err)
		require.ErrorContains(t, s.Migrate(ctx), "9999")
		require.ErrorContains(t, s.Validate(ctx), "9999")
	})
}

// TestMigrationsAreWellFormed holds every file against the rules that both databases rely on.
func TestMigrationsAreWellFormed(t *testing.T) {
	made, gone := map[string]int{}, map[string]int{}
	for _, lite := range []bool{false, true} {
		dir := migrations(lite)
		files, err := fs.Glob(dir, "*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range files {
			text, err := fs.ReadFile(dir, name)
			require.NoError(t, err)
			up, down, ok := strings.Cut(string(text), "-- +goose Down")
			require.True(t, ok, name)
			for _, m := range regexp.MustCompile(`CREATE TABLE (\w+)`).FindAllStringSubmatch(up, -1) {
				made[m[1]]++
			}
			for _, m := range regexp.MustCompile(`DROP TABLE (\w+)`).FindAllStringSubmatch(down, -1) {
				gone[m[1]]++
			}
			if lite {
				require.NotRegexp(t, `\b(BIGINT|BYTEA|BOOLEAN)\b`, string(text), name)
				require.Equal(t, strings.Count(up, "CREATE TABLE"), strings.Count(up, ") STRICT"), "%s: a table that is not strict", name)
				require.NotContains(t, string(text), "-- postgres", name)
			} else {
				require.NotContains(t, string(text), "STRICT", name)
			}
		}
	}
	require.Equal(t, made, gone, "what Up makes Down removes")
}

func TestTranslate(t *testing.T) {
	in := "CREATE TABLE t (\n    a BIGINT, b BYTEA, c BOOLEAN\n);\nALTER TABLE t SET (x = 1); -- postgres\nSELECT 1; -- sqlite\n"
	require.Equal(t, "CREATE TABLE t (\n    a INTEGER, b BLOB, c INTEGER\n) STRICT;\nSELECT 1; -- sqlite\n", string(translate([]byte(in), true)))
	require.Equal(t, "CREATE TABLE t (\n    a BIGINT, b BYTEA, c BOOLEAN\n);\nALTER TABLE t SET (x = 1); -- postgres\n", string(translate([]byte(in), false)))
}
