//go:build race

package reuse

// raced says that every memory access is watched: the arithmetic of this package takes ten times as long then, and the tests take a part of
// their cases.
const raced = true
