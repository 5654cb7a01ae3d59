package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver
)

// liteEngine is the engine over a file: one writer, so that nobody waits in SQLite's own way (polling), and several readers, which WAL lets
// read while it writes.
type liteEngine struct {
	path    string
	turn    chan struct{} // whose turn it is to write; waiting ends with the context
	writer  *sql.DB
	conn    *sql.Conn // the writer's only connection; used by whose turn it is
	readers *sql.DB
	writes  prepared
	reads   prepared
	timeout time.Duration
}

func openSQLite(ctx context.Context, o Options) (engine, error) {
	path, err := filepath.Abs(o.SQLite)
	if err != nil {
		return nil, fmt.Errorf("find the SQLite file %s: %w", o.SQLite, err)
	}
	n := 4
	if o.MaxConns > 0 {
		n = o.MaxConns
	}
	l := &liteEngine{path: path, turn: make(chan struct{}, 1), timeout: o.Timeout}
	if l.writer, err = openLite(path, 1, nil); err != nil {
		return nil, err
	}
	if l.readers, err = openLite(path, n, url.Values{"_query_only": {"1"}}); err != nil {
		return nil, err
	}
	// The writer first: it makes the file and turns it to WAL.
	if l.conn, err = l.writer.Conn(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("%s: %w", path, fault(ctx, err))
	}
	l.writes.prepare = l.conn.PrepareContext
	l.reads.prepare = l.readers.PrepareContext
	return l, nil
}

func openLite(path string, conns int, more url.Values) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {"10000"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // what was accepted survives a power cut
		"_foreign_keys": {"1"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_pragma":       {"cache_size(-32768)", "temp_store(memory)", "trusted_schema(0)", "journal_size_limit(67108864)"},
	}
	for k, v := range more {
		q[k] = v
	}
	// url.URL escapes what SQLite's URI form gives a meaning to.
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open the SQLite file %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func (l *liteEngine) dialect() goose.Dialect { return goose.DialectSQLite3 }
func (l *liteEngine) clocked() bool          { return false }
func (l *liteEngine) files() (fs.FS, error)  { return migrations(true), nil }

func (l *liteEngine) Close() error {
	// What is being written comes to its end first. The turn is never given back.
	select {
	case l.turn <- struct{}{}:
	case <-time.After(l.timeout):
		return errors.New("close the SQLite file: something is still writing; the file is left as after a crash, and is sound")
	}
	l.reads.close()
	l.writes.close()
	rerr := l.readers.Close() // first, so that the writer as the last one folds the WAL into the file
	if l.conn != nil {
		l.conn.Close()
	}
	if err := l.writer.Close(); err != nil {
		return fmt.Errorf("close the SQLite file: %w", err)
	}
	return rerr
}

// write waits for the turn to write. What follows is not ended by ctx any more: it takes microseconds, and a half-run statement would have
// to be rolled back anyway.
func (l *liteEngine) write(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := bounded(ctx, l.timeout)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
		if ctx.Err() != nil { // select picks any of two that are ready
			<-l.turn
			return nil, nil, fault(ctx, ctx.Err())
		}
		return context.WithoutCancel(ctx), func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, nil, fault(ctx, ctx.Err())
	}
}

// migrator opens the file once more: the writer's connection stays out of other hands.
func (l *liteEngine) migrator(ctx context.Context) (*sql.DB, func(), error) {
	_, done, err := l.write(ctx)
	if err != nil {
		return nil, nil, err
	}
	db, err := openLite(l.path, 1, url.Values{"_txlock": {"immediate"}})
	if err != nil {
		done()
		return nil, nil, err
	}
	return db, func() {
		db.Close()
		done()
	}, nil
}

func (l *liteEngine) Exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = again(ctx, func() error {
		wctx, done, err := l.write(ctx)
		if err != nil {
			return err
		}
		defer done()
		n, err = liteExec(wctx, &l.writes, query, args)
		return err
	})
	return n, err
}

func (l *liteEngine) Query(ctx context.Context, query string, args ...any) (rows, error) {
	if reads(query) {
		ctx, cancel := bounded(ctx, l.timeout)
		rs, err := liteQuery(ctx, &l.reads, query, args)
		if err != nil {
			cancel()
			return nil, err
		}
		rs.done = cancel
		return rs, nil
	}
	wctx, done, err := l.write(ctx)
	if err != nil {
		return nil, err
	}
	rs, err := liteQuery(wctx, &l.writes, query, args)
	if err != nil {
		done()
		return nil, err
	}
	rs.done = done
	return rs, nil
}

// reads says whether a statement only reads.
func reads(query string) bool {
	word := strings.TrimLeft(query, " \t\r\n(")
	return len(word) >= 4 && (strings.EqualFold(word[:4], "SELE") || strings.EqualFold(word[:4], "WITH"))
}

