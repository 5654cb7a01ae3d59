package database

import (
	"context"
	"encoding/json"
	"time"

	"onsite/results"
)

// finishSQL ends a group of jobs in one statement on PostgreSQL. Only those that still hold their token are in won, and everything else is
// written for these alone. It gives their places in the group.
const finishSQL = `
WITH input AS (
	SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) WITH ORDINALITY
	AS i (job, token, state, rule, error, failed, revision, ord)
), held AS (
	SELECT id FROM jobs WHERE id = ANY($1) AND state = 'running' ORDER BY id FOR UPDATE
), won AS (
	UPDATE jobs j SET state = i.state, ready = FALSE, held = FALSE, lease_until = 0, deadline = 0, error_rule = i.rule, error = i.error,
		failures = j.failures + i.failed, revision = i.revision, updated_at = $8::bigint, finished_at = $8
	FROM input i JOIN held h ON h.id = i.job WHERE j.id = i.job AND j.token = i.token AND j.state = 'running'
	RETURNING i.ord, i.revision, j.id, j.tenant, j.subject, j.site
), v AS (
	INSERT INTO verdicts (job, revision, tenant, subject, site, decision, codes, policy, body, submitted_at, created_at)
	SELECT w.id, w.revision, w.tenant, w.subject, w.site, v.decision, v.codes, v.policy, v.body, v.submitted_at, v.created_at
	FROM unnest($9::bigint[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bigint[], $15::bigint[])
		AS v (ord, decision, codes, policy, body, submitted_at, created_at) JOIN won w USING (ord)
), c AS (
	INSERT INTO verdict_codes (tenant, code, job, revision)
	SELECT w.tenant, c.code, w.id, w.revision FROM unnest($16::bigint[], $17::text[]) AS c (ord, code) JOIN won w USING (ord)
), e AS (
	INSERT INTO evidence (job, revision, kind, idx, tenant, subject, object_key, sha256, bytes)
	SELECT w.id, w.revision, e.kind, e.idx, w.tenant, w.subject, e.object_key, e.sha256, e.bytes
	FROM unnest($18::bigint[], $19::text[], $20::bigint[], $21::text[], $22::text[], $23::bigint[])
		AS e (ord, kind, idx, object_key, sha256, bytes) JOIN won w USING (ord)
), p AS (
	INSERT INTO prints (job, tenant, subject, site, as_of, scope, alike, format, sha256, packets, object_key, bytes, accepted_at)
	SELECT w.id, w.tenant, w.subject, w.site, p.as_of, p.scope, p.alike, p.format, p.sha256, p.packets, p.object_key, p.bytes, p.accepted_at
	FROM unnest($24::bigint[], $25::bigint[], $26::text[], $27::text[], $28::bigint[], $29::text[], $30::text[], $31::text[], $32::bigint[], $33::bigint[])
		AS p (ord, as_of, scope, alike, format, sha256, packets, object_key, bytes, accepted_at) JOIN won w USING (ord)
), m AS (
	UPDATE submissions s SET media_key = m.key, media_sha256 = m.sha256, media_bytes = m.bytes,
		media_name = CASE WHEN m.name = '' THEN s.media_name ELSE m.name END
	FROM unnest($34::bigint[], $35::text[], $36::text[], $37::bigint[], $38::text[]) AS m (ord, key, sha256, bytes, name) JOIN won w USING (ord)
	WHERE s.job = w.id
), d AS (
	INSERT INTO deadlines (tenant, job, kind, subject, due)
	SELECT w.tenant, w.id, d.kind, w.subject, d.due FROM unnest($39::bigint[], $40::text[], $41::bigint[]) AS d (ord, kind, due) JOIN won w USING (ord)
	ON CONFLICT (tenant, job, kind) DO UPDATE SET due = excluded.due
), n AS (
	INSERT INTO webhook_deliveries (id, tenant, endpoint, message, type, payload, job, state, attempt, next_at, due_at, worker, last_status,
		last_error, created_at, done_at)
	SELECT n.message || '.' || e.id, e.tenant, e.id, n.message, n.event, n.payload, w.id, 'pending', 0, $8, 0, '', 0, '', $8, 0
	FROM unnest($42::bigint[], $43::text[], $44::text[], $45::bytea[]) AS n (ord, event, message, payload) JOIN won w USING (ord)
	JOIN webhook_endpoints e ON e.tenant = w.tenant AND e.disabled_at = 0 AND (e.events = '' OR e.events LIKE '%,' || n.event || ',%')
), kept AS (
	DELETE FROM pending_objects WHERE object_key IN (
		SELECT k.object_key FROM unnest($46::bigint[], $47::text[]) AS k (ord, object_key) JOIN won USING (ord))
), audited AS (
	INSERT INTO audit (tenant, id, at, actor, action, subject, target, digest)
	SELECT a.tenant, a.id, a.at, a.actor, a.action, a.subject, a.target, a.digest
	FROM unnest($48::bigint[], $49::text[], $50::text[], $51::bigint[], $52::text[], $53::text[], $54::text[], $55::text[], $56::text[])
		AS a (ord, tenant, id, at, actor, action, subject, target, digest) JOIN won USING (ord)
), f AS (
	INSERT INTO frame_hashes (job, tenant, format, frames)
	SELECT w.id, w.tenant, f.format, f.frames FROM unnest($57::bigint[], $58::bigint[], $59::bytea[]) AS f (ord, format, frames) JOIN won w USING (ord)
)
SELECT ord FROM won`

