package database

import (
	"slices"
	"sync"
)

// turns gives names (tenants, webhook endpoints) one turn after the other, over many calls. It is this process's own memory: one that
// begins anew begins with another name at worst.
type turns struct {
	mu   sync.Mutex
	last string
}

// order gives statements that fill names with up to n names: those after the last one first. sql is given its own arguments, then the name
// to begin after, then n.
func (t *turns) order(sql string, args []any, n int, names *[]string) []statement {
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	add := func(r row) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		// The second statement begins from the front and gives those of the first again; only the database knows its order of names.
		if len(*names) < n && !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
		return nil
	}
	with := func(after string) []any { return append(append([]any(nil), args...), after, n) }
	b := []statement{{sql, with(last), add}}
	if last != "" {
		b = append(b, statement{sql, with(""), add})
	}
	return b
}

// took says who was the last to have a turn.
func (t *turns) took(name string) {
	t.mu.Lock()
	t.last = name
	t.mu.Unlock()
}

// inTurn takes up to n things of the names' in all: one of each, then a second of each, and so on. take is asked for so many of each name.
// What was taken is given with the error.
func inTurn[T any](t *turns, names []string, n int, take func(names []string, most []int) ([][]T, error)) ([]T, error) {
	var all []T
	for n > len(all) && len(names) > 0 {
		want := n - len(all)
		names = names[:min(want, len(names))]
		most := make([]int, len(names))
		for i := range most {
			most[i] = want / len(names)
			if i < want%len(names) {
				most[i]++
			}
		}
		took, err := take(names, most)
		if err != nil {
			return all, err
		}
		last := ""
		for round := range most[0] {
			for i := range took {
				if round < len(took[i]) {
					all, last = append(all, took[i][round]), names[i]
				}
			}
		}
		if last == "" {
			break // others were quicker
		}
		t.took(last)
		// Who gave all that it was asked for may have more.
		var more []string
		for i, name := range names {
			if len(took[i]) == most[i] {
				more = append(more, name)
			}
		}
		names = more
	}
	return all, nil
}
