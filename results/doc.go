// Package results is the results store in words and interfaces: tenants, people, sites, jobs, verdicts, webhooks, retention.
//
// Package database is the store in SQLite and PostgreSQL, storetest what every store must do, object and vault the sealed objects beside it.
// It may import pipeline and models; nothing inside those imports this package.
package results
