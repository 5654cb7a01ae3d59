package database

import (
	"context"
	"encoding/json"
	"time"

	"onsite/results"
)

// acceptSQL accepts a group of submissions in one statement on PostgreSQL: a statement is a transaction, and takes one round trip. It gives
// the places in the group of those that were accepted; nothing was written for the others.
const acceptSQL = `
WITH input AS (
	SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::text[],
		$10::text[], $11::text[], $12::bigint[], $13::text[], $14::text[], $15::bigint[], $16::text[], $17::text[], $32::text[]) WITH ORDINALITY
	AS i (job, tenant, subject, site, policy, policy_rev, claim, priority, source, media_key, media_sha256, media_bytes, media_name,
		trace_parent, received_at, request, body, device, ord)
), alive AS (
	SELECT i.* FROM input i WHERE NOT EXISTS (SELECT 1 FROM subjects s WHERE s.tenant = i.tenant AND s.id = i.subject AND s.erased_at <> 0)
), taken AS (
	INSERT INTO idempotency (tenant, request, job, body, until, created_at)
	SELECT tenant, request, job, body, 0, $18::bigint FROM alive WHERE request <> '' ORDER BY tenant, request
	ON CONFLICT (tenant, request) DO UPDATE SET job = excluded.job, body = excluded.body, until = 0 WHERE idempotency.job = ''
	RETURNING job
), won AS (
	SELECT i.* FROM alive i WHERE i.request = '' OR i.job IN (SELECT job FROM taken)
), subs AS (
	INSERT INTO submissions (job, tenant, subject, site, policy, policy_rev, claim, priority, source, media_key, media_sha256, media_bytes,
		media_name, trace_parent, received_at, device)
	SELECT job, tenant, subject, site, policy, policy_rev, claim, priority, source, media_key, media_sha256, media_bytes, media_name,
		trace_parent, received_at, device FROM won
), work AS (
	INSERT INTO jobs (id, tenant, subject, site, priority, state, ready, attempt, token, failures, crashes, held, run_at, queued_at,
		lease_until, deadline, worker, error_rule, error, revision, trace_parent, created_at, updated_at, finished_at)
	SELECT job, tenant, subject, site, priority, 'accepted', TRUE, 0, 0, 0, 0, FALSE, $18, 0, 0, 0, '', '', '', 0, trace_parent, $18, $18, 0
	FROM won
), kept AS (
	DELETE FROM pending_objects WHERE object_key IN (
		SELECT k.object_key FROM unnest($19::bigint[], $20::text[]) AS k (ord, object_key) JOIN won USING (ord))
), audited AS (
	INSERT INTO audit (tenant, id, at, actor, action, subject, target, digest)
	SELECT a.tenant, a.id, a.at, a.actor, a.action, a.subject, a.target, a.digest
	FROM unnest($21::bigint[], $22::text[], $23::text[], $24::bigint[], $25::text[], $26::text[], $27::text[], $28::text[], $29::text[])
		AS a (ord, tenant, id, at, actor, action, subject, target, digest) JOIN won USING (ord)
), answered AS (
	UPDATE challenges c SET job = w.job, used_at = $18
	FROM unnest($30::bigint[], $31::text[]) AS h (ord, challenge) JOIN won w USING (ord)
	WHERE c.tenant = w.tenant AND c.id = h.challenge AND c.subject = w.subject AND c.job = ''
)
SELECT ord FROM won`

