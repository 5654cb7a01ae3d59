package database

import (
	"context"
	"fmt"
	"time"

	"onsite/results"
)

// keepGone is how long is known which hashes were deleted: much longer than an index needs that follows. One that did not run meanwhile
// compares all it has with the store.
const keepGone = 7 * 24 * time.Hour

const frameColumns = `p.job, p.subject, p.site, p.seq, h.frames`

// scanFrames reads a row. One whose hashes cannot be read says so itself: it must not keep the other rows of a tenant from being read.
func scanFrames(r row) (f results.JobFrames, err error) {
	var packed []byte
	if err := r.Scan(&f.Job, &f.Subject, &f.Site, &f.Seq, &packed); err != nil {
		return f, err
	}
	f.Frames, f.Unread = results.UnpackFrames(packed)
	return f, nil
}

// Frames implements results.Frames. Jobs are in the order of the database, whose language may have an order of its own: a bound that is not
// there is no condition, since no text is last in all of them.
func (s *Store) Frames(ctx context.Context, tenant string, f results.FrameFilter, n int) ([]results.JobFrames, error) {
	q := query{text: `SELECT ` + frameColumns + ` FROM prints p JOIN frame_hashes h ON h.job = p.job
		WHERE p.tenant = $1 AND p.seq <= $2 AND p.seq > $4 AND h.format = $3`, args: []any{tenant, f.UpTo, results.FrameFormat, f.Since}}
	q.and(`p.job > ?`, f.After, f.After != "")
	q.and(`p.job >= ?`, f.From, f.From != "")
	q.and(`p.job < ?`, f.Before, f.Before != "")
	switch {
	case f.Subject != "" && f.Site != "":
		q.args = append(q.args, f.Site)
		q.and(fmt.Sprintf(`(p.subject = ? OR p.site = $%d)`, len(q.args)), f.Subject, true)
	default:
		q.and(`p.subject = ?`, f.Subject, f.Subject != "")
		q.and(`p.site = ?`, f.Site, f.Site != "")
	}
	q.args = append(q.args, n)
	all, err := collect(ctx, s.db, scanFrames, fmt.Sprintf(`%s ORDER BY p.job LIMIT $%d`, q.text, len(q.args)), q.args...)
	if err != nil {
		return nil, fmt.Errorf("read frame hashes: %w", err)
	}
	return all, nil
}

// NewFrames implements results.Frames. It goes by the feed, whose index has the positions.
func (s *Store) NewFrames(ctx context.Context, tenant string, after int64, n int) ([]results.JobFrames, error) {
	all, err := collect(ctx, s.db, scanFrames, `SELECT `+frameColumns+` FROM verdicts v JOIN prints p ON p.job = v.job JOIN frame_hashes h ON h.job = v.job
		WHERE v.tenant = $1 AND v.seq > $2 AND v.seq IS NOT NULL AND v.revision = 1 AND p.seq IS NOT NULL AND h.format = $3 ORDER BY v.seq LIMIT $4`,
		tenant, after, results.FrameFormat, n)
	if err != nil {
		return nil, fmt.Errorf("read new frame hashes: %w", err)
	}
	return all, nil
}

// Positions implements results.Frames.
func (s *Store) Positions(ctx context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	_, err := s.db.Batch(ctx, []statement{{`SELECT tenant, position FROM feed`, nil, func(r row) error {
		var tenant string
		var position int64
		err := r.Scan(&tenant, &position)
		all[tenant] = position
		return err
	}}})
	if err != nil {
		return nil, fmt.Errorf("read how far the feeds are: %w", err)
	}
	return all, nil
}

// FramesGone implements results.Frames.
func (s *Store) FramesGone(ctx context.Context, after results.FramesGone, n int) ([]results.FramesGone, error) {
	all, err := collect(ctx, s.db, func(r row) (g results.FramesGone, err error) {
		err = r.Scan(&g.Job, &g.Tenant, at(&g.At))
		return g, err
	}, `SELECT job, tenant, at FROM frame_gone WHERE (at, job) > ($1, $2) ORDER BY at, job LIMIT $3`, after.At, after.Job, n)
	if err != nil {
		return nil, fmt.Errorf("read which frame hashes were deleted: %w", err)
	}
	return all, nil
}

// framed writes the hashes of a job's frames; of none there is no row.
func framed(job, tenant string, f []results.FrameHash) []statement {
	if len(f) == 0 {
		return nil
	}
	return []statement{do(`INSERT INTO frame_hashes (job, tenant, format, frames) VALUES ($1, $2, $3, $4)`, job, tenant, results.FrameFormat, results.PackFrames(f))}
}

// goneSQL notes that hashes are deleted, before the prints are with which they go. $1 is when.
const goneSQL = `INSERT INTO frame_gone (job, tenant, at) SELECT job, tenant, $1::bigint FROM frame_hashes WHERE `

// goneAgain: a job that was deleted is never there again, so that a second note only says the same.
const goneAgain = ` ON CONFLICT (job) DO UPDATE SET at = excluded.at`
