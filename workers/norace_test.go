//go:build !race

package workers_test

// many is a number of jobs that takes a while.
const many = 500
