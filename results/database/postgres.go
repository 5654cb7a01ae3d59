package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// pgEngine is the engine over PostgreSQL.
type pgEngine struct {
	pool    *pgxpool.Pool
	timeout time.Duration
}

func openPostgres(ctx context.Context, o Options) (engine, error) {
	c, err := pgxpool.ParseConfig(o.Postgres)
	if err != nil {
		// pgx masks passwords as well as it can; that is not well enough for a log.
		return nil, errors.New("the PostgreSQL address cannot be read; it has the form postgres://USER:PASSWORD@HOST:PORT/DATABASE, or host=HOST dbname=DATABASE and so on")
	}
	c.MaxConns = 16
	if o.MaxConns > 0 {
		c.MaxConns = int32(o.MaxConns)
	}
	c.MaxConnIdleTime = 5 * time.Minute
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	for name, value := range map[string]string{
		"application_name": "onsite",
		"timezone":         "UTC",
		// A process that hangs must not hold locks for good.
		"idle_in_transaction_session_timeout": "60000",
	} {
		if _, set := c.ConnConfig.RuntimeParams[name]; !set {
			c.ConnConfig.RuntimeParams[name] = value
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fault(ctx, err)
	}
	return &pgEngine{pool: pool, timeout: o.Timeout}, nil
}

func (p *pgEngine) dialect() goose.Dialect { return goose.DialectPostgres }
func (p *pgEngine) clocked() bool          { return true }
func (p *pgEngine) files() (fs.FS, error)  { return migrations(false), nil }

func (p *pgEngine) Close() error {
	p.pool.Close()
	return nil
}

func (p *pgEngine) migrator(context.Context) (*sql.DB, func(), error) {
	db := stdlib.OpenDBFromPool(p.pool)
	return db, func() { db.Close() }, nil
}

func (p *pgEngine) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, cancel := bounded(ctx, p.timeout)
	defer cancel()
	return pgExec(ctx, p.pool, query, args)
}

func (p *pgEngine) Query(ctx context.Context, query string, args ...any) (rows, error) {
	ctx, cancel := bounded(ctx, p.timeout)
	rs, err := pgQuery(ctx, p.pool, query, args)
	if err != nil {
		cancel()
		return nil, err
	}
	rs.cancel = cancel
	return rs, nil
}

func (p *pgEngine) QueryRow(ctx context.Context, query string, args ...any) row {
	rs, err := p.Query(ctx, query, args...)
	return &single{rs, err}
}

func (p *pgEngine) Batch(ctx context.Context, b []statement) ([]int64, error) {
	ctx, cancel := bounded(ctx, p.timeout)
	defer cancel()
	return pgBatch(ctx, p.pool, b)
}

func (p *pgEngine) Tx(ctx context.Context, fn func(querier) error) error {
	ctx, cancel := bounded(ctx, p.timeout)
	defer cancel()
	return again(ctx, func() error {
		tx, err := p.pool.Begin(ctx)
		if err != nil {
			return fault(ctx, err)
		}
		defer func() {
			// After a commit this does nothing. Not with ctx: when that has ended, the connection must still be cleaned.
			late, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer done()
			_ = tx.Rollback(late) // a connection that cannot be rolled back is closed by pgx
		}()
		if err := fn(pgTx{tx}); err != nil {
			return err
		}
		return fault(ctx, tx.Commit(ctx))
	})
}

// pgTx is a transaction.
type pgTx struct{ tx pgx.Tx }

func (t pgTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return pgExec(ctx, t.tx, query, args)
}

func (t pgTx) Query(ctx context.Context, query string, args ...any) (rows, error) {
	rs, err := pgQuery(ctx, t.tx, query, args)
	if err != nil {
		return nil, err
	}
	return rs, nil
}

func (t pgTx) QueryRow(ctx context.Context, query string, args ...any) row {
	rs, err := t.Query(ctx, query, args...)
	return &single{rs, err}
}

func (t pgTx) Batch(ctx context.Context, b []statement) ([]int64, error) {
	return pgBatch(ctx, t.tx, b)
}

// pgConn is what pools and transactions of pgx have in common.
type pgConn interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func pgExec(ctx context.Context, c pgConn, query string, args []any) (int64, error) {
	args, err := bind(args, false)
	if err != nil {
		return 0, err
	}
	tag, err := c.Exec(ctx, query, args...)
	return tag.RowsAffected(), fault(ctx, err)
}

func pgQuery(ctx context.Context, c pgConn, query string, args []any) (*pgRows, error) {
	args, err := bind(args, false)
	if err != nil {
		return nil, err
	}
	rs, err := c.Query(ctx, query, args...)
	if err != nil {
		return nil, fault(ctx, err)
	}
	return &pgRows{Rows: rs, ctx: ctx, cancel: func() {}}, nil
}

// pgBatch sends all statements at once. Outside a transaction PostgreSQL takes what comes before one Sync as one transaction.
func pgBatch(ctx context.Context, c pgConn, b []statement) ([]int64, error) {
	if len(b) == 0 {
		return nil, nil
	}
	batch := &pgx.Batch{}
	for _, s := range b {
		args, err := bind(s.args, false)
		if err != nil {
			return nil, err
		}
		batch.Queue(s.sql, args...)
	}
	res := c.SendBatch(ctx, batch)
	changed := make([]int64, len(b))
	for i, s := range b {
		if s.each == nil {
			tag, err := res.Exec()
			if err != nil {
				_ = res.Close() // says the same again
				return nil, fault(ctx, err)
			}
			changed[i] = tag.RowsAffected()
			continue
		}
		rs, _ := res.Query() // the error comes with rs.Err
		for rs.Next() {
			if err := s.each(rs); err != nil {
				rs.Close()
				_ = res.Close()
				return nil, fmt.Errorf("read a row: %w", err)
			}
		}
		rs.Close()
		if err := rs.Err(); err != nil {
			_ = res.Close()
			return nil, fault(ctx, err)
		}
		changed[i] = rs.CommandTag().RowsAffected()
	}
	if err := res.Close(); err != nil {
		return nil, fault(ctx, err)
	}
	return changed, nil
}

// pgRows ends the time bound with the rows.
type pgRows struct {
	pgx.Rows
	ctx    context.Context //nolint:containedctx // its cause names the error
	cancel context.CancelFunc
}

func (r *pgRows) Err() error { return fault(r.ctx, r.Rows.Err()) }

func (r *pgRows) Close() {
	r.Rows.Close()
	r.cancel()
}

// single is a query for one row.
type single struct {
	rows rows
	err  error
}

func (s *single) Scan(dest ...any) error {
	if s.err != nil {
		return s.err
	}
	defer s.rows.Close()
	if !s.rows.Next() {
		if err := s.rows.Err(); err != nil {
			return err
		}
		return fault(context.Background(), pgx.ErrNoRows)
	}
	if err := s.rows.Scan(dest...); err != nil {
		return err
	}
	s.rows.Close()
	return s.rows.Err()
}
