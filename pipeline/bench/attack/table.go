package attack

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"onsite/pipeline"
)

// table writes suite.csv: the pairs of this run's queries, and of earlier ones those whose query is still there.
func (s *suite) table() error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(Columns) // a buffer takes everything
	mine := make(map[string]bool, len(s.queries))
	for _, q := range s.queries {
		mine[s.rel(q)] = true
	}
	for _, r := range s.earlier {
		name := r.Get(Columns[0])
		if info, err := os.Stat(filepath.Join(s.dir, name)); mine[name] || err != nil || !info.Mode().IsRegular() {
			continue
		}
		fields := make([]string, len(Columns))
		for i, column := range Columns {
			fields[i] = r.Get(column)
		}
		_ = w.Write(fields)
		s.made.Pairs++
	}
	for _, q := range s.queries {
		c := s.cuts[q.of]
		kind, severity := "video", q.how.tag()
		if c.photo {
			kind = "photo"
		}
		row := func(o cut, label, transform, severity string) {
			s.made.Pairs++
			_ = w.Write([]string{s.rel(q), o.rel(), label, transform, severity, c.place.family, kind, o.place.family})
		}
		row(c, "same", q.how.name, q.how.severity)
		var easy []int
		for k, o := range s.cuts {
			if k == q.of || o.photo != c.photo {
				continue
			}
			r := relation(c, o)
			switch {
			case r != OtherScene:
				row(o, "different", r, severity)
			case o.place.family != c.place.family && (q.host < 0 || o.place.family != s.cuts[q.host].place.family):
				easy = append(easy, k)
			}
		}
		r := rng(s.o.Seed, c.name, q.how.tag(), "easy")
		r.Shuffle(len(easy), func(a, b int) { easy[a], easy[b] = easy[b], easy[a] })
		easy = easy[:min(len(easy), s.o.Easy)]
		sort.Ints(easy)
		for _, k := range easy {
			row(s.cuts[k], "different", OtherScene, severity)
		}
	}
	w.Flush()
	return replace(s.made.Table, b.Bytes())
}

// readEarlier reads the table of earlier runs, before anything is made.
func (s *suite) readEarlier() (err error) {
	s.earlier, err = pipeline.ReadTable(s.made.Table, Columns...)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make a reuse suite: %w; remove the table to have it made anew", err)
	}
	return nil
}

// replace writes a file that is whole or as it was.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".part", data, 0o644); err != nil {
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("make a reuse suite: %w", err)
	}
	return nil
}
