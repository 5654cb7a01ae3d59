package database

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/results"
	"onsite/results/audit"
)

// erasedError is why the unfinished jobs of an erased subject are refused.
var erasedError = results.JobError{Rule: "subject_erased", Text: pipeline.Text{
	EN: "the employee's data was erased at their request; the upload is not checked",
	ZH: "该员工的数据已应要求删除；此次上传不再核验",
}}

// EraseSubject implements results.People. What stays is the row of the subject (its id is not given again), that consents were given and
// withdrawn, when jobs ran and what they decided, and the audit log. Called again for an erased subject it gives the objects that are not
// deleted yet.
func (s *Store) EraseSubject(ctx context.Context, tenant, subject string, when time.Time, a results.AuditEntry) (keys []string, err error) {
	when = fromMillis(millis(when))
	err = s.db.Tx(ctx, func(q querier) error {
		keys = nil
		if _, err := q.Batch(ctx, s.dying(tenant, subject)); err != nil {
			return err
		}
		err := lockSubject(ctx, q, tenant, subject)
		if err == nil {
			err = s.erase(ctx, q, tenant, subject, when, a)
		}
		if err != nil && !errors.Is(err, results.ErrErased) {
			return err
		}
		// Only those that rows named: what somebody is writing just now stays pending for the sweeper, who comes after the writer.
		prefix := tenant + "/" + subject + "/"
		keys, err = collect(ctx, q, scanText, `SELECT object_key FROM pending_objects WHERE substr(object_key, 1, $2) = $1 AND since = 0 ORDER BY object_key`,
			prefix, len(prefix))
		return err
	})
	return keys, wrap(err, "erase subject %s", subject)
}

