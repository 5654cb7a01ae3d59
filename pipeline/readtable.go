package pipeline

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxTableBytes bounds a table of measurements; a million lines of two file names fit.
const maxTableBytes = 64 << 20

// Row is one line of a table.
type Row struct {
	Line   int // in the file, from 1
	fields map[string]string
}

// Get is the field of a column without space around it, empty when the line is short or the table has no such column.
func (r Row) Get(column string) string { return r.fields[column] }

// ReadTable reads a CSV file whose first line names its columns, in any order. The wanted ones must be there; others are kept too.
func ReadTable(path string, wanted ...string) ([]Row, error) {
	raw, err := ReadFile(path, maxTableBytes)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff")))) // spreadsheets write the mark
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s has no header: %w", path, err)
	}
	known := map[string]bool{}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		known[header[i]] = true
	}
	for _, name := range wanted {
		if !known[name] {
			return nil, fmt.Errorf("%s has no column %q; the first line must name %s", path, name, strings.Join(wanted, ","))
		}
	}
	var out []Row
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		row := Row{fields: make(map[string]string, len(header))}
		row.Line, _ = r.FieldPos(0)
		for i := range min(len(rec), len(header)) {
			row.fields[header[i]] = strings.TrimSpace(rec[i])
		}
		out = append(out, row)
	}
}
