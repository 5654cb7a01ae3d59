package database

import (
	"context"
	"time"

	"onsite/results"
)

const challengeColumns = `tenant, id, subject, policy, doc, actor, issued_at, expires_at, job, used_at`

func scanChallenge(r row) (c results.Challenge, err error) {
	var doc string
	err = r.Scan(&c.Tenant, &c.ID, &c.Subject, &c.Policy, &doc, &c.Actor, at(&c.IssuedAt), at(&c.ExpiresAt), &c.Job, at(&c.UsedAt))
	c.Doc = []byte(doc)
	return c, err
}

// CreateChallenge implements results.Challenges.
func (s *Store) CreateChallenge(ctx context.Context, c results.Challenge, a results.AuditEntry) error {
	a.Digest = c.Digest()
	err := s.db.Tx(ctx, func(q querier) error {
		// The subject's row is held, so that those who ask at the same time are counted one after the other.
		if err := lockSubject(ctx, q, c.Tenant, c.Subject); err != nil {
			return err
		}
		var n int
		if err := q.QueryRow(ctx, `SELECT count(*) FROM challenges WHERE tenant = $1 AND subject = $2 AND issued_at > $3`,
			c.Tenant, c.Subject, c.IssuedAt.Add(-results.ChallengeWindow)).Scan(&n); err != nil {
			return err
		}
		if n >= results.MaxChallenges {
			return results.ErrFull
		}
		_, err := q.Batch(ctx, append([]statement{do(`UPDATE challenges SET expires_at = $3 WHERE tenant = $1 AND subject = $2 AND job = '' AND expires_at > $3`,
			c.Tenant, c.Subject, c.IssuedAt), do(`INSERT INTO challenges (`+challengeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 0)`,
			c.Tenant, c.ID, c.Subject, c.Policy, string(c.Doc), c.Actor, c.IssuedAt, c.ExpiresAt)}, audited(a)...))
		return err
	})
	return wrap(err, "issue a challenge for subject %s", c.Subject)
}

// Challenge implements results.Challenges.
func (s *Store) Challenge(ctx context.Context, tenant, id string) (results.Challenge, error) {
	c, err := collectOne(ctx, s.db, scanChallenge, `SELECT `+challengeColumns+` FROM challenges WHERE tenant = $1 AND id = $2`, tenant, id)
	return c, wrap(err, "read challenge %s", id)
}

// answered binds a submission's challenge to its job, if it names one that nobody used before: of its own tenant and subject only.
// It was used when the submission arrived, which may be long before its news is taken.
func answered(sub results.Submission, arrived time.Time) []statement {
	id := sub.Challenge()
	if id == "" {
		return nil
	}
	return []statement{do(`UPDATE challenges SET job = $4, used_at = $5 WHERE tenant = $1 AND id = $2 AND subject = $3 AND job = ''`,
		sub.Tenant, id, sub.Subject, sub.Job, arrived)}
}
