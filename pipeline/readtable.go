package pipeline

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
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

// Named is the path of a file that a table names: relative to dir, with / between folders on every system, or from the root as it stands.
func Named(dir, name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// ReadTable reads a CSV file whose first line names its columns, in any order. The wanted ones must be there; others are kept too. Its errors are
// DataErrors.
func ReadTable(path string, wanted ...string) ([]Row, error) {
	columns := strings.Join(wanted, ",")
	unfit := func(err error, en, zh string) error {
		return &DataError{Path: path, Err: err, Wrong: Text{EN: en, ZH: zh}, Want: Text{
			EN: "want a CSV file whose first line names the columns " + columns, ZH: "应为 CSV 文件，首行列名包括 " + columns,
		}}
	}
	raw, err := ReadFile(path, maxTableBytes)
	if err != nil {
		return nil, unfit(err, "", "")
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff")))) // spreadsheets write the mark
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, unfit(nil, "it has no header", "没有首行列名")
	}
	if err != nil {
		return nil, unfit(err, "", "")
	}
	known := map[string]bool{}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		known[header[i]] = true
	}
	for _, name := range wanted {
		if !known[name] {
			return nil, unfit(nil, fmt.Sprintf("it has no column %q", name), fmt.Sprintf("缺少列 %q", name))
		}
	}
	var out []Row
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, unfit(err, "", "")
		}
		row := Row{fields: make(map[string]string, len(header))}
		row.Line, _ = r.FieldPos(0)
		for i := range min(len(rec), len(header)) {
			row.fields[header[i]] = strings.TrimSpace(rec[i])
		}
		out = append(out, row)
	}
}
