//go:build race

package database_test

const raced = true
