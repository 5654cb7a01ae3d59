//go:build !race

package reuse

const raced = false