// acceptTogether accepts what it can of a group and gives the rest: what was used before, or comes twice in the group.
func (s *Store) acceptTogether(ctx context.Context, list []results.NewSubmission, group []int, now time.Time, out []results.Acceptance) (rest []int, err error) {
	first := group[:0:0]
	seen := map[[2]string]bool{}
	for _, i := range group {
		n := list[i]
		job, request := [2]string{"", n.Sub.Job}, [2]string{n.Sub.Tenant, n.Idempotency}
		if seen[job] || (n.Idempotency != "" && seen[request]) {
			rest = append(rest, i)
			continue
		}
		seen[job], seen[request] = true, true
		first = append(first, i)
	}
	var in acceptInput
	subjects := make([][2]string, 0, len(first))
	for ord, i := range first {
		if err := in.add(list[i], int64(ord+1)); err != nil {
			return nil, err
		}
		subjects = append(subjects, [2]string{list[i].Sub.Tenant, list[i].Sub.Subject})
	}
	won := make([]bool, len(first))
	err = again(ctx, func() error {
		clear(won)
		_, err := s.db.Batch(ctx, append(s.alive(subjects...), statement{acceptSQL, in.args(now), func(r row) error {
			var ord int
			if err := r.Scan(&ord); err != nil {
				return err
			}
			won[ord-1] = true
			return nil
		}}))
		return err
	})
	if err != nil {
		return nil, err
	}
	for ord, i := range first {
		if won[ord] {
			out[i] = results.Acceptance{Job: newJob(list[i].Sub, now)}
		} else {
			rest = append(rest, i)
		}
	}
	return rest, nil
}

// acceptInput is the group in columns.
type acceptInput struct {
	job, tenant, subject, site, policy, claim, source, mediaKey, mediaSHA256, mediaName, trace, request, body, device []string
	policyRev, priority, mediaBytes, receivedAt                                                                       []int64

	keepOrd, challengeOrd []int64
	keep, challenge       []string
	audit                 auditInput
}

func (c *acceptInput) add(n results.NewSubmission, ord int64) error {
	sub := n.Sub
	source, err := json.Marshal(sub.Source)
	if err != nil {
		return err
	}
	c.job, c.tenant, c.subject = append(c.job, sub.Job), append(c.tenant, sub.Tenant), append(c.subject, sub.Subject)
	c.site, c.policy = append(c.site, sub.Site), append(c.policy, sub.Policy)
	c.policyRev = append(c.policyRev, int64(sub.PolicyRev))
	c.claim, c.source = append(c.claim, string(sub.Claim)), append(c.source, string(source))
	c.priority = append(c.priority, int64(sub.Priority))
	c.mediaKey, c.mediaSHA256 = append(c.mediaKey, sub.Media.Key), append(c.mediaSHA256, sub.Media.SHA256)
	c.mediaBytes, c.mediaName = append(c.mediaBytes, sub.Media.Bytes), append(c.mediaName, sub.Media.Name)
	c.trace, c.receivedAt = append(c.trace, sub.TraceParent), append(c.receivedAt, millis(sub.ReceivedAt))
	c.request, c.body = append(c.request, n.Idempotency), append(c.body, n.BodySHA256)
	c.device = append(c.device, sub.DeviceKey())
	for _, key := range n.Keep {
		c.keepOrd, c.keep = append(c.keepOrd, ord), append(c.keep, key)
	}
	if id := sub.Challenge(); id != "" {
		c.challengeOrd, c.challenge = append(c.challengeOrd, ord), append(c.challenge, id)
	}
	c.audit.add(n.Audit, ord)
	return nil
}

func (c *acceptInput) args(now time.Time) []any {
	args := append([]any{c.job, c.tenant, c.subject, c.site, c.policy, c.policyRev, c.claim, c.priority, c.source, c.mediaKey, c.mediaSHA256,
		c.mediaBytes, c.mediaName, c.trace, c.receivedAt, c.request, c.body, now, c.keepOrd, c.keep}, c.audit.args()...)
	return append(args, c.challengeOrd, c.challenge, c.device)
}

// auditInput is audit entries in columns, each with the place in the group of what it is about.
type auditInput struct {
	ord, at                                            []int64
	tenant, id, actor, action, subject, target, digest []string
}

func (c *auditInput) add(a results.AuditEntry, ord int64) {
	if a.Action == "" {
		return
	}
	c.ord, c.at = append(c.ord, ord), append(c.at, millis(a.At))
	c.tenant, c.id = append(c.tenant, a.Tenant), append(c.id, a.ID)
	c.actor, c.action = append(c.actor, a.Actor), append(c.action, a.Action)
	c.subject, c.target, c.digest = append(c.subject, a.Subject), append(c.target, a.Target), append(c.digest, a.Digest)
}

func (c *auditInput) args() []any {
	return []any{c.ord, c.tenant, c.id, c.at, c.actor, c.action, c.subject, c.target, c.digest}
}
