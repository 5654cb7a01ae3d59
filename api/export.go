package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onsite/results"
)

// exportPage is how many verdicts an export holds in memory: a body has 10 to 30 KB.
const exportPage = 100

var csvColumns = []string{"job", "revision", "seq", "subject", "site", "decision", "reasons", "policy", "submitted_at", "created_at"}

func (s *Server) exportVerdicts(ctx context.Context, in *struct {
	VerdictQuery
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"ndjson: one whole verdict per line; csv: one short row per verdict"`
}) (*huma.StreamResponse, error) {
	tenant, p := PrincipalOf(ctx).Tenant, results.Page{Limit: exportPage}
	// The first page is read before the status goes out: what can fail at once fails with a problem.
	rows, err := s.Store.Verdicts(ctx, tenant, in.filter(), p)
	if err != nil {
		return nil, fmt.Errorf("export verdicts: %w", err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		kind, name := "application/x-ndjson", "verdicts.ndjson"
		if in.Format == "csv" {
			kind, name = "text/csv; charset=utf-8; header=present", "verdicts.csv"
		}
		hctx.SetHeader("Content-Type", kind)
		hctx.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
		hctx.SetStatus(http.StatusOK)
		out := bufio.NewWriterSize(hctx.BodyWriter(), 64<<10)
		write := ndjson(out)
		if in.Format == "csv" {
			write = csvRows(out)
		}
		err := write(nil)
		for err == nil && len(rows) > 0 {
			extend(hctx, s.Limits.WriteTimeout)
			if err = write(rows); err != nil || len(rows) < exportPage {
				break
			}
			p.After = verdictPlace(rows[len(rows)-1])
			rows, err = s.Store.Verdicts(ctx, tenant, in.filter(), p)
		}
		if err == nil {
			err = out.Flush()
		}
		if err != nil { // a cut connection is the only word that is left for "incomplete"
			note(ctx, fault(fmt.Errorf("export verdicts: %w", err)))
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// ndjson writes whole verdicts, one per line.
func ndjson(w io.Writer) func([]results.Verdict) error {
	var line bytes.Buffer
	return func(rows []results.Verdict) error {
		for _, v := range rows {
			line.Reset()
			if err := json.Compact(&line, v.Body); err != nil {
				return fmt.Errorf("verdict %s: %w", verdictPlace(v), err)
			}
			line.WriteByte('\n')
			if _, err := w.Write(line.Bytes()); err != nil {
				return err
			}
		}
		return nil
	}
}

// csvRows writes short rows; called with nil it writes the heading.
func csvRows(w io.Writer) func([]results.Verdict) error {
	out := csv.NewWriter(w)
	return func(rows []results.Verdict) error {
		if rows == nil {
			_ = out.Write(csvColumns) // Error tells below
		}
		for _, v := range rows {
			cells := []string{v.Job, strconv.Itoa(v.Revision), strconv.FormatInt(v.Seq, 10), v.Subject, v.Site, string(v.Decision), joinCodes(v.Codes), v.Policy,
				v.SubmittedAt.UTC().Format(time.RFC3339), v.CreatedAt.UTC().Format(time.RFC3339)}
			for i := range cells {
				cells[i] = cell(cells[i])
			}
			_ = out.Write(cells)
		}
		out.Flush()
		return out.Error()
	}
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(text string) string {
	if text == "" {
		return text
	}
	switch text[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return "'" + text
	}
	return text
}
