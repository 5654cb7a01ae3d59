//go:build race

package workers_test

// many is a number of jobs that takes a while: the race detector makes the SQLite of the tests ten times slower.
const many = 100
