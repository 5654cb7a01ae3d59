package database

import (
	"context"
	"errors"
	"time"

	"onsite/results"
)

const consentColumns = `id, tenant, subject, purpose, notice, reference, recorded_by, given_at, withdrawn_at`

func scanConsent(r row) (c results.Consent, err error) {
	err = r.Scan(&c.ID, &c.Tenant, &c.Subject, &c.Purpose, &c.Notice, &c.Reference, &c.RecordedBy, at(&c.GivenAt), at(&c.WithdrawnAt))
	return c, err
}

// GiveConsent implements results.People.
func (s *Store) GiveConsent(ctx context.Context, c results.Consent, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		// Locked, so that the subject is not erased meanwhile.
		if err := lockSubject(ctx, q, c.Tenant, c.Subject); err != nil {
			return err
		}
		a.Target, a.Digest = c.ID, c.Digest()
		_, err := q.Batch(ctx, append([]statement{
			do(`INSERT INTO consents (`+consentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
				c.ID, c.Tenant, c.Subject, c.Purpose, c.Notice, c.Reference, c.RecordedBy, c.GivenAt, c.WithdrawnAt),
		}, audited(a)...))
		return err
	})
	return wrap(err, "record a consent of subject %s", c.Subject)
}

// lockSubject locks the row of a subject until the transaction ends; results.ErrNotFound, results.ErrErased.
func lockSubject(ctx context.Context, q querier, tenant, id string) error {
	var erased time.Time
	err := q.QueryRow(ctx, `SELECT erased_at FROM subjects WHERE tenant = $1 AND id = $2 FOR UPDATE`, tenant, id).Scan(at(&erased))
	if err == nil && !erased.IsZero() {
		err = results.ErrErased
	}
	return err
}

// WithdrawConsent implements results.People. With the last consent to face processing the templates go, too.
func (s *Store) WithdrawConsent(ctx context.Context, tenant, subject, purpose string, when time.Time, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		if err := lockSubject(ctx, q, tenant, subject); err != nil {
			return err
		}
		b := []statement{do(`UPDATE consents SET withdrawn_at = $4 WHERE tenant = $1 AND subject = $2 AND purpose = $3 AND withdrawn_at = 0`, tenant, subject, purpose, when)}
		if purpose == results.PurposeFace {
			b = append(b, do(`DELETE FROM templates WHERE tenant = $1 AND subject = $2`, tenant, subject))
		}
		a.Target = purpose
		n, err := q.Batch(ctx, append(b, audited(a)...))
		if err != nil {
			return err
		}
		return one(n[0], nil)
	})
	return wrap(err, "withdraw the consent of subject %s", subject)
}

// Consents implements results.People.
func (s *Store) Consents(ctx context.Context, tenant, subject string) ([]results.Consent, error) {
	all, err := collect(ctx, s.db, scanConsent, `SELECT `+consentColumns+` FROM consents WHERE tenant = $1 AND subject = $2 ORDER BY id`, tenant, subject)
	return all, wrap(err, "list consents of subject %s", subject)
}

// Consented implements results.People.
func (s *Store) Consented(ctx context.Context, tenant, subject, purpose string) (bool, error) {
	var n int
	err := s.db.QueryRow(ctx, `SELECT count(*) FROM consents WHERE tenant = $1 AND subject = $2 AND purpose = $3 AND withdrawn_at = 0`, tenant, subject, purpose).Scan(&n)
	return n > 0, wrap(err, "look for a consent of subject %s", subject)
}

// SubjectKey implements results.People.
func (s *Store) SubjectKey(ctx context.Context, tenant, subject string) (results.SubjectKey, error) {
	k, err := readKey(ctx, s.db, tenant, subject)
	return k, wrap(err, "read the key of subject %s", subject)
}

func readKey(ctx context.Context, q querier, tenant, subject string) (k results.SubjectKey, err error) {
	err = q.QueryRow(ctx, `SELECT tenant, subject, wrapped, kek, created_at, destroyed_at FROM subject_keys WHERE tenant = $1 AND subject = $2`, tenant, subject).
		Scan(&k.Tenant, &k.Subject, &k.Wrapped, &k.KEK, at(&k.CreatedAt), at(&k.DestroyedAt))
	if err == nil && !k.DestroyedAt.IsZero() {
		err = results.ErrErased
	}
	return k, err
}

// CreateSubjectKey implements results.People.
func (s *Store) CreateSubjectKey(ctx context.Context, k results.SubjectKey) (results.SubjectKey, error) {
	if len(k.Wrapped) == 0 {
		return k, wrap(errors.New("the wrapped key is empty"), "keep the key of subject %s", k.Subject)
	}
	// A destroyed key is in the way as any other is.
	_, err := s.db.Exec(ctx, `INSERT INTO subject_keys (tenant, subject, wrapped, kek, created_at, destroyed_at) VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (tenant, subject) DO NOTHING`,
		k.Tenant, k.Subject, k.Wrapped, k.KEK, k.CreatedAt)
	if err == nil {
		k, err = readKey(ctx, s.db, k.Tenant, k.Subject)
	}
	return k, wrap(err, "keep the key of subject %s", k.Subject)
}