// finishTogether ends what it can of a group; those that it could not are stale.
func (s *Store) finishTogether(ctx context.Context, list []results.Finish, group []int, now time.Time, out []error) error {
	var in finishInput
	for ord, i := range group {
		if err := in.add(list[i], int64(ord+1), now); err != nil {
			return err
		}
	}
	won := make([]bool, len(group))
	err := again(ctx, func() error {
		clear(won)
		_, err := s.db.Batch(ctx, []statement{{finishSQL, in.args(now), func(r row) error {
			var ord int
			if err := r.Scan(&ord); err != nil {
				return err
			}
			won[ord-1] = true
			return nil
		}}})
		return err
	})
	if err != nil {
		return err
	}
	for ord, i := range group {
		out[i] = nil
		if !won[ord] {
			out[i] = results.ErrStale
		}
	}
	return nil
}

// finishInput is the group in columns. Every part but the first says by ord to which job of the group it belongs.
type finishInput struct {
	job, state, rule, wrong []string
	token, failed, revision []int64

	verdict struct {
		ord, submitted, created []int64
		decision, codes, policy []string
		body                    [][]byte
	}
	code struct {
		ord  []int64
		code []string
	}
	evidence struct {
		ord, idx, bytes   []int64
		kind, key, sha256 []string
	}
	print struct {
		ord, asOf, format, bytes, accepted []int64
		scope, alike, sha256, packets, key []string
	}
	media struct {
		ord, bytes        []int64
		key, sha256, name []string
	}
	due struct {
		ord, due []int64
		kind     []string
	}
	event struct {
		ord     []int64
		typ, id []string
		payload [][]byte
	}
	kept struct {
		ord []int64
		key []string
	}
	audit auditInput
	frame struct {
		ord, format []int64
		frames      [][]byte
	}
}

