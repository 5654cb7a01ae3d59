package database

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"onsite/results"
)

const subjectColumns = `tenant, id, label, rev, created_at, erased_at`

func scanSubject(r row) (s results.Subject, err error) {
	err = r.Scan(&s.Tenant, &s.ID, &s.Label, &s.Rev, at(&s.CreatedAt), at(&s.ErasedAt))
	return s, err
}

// CreateSubject implements results.People.
func (s *Store) CreateSubject(ctx context.Context, sub results.Subject, a results.AuditEntry) error {
	a.Subject, a.Digest = sub.ID, sub.Digest()
	_, err := s.db.Batch(ctx, append([]statement{
		do(`INSERT INTO subjects (tenant, id, label, rev, created_at, erased_at) VALUES ($1, $2, $3, 0, $4, 0)`, sub.Tenant, sub.ID, sub.Label, sub.CreatedAt),
	}, audited(a)...))
	return wrap(err, "create subject %s", sub.ID)
}

// Subject implements results.People.
func (s *Store) Subject(ctx context.Context, tenant, id string) (results.Subject, error) {
	sub, err := readSubject(ctx, s.db, tenant, id)
	return sub, wrap(err, "read subject %s", id)
}

func readSubject(ctx context.Context, q querier, tenant, id string) (results.Subject, error) {
	return scanSubject(q.QueryRow(ctx, `SELECT `+subjectColumns+` FROM subjects WHERE tenant = $1 AND id = $2`, tenant, id))
}

// Subjects implements results.People. Erased ones are among them.
func (s *Store) Subjects(ctx context.Context, tenant string, p results.Page) ([]results.Subject, error) {
	all, err := collect(ctx, s.db, scanSubject, `SELECT `+subjectColumns+` FROM subjects WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`,
		tenant, p.After, limit(p))
	return all, wrap(err, "list subjects of tenant %s", tenant)
}

// Relabel implements results.People.
func (s *Store) Relabel(ctx context.Context, tenant, id, label string, a results.AuditEntry) (sub results.Subject, err error) {
	err = s.db.Tx(ctx, func(q querier) error {
		sub, err = scanSubject(q.QueryRow(ctx, `UPDATE subjects SET label = $3 WHERE tenant = $1 AND id = $2 AND erased_at = 0 RETURNING `+subjectColumns, tenant, id, label))
		if errors.Is(err, results.ErrNotFound) {
			return standing(ctx, q, tenant, id)
		}
		if err == nil {
			a.Subject, a.Digest = sub.ID, sub.Digest()
			_, err = q.Batch(ctx, audited(a))
		}
		return err
	})
	return sub, wrap(err, "change the label of subject %s", id)
}

// standing gives why a subject could not be changed: it is not there, or erased.
func standing(ctx context.Context, q querier, tenant, id string) error {
	sub, err := readSubject(ctx, q, tenant, id)
	if err == nil && !sub.ErasedAt.IsZero() {
		err = results.ErrErased
	}
	return err
}

const photoColumns = `id, tenant, subject, name, object_key, sha256, bytes, quality, from_rev, to_rev, created_at`

func scanPhoto(r row) (p results.Photo, err error) {
	err = r.Scan(&p.ID, &p.Tenant, &p.Subject, &p.Name, &p.Key, &p.SHA256, &p.Bytes, fromJSON(&p.Quality), &p.FromRev, &p.ToRev, at(&p.CreatedAt))
	return p, err
}