func (s *Store) erase(ctx context.Context, q querier, tenant, subject string, when time.Time, a results.AuditEntry) error {
	// First of all, so that a worker who is ending a job at this moment is waited for, and what it writes is seen below.
	if err := s.refuseErased(ctx, q, tenant, subject); err != nil {
		return err
	}
	own := func(sql string, more ...any) statement { return do(sql, append([]any{tenant, subject}, more...)...) }
	var b []statement
	for _, from := range []string{
		`SELECT object_key, 0 FROM photos WHERE tenant = $1 AND subject = $2 AND object_key <> ''`,
		`SELECT object_key, 0 FROM evidence WHERE tenant = $1 AND subject = $2`,
		`SELECT object_key, 0 FROM prints WHERE tenant = $1 AND subject = $2`,
		`SELECT media_key, 0 FROM submissions WHERE tenant = $1 AND subject = $2 AND media_key <> ''`,
	} {
		b = append(b, own(`INSERT INTO pending_objects (object_key, since) `+from+` ON CONFLICT (object_key) DO UPDATE SET since = 0`))
	}
	if err := leaveComparisons(ctx, q, `tenant = $1 AND subject = $2`, tenant, subject); err != nil {
		return err
	}
	marks, err := s.marksOf(ctx, q, tenant, `SELECT job FROM submissions WHERE tenant = $1 AND subject = $2`, subject)
	if err != nil {
		return err
	}
	b = append(b,
		own(`DELETE FROM templates WHERE tenant = $1 AND subject = $2`),
		own(`DELETE FROM photos WHERE tenant = $1 AND subject = $2`),
		own(`DELETE FROM evidence WHERE tenant = $1 AND subject = $2`),
		own(`DELETE FROM rechecks WHERE tenant = $1 AND (late IN (SELECT job FROM submissions WHERE tenant = $1 AND subject = $2)
			OR job IN (SELECT job FROM submissions WHERE tenant = $1 AND subject = $2))`),
		do(goneSQL+`tenant = $2 AND job IN (SELECT job FROM prints WHERE tenant = $2 AND subject = $3)`+goneAgain, s.Now(), tenant, subject),
		own(`DELETE FROM prints WHERE tenant = $1 AND subject = $2`),              // and with them the hashes of their frames
		do(`DELETE FROM marks WHERE tenant = $1 AND id = ANY($2)`, tenant, marks), // a background's hash was made from a picture of the person, too
		own(`DELETE FROM challenges WHERE tenant = $1 AND subject = $2`),
		own(`DELETE FROM model_gaps WHERE tenant = $1 AND subject = $2`),
		own(`DELETE FROM model_shadows WHERE tenant = $1 AND subject = $2`),
		own(`DELETE FROM reverifications WHERE tenant = $1 AND subject = $2`),
		own(`DELETE FROM deadlines WHERE tenant = $1 AND subject = $2 AND kind <> 'verdict'`),
		// An event's words hold the object's path, which its sender chose. Those that came before their claim, or too late, have no job.
		own(`UPDATE intake_events SET raw = $3, path = '', mark = 'erased:' || id WHERE tenant = $1 AND id IN (
			SELECT e.id FROM uploads u JOIN intake_events e ON e.bucket = u.bucket AND e.path = u.path WHERE u.tenant = $1 AND u.subject = $2)`, []byte{}),
		own(`UPDATE intake_events SET raw = $3, path = '', mark = 'erased:' || id WHERE tenant = $1 AND job IN (
			SELECT job FROM submissions WHERE tenant = $1 AND subject = $2)`, []byte{}),
		// Objects in others' buckets are theirs to remove, and their paths theirs to choose. In our own the original may still lie, or come: an
		// emptied claim tells who looks there that it must go. Its path is of our making, and says nothing of the person.
		own(`DELETE FROM uploads WHERE tenant = $1 AND subject = $2 AND sub LIKE '%"kind":"bucket"%'`),
		own(`UPDATE uploads SET sub = '{}' WHERE tenant = $1 AND subject = $2`),
		own(`UPDATE submissions SET claim = '{}', source = '{"kind":"erased"}', media_key = '', media_name = '', trace_parent = '', device = '' WHERE tenant = $1 AND subject = $2`),
		own(`UPDATE consents SET withdrawn_at = $3 WHERE tenant = $1 AND subject = $2 AND withdrawn_at = 0`, when),
		own(`INSERT INTO subject_keys (tenant, subject, wrapped, kek, created_at, destroyed_at) VALUES ($1, $2, NULL, '', $3, $3)
			ON CONFLICT (tenant, subject) DO UPDATE SET wrapped = NULL, destroyed_at = excluded.destroyed_at`, when),
		own(`DELETE FROM audit_salts WHERE tenant = $1 AND subject = $2`), // what is in the log can no longer be told to be theirs
		own(`UPDATE subjects SET label = '', erased_at = $3 WHERE tenant = $1 AND id = $2`, when),
	)
	// Nobody can check these entries any more, so that nothing is lost with their digests, which are of the person's photos, too.
	hidden, err := collect(ctx, q, scanText, `UPDATE audit SET hidden = TRUE, digest = '' WHERE tenant = $1 AND subject = $2 AND subject <> '' AND action <> $3 RETURNING id`,
		tenant, subject, audit.ActionErased)
	if err != nil {
		return err
	}
	a.Digest = results.HiddenDigest(hidden)
	if _, err := q.Batch(ctx, slices.Concat(b, audited(a), s.unmarked(tenant, marks, when, a.ID))); err != nil {
		return err
	}
	return stripVerdicts(ctx, q, tenant, subject, when)
}

// stripVerdicts takes what is biometric out of a subject's verdicts.
func stripVerdicts(ctx context.Context, q querier, tenant, subject string, when time.Time) error {
	type stored struct {
		job      string
		revision int
		body     []byte
	}
	all, err := collect(ctx, q, func(r row) (v stored, err error) {
		err = r.Scan(&v.job, &v.revision, &v.body)
		return v, err
	}, `SELECT job, revision, body FROM verdicts WHERE tenant = $1 AND subject = $2`, tenant, subject)
	if err != nil {
		return err
	}
	var b []statement
	for _, v := range all {
		body, err := strip(v.body, when)
		if err != nil {
			return fmt.Errorf("verdict %s, revision %d: %w", v.job, v.revision, err)
		}
		b = append(b, do(`UPDATE verdicts SET body = $3 WHERE job = $1 AND revision = $2`, v.job, v.revision, body))
	}
	_, err = q.Batch(ctx, b)
	return err
}