func (c *finishInput) add(f results.Finish, ord int64, now time.Time) error {
	var rule, wrong string
	if f.Error != nil {
		text, err := json.Marshal(f.Error)
		if err != nil {
			return err
		}
		rule, wrong = f.Error.Rule, string(text)
	}
	var failed, revision int64
	if f.State == results.Dead {
		failed = 1
	}
	if v := f.Verdict; v != nil {
		revision = int64(firstRevision(v))
		created := v.CreatedAt
		if created.IsZero() {
			created = now
		}
		codes := distinct(v.Codes)
		text, err := json.Marshal(codes)
		if err != nil {
			return err
		}
		to := &c.verdict
		to.ord, to.submitted, to.created = append(to.ord, ord), append(to.submitted, millis(v.SubmittedAt)), append(to.created, millis(created))
		to.decision, to.codes = append(to.decision, string(v.Decision)), append(to.codes, string(text))
		to.policy, to.body = append(to.policy, v.Policy), append(to.body, bytesOf(v.Body))
		for _, code := range codes {
			c.code.ord, c.code.code = append(c.code.ord, ord), append(c.code.code, code)
		}
	}
	c.job, c.state, c.rule = append(c.job, f.Job), append(c.state, string(f.State)), append(c.rule, rule)
	c.wrong, c.token = append(c.wrong, wrong), append(c.token, f.Token)
	c.failed, c.revision = append(c.failed, failed), append(c.revision, revision)
	for _, e := range f.Evidence {
		to := &c.evidence
		to.ord, to.idx, to.bytes = append(to.ord, ord), append(to.idx, int64(e.Index)), append(to.bytes, e.Bytes)
		to.kind, to.key, to.sha256 = append(to.kind, e.Kind), append(to.key, e.Key), append(to.sha256, e.SHA256)
	}
	if p := f.Print; p != nil {
		to := &c.print
		to.ord, to.asOf, to.format = append(to.ord, ord), append(to.asOf, p.AsOf), append(to.format, int64(p.Format))
		to.bytes, to.accepted = append(to.bytes, p.Bytes), append(to.accepted, millis(p.AcceptedAt))
		to.scope, to.alike = append(to.scope, scopeKind(p)), append(to.alike, p.Alike)
		to.sha256, to.packets, to.key = append(to.sha256, p.SHA256), append(to.packets, p.Packets), append(to.key, p.Key)
	}
	if len(f.Frames) > 0 {
		to := &c.frame
		to.ord, to.format, to.frames = append(to.ord, ord), append(to.format, results.FrameFormat), append(to.frames, results.PackFrames(f.Frames))
	}
	if m := f.Media; m != nil {
		to := &c.media
		to.ord, to.bytes = append(to.ord, ord), append(to.bytes, m.Bytes)
		to.key, to.sha256, to.name = append(to.key, m.Key), append(to.sha256, m.SHA256), append(to.name, m.Name)
	}
	for _, d := range f.Deadline {
		to := &c.due
		to.ord, to.due, to.kind = append(to.ord, ord), append(to.due, millis(d.Due)), append(to.kind, d.Kind)
	}
	if f.Event != "" {
		to := &c.event
		to.ord, to.typ, to.id = append(to.ord, ord), append(to.typ, f.Event), append(to.id, f.Message)
		to.payload = append(to.payload, bytesOf(f.Payload))
	}
	for _, key := range f.Keep {
		c.kept.ord, c.kept.key = append(c.kept.ord, ord), append(c.kept.key, key)
	}
	c.audit.add(f.Audit, ord)
	return nil
}

func (c *finishInput) args(now time.Time) []any {
	v, e, p, m, d, n := &c.verdict, &c.evidence, &c.print, &c.media, &c.due, &c.event
	args := []any{c.job, c.token, c.state, c.rule, c.wrong, c.failed, c.revision, now,
		v.ord, v.decision, v.codes, v.policy, v.body, v.submitted, v.created,
		c.code.ord, c.code.code,
		e.ord, e.kind, e.idx, e.key, e.sha256, e.bytes,
		p.ord, p.asOf, p.scope, p.alike, p.format, p.sha256, p.packets, p.key, p.bytes, p.accepted,
		m.ord, m.key, m.sha256, m.bytes, m.name,
		d.ord, d.kind, d.due,
		n.ord, n.typ, n.id, n.payload,
		c.kept.ord, c.kept.key}
	args = append(args, c.audit.args()...)
	return append(args, c.frame.ord, c.frame.format, c.frame.frames)
}
