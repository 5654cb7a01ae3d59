// Package database is the results store in a database: SQLite on one machine, PostgreSQL on many, one implementation for both.
//
// Statements are written once, with $1 for parameters, in the words that both databases know; dialect.go says what is translated for
// SQLite. Times are milliseconds UTC in a BIGINT, 0 for none; JSON is TEXT; bytes are BYTEA (BLOB). Every table of tenants' rows begins
// its key with the tenant, and every method that takes a tenant says so in its WHERE.
//
// What changes more than one row is one transaction. What may lose a race (deadlock, serialisation, a busy file) is tried again inside the
// package; what cannot be reached comes out as results.ErrAway, so that callers try again later.
//
// It may import results, pipeline, and the database drivers; nothing of api or workers.
package database