// Enrol implements results.People.
func (s *Store) Enrol(ctx context.Context, tenant, subject string, ifRev int, add []results.Photo, templates []results.Template, remove []string, a results.AuditEntry) (int, error) {
	for _, t := range templates {
		if !slices.ContainsFunc(add, func(p results.Photo) bool { return p.ID == t.Photo }) {
			return 0, fmt.Errorf("enrol photos of subject %s: a template is of photo %s, which is not among those that are added", subject, t.Photo)
		}
	}
	remove = slices.Compact(slices.Sorted(slices.Values(remove)))
	var rev int
	err := s.db.Tx(ctx, func(q querier) error {
		// The row of the subject is locked from here on: revisions come one after the other.
		err := q.QueryRow(ctx, `UPDATE subjects SET rev = rev + 1 WHERE tenant = $1 AND id = $2 AND erased_at = 0 AND (rev = $3 OR $3 < 0) RETURNING rev`,
			tenant, subject, ifRev).Scan(&rev)
		if errors.Is(err, results.ErrNotFound) {
			if err = standing(ctx, q, tenant, subject); err == nil {
				err = results.ErrConflict
			}
		}
		if err != nil {
			return err
		}
		b := []statement{
			do(`INSERT INTO pending_objects (object_key, since) SELECT object_key, 0 FROM photos
				WHERE tenant = $1 AND subject = $2 AND id = ANY($3) AND to_rev = 0 ON CONFLICT (object_key) DO UPDATE SET since = 0`, tenant, subject, remove),
			do(`DELETE FROM templates WHERE tenant = $1 AND subject = $2 AND photo = ANY($3)`, tenant, subject, remove),
			do(`UPDATE photos SET to_rev = $4, object_key = '' WHERE tenant = $1 AND subject = $2 AND id = ANY($3) AND to_rev = 0`, tenant, subject, remove, rev),
		}
		const removed = 2 // which of them says how many were there
		keys := make([]string, 0, len(add))
		for _, p := range add {
			b = append(b, do(`INSERT INTO photos (`+photoColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)`,
				p.ID, tenant, subject, p.Name, p.Key, p.SHA256, p.Bytes, p.Quality, rev, p.CreatedAt))
			keys = append(keys, p.Key)
		}
		for _, t := range templates {
			b = append(b, putTemplate(tenant, subject, t))
		}
		if a.Digest = ""; len(add)+len(remove) > 0 {
			a.Digest = results.EnrolmentDigest(rev, add, remove)
		}
		n, err := q.Batch(ctx, slices.Concat(b, kept(keys...), audited(a)))
		if err == nil && n[removed] != int64(len(remove)) {
			err = fmt.Errorf("%w: of %d photos to remove %d are enrolled", results.ErrNotFound, len(remove), n[removed])
		}
		return err
	})
	return rev, wrap(err, "enrol photos of subject %s", subject)
}

// putTemplate keeps a template, if the subject has given its consent: without it none is kept, whoever was slow to notice.
func putTemplate(tenant, subject string, t results.Template) statement {
	return do(`INSERT INTO templates (tenant, photo, model_sha256, subject, sealed)
		SELECT p.tenant, p.id, $4::text, p.subject, $5::bytea FROM photos p
		WHERE p.tenant = $1 AND p.subject = $2 AND p.id = $3
			AND EXISTS (SELECT 1 FROM consents c WHERE c.tenant = p.tenant AND c.subject = p.subject AND c.purpose = $6 AND c.withdrawn_at = 0)
		ON CONFLICT (tenant, photo, model_sha256) DO UPDATE SET sealed = excluded.sealed`,
		tenant, subject, t.Photo, t.ModelSHA256, t.Sealed, results.PurposeFace)
}

// Photos implements results.People.
func (s *Store) Photos(ctx context.Context, tenant, subject string, rev int) ([]results.Photo, error) {
	all, err := collect(ctx, s.db, scanPhoto, `SELECT `+photoColumns+` FROM photos WHERE tenant = $1 AND subject = $2
		AND (CASE WHEN $3 = 0 THEN to_rev = 0 ELSE from_rev <= $3 AND (to_rev = 0 OR to_rev > $3) END) ORDER BY id`, tenant, subject, rev)
	return all, wrap(err, "list photos of subject %s", subject)
}

const templateColumns = `photo, tenant, subject, model_sha256, sealed`

func scanTemplate(r row) (t results.Template, err error) {
	err = r.Scan(&t.Photo, &t.Tenant, &t.Subject, &t.ModelSHA256, &t.Sealed)
	return t, err
}

// Templates implements results.People.
func (s *Store) Templates(ctx context.Context, tenant, subject string, photos []string, model string) ([]results.Template, error) {
	all, err := collect(ctx, s.db, scanTemplate, `SELECT `+templateColumns+` FROM templates WHERE tenant = $1 AND subject = $2 AND photo = ANY($3) AND (model_sha256 = $4 OR $4 = '') ORDER BY photo, model_sha256`,
		tenant, subject, photos, model)
	return all, wrap(err, "read templates of subject %s", subject)
}

// PutTemplates implements results.People.
func (s *Store) PutTemplates(ctx context.Context, templates []results.Template) error {
	if len(templates) == 0 {
		return nil
	}
	// Subjects in one order, so that two who lock several of them do not wait for each other.
	byOrder := slices.SortedFunc(slices.Values(templates), func(a, b results.Template) int {
		return cmpStrings(a.Tenant, b.Tenant, a.Subject, b.Subject, a.Photo, b.Photo)
	})
	err := s.db.Tx(ctx, func(q querier) error {
		var b []statement
		for _, t := range byOrder {
			b = append(b, do(`SELECT id FROM subjects WHERE tenant = $1 AND id = $2 FOR SHARE`, t.Tenant, t.Subject), putTemplate(t.Tenant, t.Subject, t))
		}
		_, err := q.Batch(ctx, b)
		return err
	})
	return wrap(err, "keep %d templates", len(templates))
}

// cmpStrings compares pairs in turn.
func cmpStrings(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		switch {
		case pairs[i] < pairs[i+1]:
			return -1
		case pairs[i] > pairs[i+1]:
			return 1
		}
	}
	return 0
}

// EachTemplate implements results.People.
func (s *Store) EachTemplate(ctx context.Context, tenant, model string, fn func(results.Template) error) error {
	const batch = 500
	after := ""
	for {
		some, err := collect(ctx, s.db, scanTemplate, `SELECT t.photo, t.tenant, t.subject, t.model_sha256, t.sealed FROM templates t
			JOIN photos p ON p.tenant = t.tenant AND p.id = t.photo
			WHERE t.tenant = $1 AND t.model_sha256 = $2 AND t.photo > $3 AND p.to_rev = 0 ORDER BY t.photo LIMIT $4`, tenant, model, after, batch)
		if err != nil {
			return wrap(err, "walk over the templates of tenant %s", tenant)
		}
		for _, t := range some {
			if err := fn(t); err != nil {
				return err
			}
		}
		if len(some) < batch {
			return nil
		}
		after = some[len(some)-1].Photo
	}
}
