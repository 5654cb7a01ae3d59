package queue_test

import (
	"iter"
	"strings"
)

func lines(s string) iter.Seq[string] { return strings.Lines(s) }

// field gives a field of one line of CLIENT LIST.
func field(line, name string) string {
	for _, f := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(f, name+"="); ok {
			return v
		}
	}
	return ""
}
