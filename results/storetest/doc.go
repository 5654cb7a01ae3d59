// Package storetest holds what every implementation of results.Store must do: Run is the suite, Main and Postgres give tests a real
// PostgreSQL. It is imported by tests only.
package storetest
