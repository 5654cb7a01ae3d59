package database

import (
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/results"
)

// query puts a statement with optional conditions together.
type query struct {
	text string
	args []any
}

// and adds a condition with its argument in place of ?, when on.
func (q *query) and(condition string, arg any, on bool) {
	if !on {
		return
	}
	q.args = append(q.args, arg)
	q.text += " AND " + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(q.args)))
}

// end adds the order and the length of the page.
func (q *query) end(order string, p results.Page) {
	q.args = append(q.args, limit(p))
	q.text += " " + order + " LIMIT $" + strconv.Itoa(len(q.args))
}

const (
	// idEarly is how much earlier than its submission a job's id may be: an upload's id is made with its claim, and S3 lets a presigned
	// upload wait for a week at most.
	idEarly = 8 * 24 * time.Hour
	// idLate is how much the clock of the machine that makes ids may be ahead.
	idLate = 24 * time.Hour
)

// within adds bounds of a time, and bounds of the id column that follow from them: lists are ordered by id, so a list of last month's jobs
// begins where they are instead of reading its way there.
func (q *query) within(column, id string, from, to time.Time) {
	q.and(column+` >= ?`, from, !from.IsZero())
	q.and(id+` >= ?`, idAt(from.Add(-idEarly)), !from.IsZero())
	q.and(column+` < ?`, to, !to.IsZero())
	q.and(id+` < ?`, idAt(to.Add(idLate)), !to.IsZero())
}

// idAt is the smallest id of a time.
func idAt(t time.Time) string {
	ms := max(0, t.UnixMilli())
	var id ulid.ULID
	if err := id.SetTime(min(uint64(ms), ulid.MaxTime())); err != nil {
		panic(err) // it is bounded
	}
	return id.String()
}