var (
	// biometric names the parts of a verdict, wherever they stand, that a person could be told by or shown with.
	biometric = []string{"kept", "phash", "box", "outline", "reference", "landmarks"}
	// personal are the checks whose details, and whose reasons' words, are about the person or from the person's device.
	personal = []pipeline.CheckName{pipeline.CheckFace, pipeline.CheckLiveness, pipeline.CheckSpeech, pipeline.CheckAuthenticity, pipeline.CheckPlace}
)

// strip takes what is biometric out of a verdict's JSON, keeps whatever else is in it, and says when that was done.
func strip(body []byte, when time.Time) ([]byte, error) {
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // numbers stay as they were written
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("read its JSON: %w", err)
	}
	if checks, ok := v["checks"].(map[string]any); ok {
		for _, name := range personal {
			if c, ok := checks[string(name)].(map[string]any); ok {
				delete(c, "detail")
				if name == pipeline.CheckPlace { // how far away the person was
					delete(c, "score")
					delete(c, "threshold")
				}
			}
		}
	}
	if reasons, ok := v["reasons"].([]any); ok {
		for _, r := range reasons {
			if r, ok := r.(map[string]any); ok {
				bare(r)
			}
		}
	}
	without(v)
	v["erased_at"] = when.UTC().Format(time.RFC3339)
	return json.Marshal(v)
}

// bare takes the evidence of a personal check and what its words quote (distances, programs, what was said) out of a reason. The code, and
// what it means, stay.
func bare(reason map[string]any) {
	word := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	check := pipeline.CheckName(word(reason, "check"))
	if !slices.Contains(personal, check) {
		return
	}
	delete(reason, "evidence")
	was, _ := reason["text"].(map[string]any)
	reason["text"] = policy.BareText(pipeline.Reason{Code: pipeline.Code(word(reason, "code")), Check: check,
		Text: pipeline.Text{EN: word(was, "en"), ZH: word(was, "zh")}})
}

func without(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range biometric {
			delete(v, name)
		}
		for _, part := range v {
			without(part)
		}
	case []any:
		for _, part := range v {
			without(part)
		}
	}
}

// refuseErased ends the jobs that are not finished; the worker that has one finds its token stale.
func (s *Store) refuseErased(ctx context.Context, q querier, tenant, subject string) error {
	now := s.Now()
	jobs, err := collect(ctx, q, scanJob, `UPDATE jobs SET state = 'refused', ready = FALSE, held = FALSE, token = token + 1, lease_until = 0, deadline = 0,
			error_rule = $3, error = $4, updated_at = $5, finished_at = $5
		WHERE id IN (SELECT id FROM jobs WHERE tenant = $1 AND subject = $2 AND state IN ('accepted', 'queued', 'running') ORDER BY id FOR UPDATE)
		RETURNING `+jobColumns, tenant, subject, erasedError.Rule, js(erasedError), now)
	if err != nil {
		return err
	}
	var b []statement
	for _, j := range jobs {
		e := results.Event{Type: results.EventJobRefused, Timestamp: now, Data: results.EventData{Tenant: j.Tenant, Job: j.ID, Subject: j.Subject,
			Site: j.Site, State: j.State, Rule: erasedError.Rule}}
		b = append(b, announced(j.Tenant, j.ID, ulid.Make().String(), e.Type, e.Payload(), now))
		b = append(b, audited(results.AuditEntry{ID: ulid.Make().String(), Tenant: j.Tenant, At: now, Actor: "system", Action: results.EventJobRefused,
			Subject: j.Subject, Target: j.ID})...)
	}
	_, err = q.Batch(ctx, b)
	return err
}