func (l *liteEngine) QueryRow(ctx context.Context, query string, args ...any) row {
	rs, err := l.Query(ctx, query, args...)
	return &single{rs, err}
}

func (l *liteEngine) Batch(ctx context.Context, b []statement) (changed []int64, err error) {
	err = l.once(ctx, func(q querier) error {
		changed, err = q.Batch(ctx, b)
		return err
	})
	return changed, err
}

func (l *liteEngine) Tx(ctx context.Context, fn func(querier) error) error {
	return again(ctx, func() error { return l.once(ctx, fn) })
}

func (l *liteEngine) once(ctx context.Context, fn func(querier) error) error {
	ctx, done, err := l.write(ctx)
	if err != nil {
		return err
	}
	defer done()
	if _, err := l.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		// After an error of the disk a transaction can be left open in which nothing can be done.
		_, _ = l.conn.ExecContext(ctx, "ROLLBACK")
		if _, err = l.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return fault(ctx, err)
		}
	}
	open := true
	defer func() {
		if open { // also when fn panics
			_, _ = l.conn.ExecContext(ctx, "ROLLBACK") // SQLite may have done it by itself: then this errs, and what matters was said
		}
	}()
	if err := fn(liteTx{l}); err != nil {
		return err
	}
	if _, err := l.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fault(ctx, err)
	}
	open = false
	return nil
}

// liteTx is a transaction. Its statements run to their end whatever the context says: the turn to write is short.
type liteTx struct{ l *liteEngine }

func (t liteTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return liteExec(context.WithoutCancel(ctx), &t.l.writes, query, args)
}

func (t liteTx) Query(ctx context.Context, query string, args ...any) (rows, error) {
	rs, err := liteQuery(context.WithoutCancel(ctx), &t.l.writes, query, args)
	if err != nil {
		return nil, err
	}
	return rs, nil
}

func (t liteTx) QueryRow(ctx context.Context, query string, args ...any) row {
	rs, err := t.Query(ctx, query, args...)
	return &single{rs, err}
}

func (t liteTx) Batch(ctx context.Context, b []statement) ([]int64, error) {
	changed := make([]int64, len(b))
	for i, s := range b {
		n, err := t.run(ctx, s)
		if err != nil {
			return nil, err
		}
		changed[i] = n
	}
	return changed, nil
}

func (t liteTx) run(ctx context.Context, s statement) (n int64, err error) {
	if s.each == nil {
		return t.Exec(ctx, s.sql, s.args...)
	}
	rs, err := t.Query(ctx, s.sql, s.args...)
	if err != nil {
		return 0, err
	}
	defer rs.Close()
	for rs.Next() {
		n++
		if err := s.each(rs); err != nil {
			return 0, fmt.Errorf("read a row: %w", err)
		}
	}
	return n, rs.Err()
}

func liteExec(ctx context.Context, p *prepared, query string, args []any) (int64, error) {
	args, err := bind(args, true)
	if err != nil {
		return 0, err
	}
	s, err := p.stmt(ctx, query)
	if err != nil {
		return 0, fault(ctx, err)
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, fault(ctx, err)
	}
	return res.RowsAffected()
}

func liteQuery(ctx context.Context, p *prepared, query string, args []any) (*liteRows, error) {
	args, err := bind(args, true)
	if err != nil {
		return nil, err
	}
	s, err := p.stmt(ctx, query)
	if err != nil {
		return nil, fault(ctx, err)
	}
	rs, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, fault(ctx, err)
	}
	return &liteRows{rs: rs, ctx: ctx, done: func() {}}, nil
}

type liteRows struct {
	rs   *sql.Rows
	ctx  context.Context //nolint:containedctx // its cause names the error
	done func()
	over bool  // closed
	err  error // at that time
}

func (r *liteRows) Next() bool             { return r.rs.Next() }
func (r *liteRows) Scan(dest ...any) error { return r.rs.Scan(dest...) }

func (r *liteRows) Err() error {
	if r.over {
		return r.err
	}
	return fault(r.ctx, r.rs.Err())
}

// Close may be called again; the turn is given back once. The error is read before done ends the context: after that sql.Rows may give
// the end of the context for the error of rows that were read to their end.
func (r *liteRows) Close() {
	if r.over {
		return
	}
	r.rs.Close()
	r.err = r.Err()
	r.over = true
	r.done()
}

// prepared keeps compiled statements: compiling costs SQLite more than running a short one.
type prepared struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	mu      sync.RWMutex
	by      map[string]*sql.Stmt
}

func (p *prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.RLock()
	s := p.by[query]
	p.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	s, err := p.prepare(ctx, forLite(query))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.by[query]; other != nil {
		s.Close()
		return other, nil
	}
	if p.by == nil {
		p.by = map[string]*sql.Stmt{}
	}
	p.by[query] = s
	return s, nil
}

func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.by {
		s.Close()
	}
	p.by = nil
}
