package database

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// The migrations are written once, in PostgreSQL's types; see migrations() for what becomes of them for SQLite.
//
//go:embed migrations/*.sql
var embedded embed.FS

// Migrate brings the tables to what this program knows. Several processes may do it at once. A database that is newer than the program
// is an error: an old program must not write into tables it does not understand.
func (s *Store) Migrate(ctx context.Context) error {
	up := func() error {
		return s.withProvider(ctx, func(p *goose.Provider) error {
			if err := notNewer(ctx, p); err != nil {
				return err
			}
			_, err := p.Up(ctx)
			return err
		})
	}
	if s.postgres() {
		return up() // under a lock of the database
	}
	// SQLite has no lock that lasts longer than a transaction. Each migration is one, so who comes second fails at a table that is there
	// already, leaves nothing, and finds the work done when it looks again.
	return again(ctx, func() error {
		err := up()
		switch {
		case err == nil, errors.Is(err, errNewer):
			return err
		case s.Validate(ctx) == nil:
			return nil
		}
		return fmt.Errorf("%w: %w", errRace, err)
	})
}

// Down takes back the newest migration, with the rows of the tables that it made.
func (s *Store) Down(ctx context.Context) error {
	return s.withProvider(ctx, func(p *goose.Provider) error {
		_, err := p.Down(ctx)
		return err
	})
}

// Version gives the version of the tables, and the one that this program knows.
func (s *Store) Version(ctx context.Context) (current, known int64, err error) {
	err = s.withProvider(ctx, func(p *goose.Provider) error {
		current, known, err = p.GetVersions(ctx)
		return err
	})
	return current, known, err
}

// Validate says whether exactly the migrations that this program knows were applied.
func (s *Store) Validate(ctx context.Context) error {
	return s.withProvider(ctx, func(p *goose.Provider) error {
		if err := notNewer(ctx, p); err != nil {
			return err
		}
		all, err := p.Status(ctx)
		if err != nil {
			return err
		}
		var missing []string
		for _, m := range all {
			if m.State != goose.StateApplied {
				missing = append(missing, m.Source.Path)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("these migrations were not applied: %s; \"onsite migrate up\" applies them", strings.Join(missing, ", "))
		}
		return nil
	})
}

var errNewer = errors.New("the tables are newer than this program; use the program that wrote them, or a newer one")

func notNewer(ctx context.Context, p *goose.Provider) error {
	current, known, err := p.GetVersions(ctx)
	if err == nil && current > known {
		err = fmt.Errorf("%w: they are at version %d and this program knows %d", errNewer, current, known)
	}
	return err
}

func (s *Store) withProvider(ctx context.Context, fn func(*goose.Provider) error) error {
	db, done, err := s.db.migrator(ctx)
	if err != nil {
		return fmt.Errorf("migrate the results store: %w", err)
	}
	defer done()
	files, err := s.db.files()
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler))}
	if s.db.dialect() == goose.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(s.db.dialect(), db, files, options...)
	if err != nil {
		return fmt.Errorf("read the results store's migrations: %w", err)
	}
	if err := fn(p); err != nil {
		return fmt.Errorf("migrate the results store: %w", fault(ctx, err))
	}
	return nil
}

// migrations gives the folder of migrations as one database reads it.
//
// For SQLite: BIGINT and BOOLEAN become INTEGER, BYTEA becomes BLOB, DOUBLE PRECISION becomes REAL; a table ends with ") STRICT;", so that
// SQLite refuses a value of another type as PostgreSQL does. Lines that end with "-- postgres" or "-- sqlite" are for that one alone.
func migrations(lite bool) fs.FS {
	dir, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return translated{dir, lite}
}

type translated struct {
	fs.FS
	lite bool
}

var liteTypes = []struct {
	word *regexp.Regexp
	is   string
}{
	{regexp.MustCompile(`\b(BIGINT|BOOLEAN)\b`), "INTEGER"},
	{regexp.MustCompile(`\bBYTEA\b`), "BLOB"},
	{regexp.MustCompile(`\bDOUBLE PRECISION\b`), "REAL"},
	{regexp.MustCompile(`(?m)^\);$`), ") STRICT;"},
}

// Open implements fs.FS.
func (t translated) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := fs.ReadFile(t.FS, name)
	if err != nil {
		return nil, err
	}
	return &sqlFile{bytes.NewReader(translate(text, t.lite)), info}, nil
}

// ReadDir implements fs.ReadDirFS.
func (t translated) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.FS, name) }

func translate(text []byte, lite bool) []byte {
	theirs := "-- sqlite"
	if lite {
		theirs = "-- postgres"
	}
	var kept []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if !strings.HasSuffix(strings.TrimRight(line, " "), theirs) {
			kept = append(kept, line)
		}
	}
	out := strings.Join(kept, "\n")
	if lite {
		for _, t := range liteTypes {
			out = t.word.ReplaceAllString(out, t.is)
		}
	}
	return []byte(out)
}

// sqlFile is a file that was translated.
type sqlFile struct {
	*bytes.Reader
	info fs.FileInfo
}

// Stat implements fs.File.
func (f *sqlFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close implements fs.File.
func (f *sqlFile) Close() error { return nil }
