package database

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
	"onsite/results/audit"
	"onsite/results/storetest"
)

// forgery is something that somebody with the database's password may do to a log of 31 entries with checkpoints at 5 and 31.
type forgery struct {
	name string
	sql  []string
	want audit.Rule
	what string
}

var forgeries = []forgery{
	{"an action is changed", []string{`UPDATE audit SET action = 'photo.seen' WHERE seq = 3`}, audit.EntryChanged, "entry 3"},
	{"an actor is changed", []string{`UPDATE audit SET actor = 'nobody' WHERE seq = 3`}, audit.EntryChanged, "entry 3"},
	{"a time is changed", []string{`UPDATE audit SET at = at + 1 WHERE seq = 11`}, audit.EntryChanged, "entry 11"},
	{"a digest is changed", []string{`UPDATE audit SET digest = 'x' WHERE seq = 0`}, audit.EntryChanged, "entry 0"},
	{"a subject is changed", []string{`UPDATE audit SET subject = 'e2' WHERE seq = 4`}, audit.EntryChanged, "entry 4"},
	{"an entry is removed", []string{`DELETE FROM audit WHERE seq = 6`}, audit.EntryMissing, "entry 6"},
	{"the first entry is removed", []string{`DELETE FROM audit WHERE seq = 0`}, audit.EntryMissing, "entry 0"},
	{"the last entry is removed", []string{`DELETE FROM audit WHERE seq = 30`}, audit.EntryMissing, "entry 30"},
	{"two change places", []string{`UPDATE audit SET seq = 99 WHERE seq = 2`, `UPDATE audit SET seq = 2 WHERE seq = 8`, `UPDATE audit SET seq = 8 WHERE seq = 99`}, audit.EntryChanged, "entry 8"},
	{"an entry is added behind", []string{`UPDATE audit SET seq = 31 WHERE seq IS NULL`}, audit.EntryAdded, "entry 31"},
	{"a salt is changed", []string{`UPDATE audit_salts SET salt = X'00' WHERE subject = 'e1'`}, audit.EntryChanged, ""},
	{"a leaf's hash is changed", []string{`UPDATE audit_hashes SET hash = X'00' WHERE idx = 0`}, audit.TreeChanged, "hash 0"},
	{"an inner hash is changed", []string{`UPDATE audit_hashes SET hash = (SELECT hash FROM audit_hashes WHERE idx = 0) WHERE idx = 6`}, audit.TreeChanged, "hash 6"},
	{"a hash is removed", []string{`DELETE FROM audit_hashes WHERE idx = 9`}, audit.TreeChanged, "hash 9"},
	{"the root is changed", []string{`UPDATE audit_logs SET root = X'00'`}, audit.HeadChanged, "head of the log"},
	{"the end is cut off", []string{`DELETE FROM audit WHERE seq > 7`, `UPDATE audit_logs SET size = 8`}, audit.LogShort, "checkpoint of 31 entries"},
	{"a checkpoint is changed", []string{`UPDATE audit_checkpoints SET note = replace(note, '5', '6') WHERE size = 5`}, audit.CheckpointBad, "checkpoint of 5 entries"},
	{"a checkpoint is of another size", []string{`UPDATE audit_checkpoints SET size = 6 WHERE size = 5`}, audit.CheckpointBad, "checkpoint of 6 entries"},
	{"a verdict's body is changed", []string{`UPDATE verdicts SET body = X'7B7D'`}, audit.VerdictChanged, ""},
	{"a verdict's decision is changed in its row", []string{`UPDATE verdicts SET decision = 'abnormal'`}, audit.VerdictChanged, ""},
	{"a verdict is changed, and an entry of it added", []string{`UPDATE verdicts SET body = X'7B7D'`,
		`INSERT INTO audit (tenant, id, at, actor, action, subject, target, digest) SELECT tenant, 'ZZZ', 1, 'x', 'verdict.created', 'e1', job, '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' FROM verdicts`},
		audit.VerdictChanged, ""},
	{"a verdict is removed", []string{`DELETE FROM verdicts`}, audit.VerdictMissing, ""},
	{"a salt is removed", []string{`DELETE FROM audit_salts WHERE subject = 'e1'`}, audit.SaltMissing, ""},
	{"the tenant's salt is removed", []string{`DELETE FROM audit_salts WHERE subject = ''`}, audit.SaltMissing, ""},
	{"the checkpoints are removed", []string{`DELETE FROM audit_checkpoints`}, audit.CheckpointNone, ""},
	{"a policy's newest revision is removed", []string{`DELETE FROM policies WHERE rev = 2`}, audit.PolicyChanged, "policy strict"},
	{"a policy is deleted without an entry", []string{`UPDATE policies SET deleted = TRUE WHERE rev = 2`}, audit.PolicyChanged, "policy strict revision 2"},
	{"an old policy comes back as a new one", []string{`UPDATE policies SET yaml = X'78' WHERE rev = 2`}, audit.PolicyChanged, "policy strict revision 2"},
	{"a policy is changed", []string{`UPDATE policies SET yaml = X'00'`}, audit.PolicyChanged, "policy strict revision 1"},
	{"an entry passes for one of an erased subject", []string{`UPDATE audit SET subject = 'gone' WHERE seq = 4`}, audit.EntryChanged, "entry 4"},
	{"and for one from before the erasure", []string{`UPDATE audit SET subject = 'gone', hidden = TRUE WHERE seq = 4`}, audit.EntryDisguised, "entry 4"},
	{"two entries do", []string{`UPDATE audit SET subject = 'gone', hidden = TRUE WHERE seq IN (4, 5)`}, audit.EntryDisguised, "erasure of gone"},
	{"an entry of an erased subject is removed", []string{`DELETE FROM audit WHERE subject = 'gone' AND hidden`}, audit.EntryDisguised, "erasure of gone"},
	{"an entry about somebody is hidden", []string{`UPDATE audit SET hidden = TRUE WHERE subject = 'e1'`, `DELETE FROM audit_salts WHERE subject = 'e1'`}, audit.SaltMissing, ""},
	{"a photo's sum is changed", []string{`UPDATE photos SET sha256 = 'x'`}, audit.PhotosChanged, "photos of e3 revision 1"},
	{"a photo is given to somebody else", []string{`UPDATE photos SET subject = 'gone'`}, audit.PhotosChanged, "photos of e3"},
	{"a photo's row is removed", []string{`DELETE FROM photos`}, audit.PhotosChanged, "photos of e3"},
	{"a photo comes from another revision", []string{`UPDATE photos SET from_rev = 2`}, audit.PhotosChanged, "photos of e3 revision 2"},
	{"a photo passes for removed", []string{`UPDATE photos SET to_rev = 2`}, audit.PhotosChanged, "photos of e3 revision 2"},
	{"a consent is of another day", []string{`UPDATE consents SET given_at = given_at - 1`}, audit.ConsentChanged, ""},
	{"a consent passes for withdrawn", []string{`UPDATE consents SET withdrawn_at = given_at`}, audit.ConsentChanged, ""},
	{"a consent is of another purpose", []string{`UPDATE consents SET purpose = 'sound'`}, audit.ConsentChanged, ""},
	{"a consent is removed", []string{`DELETE FROM consents`}, audit.ConsentChanged, ""},
	{"a reverification is changed", []string{`UPDATE reverifications SET body = X'7B7D'`}, audit.AgainChanged, ""},
	{"a reverification is of another job", []string{`UPDATE reverifications SET job = 'another'`}, audit.AgainChanged, ""},
	{"a reverification is removed", []string{`DELETE FROM reverifications`}, audit.AgainChanged, ""},
	{"a mark is changed", []string{`UPDATE marks SET note = 'x' WHERE revoked_seq = 0`}, audit.MarkChanged, ""},
	{"a mark is in force again", []string{`UPDATE marks SET revoked_seq = 0, revoked_by = '' WHERE revoked_seq <> 0`}, audit.MarkChanged, ""},
	{"a mark passes for revoked", []string{`UPDATE marks SET revoked_seq = 3, revoked_by = 'x' WHERE revoked_seq = 0`}, audit.MarkChanged, ""},
	{"a mark was revoked at another time", []string{`UPDATE marks SET revoked_seq = 9 WHERE revoked_seq <> 0`}, audit.MarkChanged, ""},
	{"a mark is added", []string{`UPDATE marks SET id = 'x' WHERE revoked_seq = 0`}, audit.MarkChanged, ""},
	{"a mark is removed", []string{`DELETE FROM marks WHERE revoked_seq = 0`}, audit.MarkChanged, ""},
	{"a revoked mark is removed", []string{`DELETE FROM marks WHERE revoked_seq <> 0`}, audit.MarkChanged, ""},
	{"a mark is removed as if with another's erasure", []string{
		`INSERT INTO audit (tenant, id, at, actor, action, subject, target, digest) SELECT tenant, 'ZZZ', 1, 'system', 'mark.removed', '', id, (SELECT digest FROM audit WHERE action = 'subject.erased') FROM marks WHERE revoked_seq = 0`,
		`DELETE FROM marks WHERE revoked_seq = 0`}, audit.MarkChanged, ""},
	{"what is kept for how long is changed", []string{`UPDATE tenants SET settings = '{"verdict_days":1}'`}, audit.RowChanged, "the row of the tenant's settings"},
	{"a key may do more", []string{`UPDATE api_keys SET roles = '["admin"]'`}, audit.RowChanged, ""},
	{"a key opens with another secret", []string{`UPDATE api_keys SET sha256 = X'00'`}, audit.RowChanged, ""},
	{"a revoked key holds again", []string{`UPDATE api_keys SET revoked_at = 0`}, audit.RowChanged, ""},
	{"a key is added", []string{`INSERT INTO api_keys SELECT 'back-door', tenant, name, roles, sha256, created_at, expires_at, revoked_at FROM api_keys`}, audit.RowChanged, "API key back-door"},
	{"a key is removed", []string{`DELETE FROM api_keys`}, audit.RowChanged, ""},
	{"a webhook leads elsewhere", []string{`UPDATE webhook_endpoints SET url = 'https://elsewhere.example'`}, audit.RowChanged, ""},
	{"a webhook is removed", []string{`DELETE FROM webhook_endpoints`}, audit.RowChanged, ""},
	{"a bucket is mapped elsewhere", []string{`UPDATE bucket_maps SET prefix = ''`}, audit.RowChanged, "mapped bucket theirs/"},
	{"a person has another label", []string{`UPDATE subjects SET label = 'somebody' WHERE id = 'e3'`}, audit.RowChanged, "subject e3"},
	{"a person passes for erased", []string{`UPDATE subjects SET erased_at = 1 WHERE id = 'e3'`}, audit.RowChanged, "subject e3"},
	{"an erased person is there again", []string{`UPDATE subjects SET erased_at = 0 WHERE id = 'gone'`}, audit.RowChanged, "subject gone"},
	{"a person is removed", []string{`UPDATE subjects SET id = 'other' WHERE id = 'gone'`}, audit.RowChanged, "subject other"},
	{"something else was asked", []string{`UPDATE challenges SET doc = '{}'`}, audit.RowChanged, ""},
	{"a model has another manifest", []string{`UPDATE models SET manifest = X'00'`}, audit.RowChanged, ""},
	{"a model is removed", []string{`DELETE FROM models`}, audit.RowChanged, ""},
	{"other models run", []string{`UPDATE model_epochs SET doc = '{}' WHERE state = 'active'`}, audit.RowChanged, "models' epoch-2"},
	{"other models ran", []string{`UPDATE model_epochs SET doc = replace(doc, 'fast', 'slow') WHERE state = 'past'`}, audit.RowChanged, "models' epoch-1"},
	{"an epoch is removed", []string{`DELETE FROM model_epochs WHERE state = 'past'`}, audit.RowChanged, "models' epoch-1"},
	{"an epoch passes for failed", []string{`UPDATE model_epochs SET state = 'failed' WHERE state = 'active'`}, audit.RowChanged, "models' epoch-2"},
	{"an earlier epoch is active", []string{`UPDATE model_epochs SET state = 'past'`, `UPDATE model_epochs SET state = 'active' WHERE number = 1`}, audit.RowChanged, "models' epoch-2"},
	{"an epoch is added", []string{`UPDATE model_epochs SET state = 'past'`,
		`INSERT INTO model_epochs SELECT 3, 'active', replace(doc, '"share":1', '"share":0.5'), changes, action, why, actor, created_at, active_at FROM model_epochs WHERE number = 2`}, audit.RowChanged, "models' epoch-3"},
	{"a job is removed", []string{`DELETE FROM jobs`}, audit.JobChanged, ""},
	{"a job is somebody else's", []string{`UPDATE jobs SET subject = 'e2' WHERE state = 'done'`}, audit.JobChanged, ""},
	{"a job passes for refused", []string{`UPDATE jobs SET state = 'refused' WHERE state <> 'done'`}, audit.JobChanged, ""},
	{"a job passes for done", []string{`UPDATE jobs SET state = 'done'`}, audit.JobChanged, ""},
	{"a verdict is of another time", []string{`UPDATE verdicts SET created_at = 7`}, audit.VerdictChanged, ""},
	{"a site is changed", []string{`UPDATE sites SET doc = '{"label": "another"}'`}, audit.SiteChanged, "site s1 revision 1"},
}

// pgBytes finds SQLite's way to write bytes.
var pgBytes = regexp.MustCompile(`X'([0-9A-F]*)'`)

func TestForgedLogIsNoticedUnraced(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { // the log is made once, and each forger gets a copy
		s := openLiteTest(t, Options{})
		tenant, key, _ := forgeable(t, s)
		untouched(t, s, tenant, key.Public)
		whole := filepath.Join(t.TempDir(), "whole.db")
		_, err := s.db.Exec(t.Context(), `VACUUM INTO '`+whole+`'`)
		require.NoError(t, err)
		file, err := os.ReadFile(whole)
		require.NoError(t, err)
		for _, f := range forgeries {
			t.Run(f.name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "copy.db")
				require.NoError(t, os.WriteFile(path, file, 0o600))
				f.noticed(t, openTest(t, Options{SQLite: path}), tenant, key.Public)
			})
		}
	})
	t.Run("postgres", func(t *testing.T) {
		s := openTest(t, Options{Postgres: storetest.Postgres(t)})
		for n, f := range forgeries {
			if n%16 != 0 { // an inspection does not know which database it reads
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				tenant, key, undo := forgeable(t, s)
				defer undo()
				untouched(t, s, tenant, key.Public)
				f.noticed(t, s, tenant, key.Public)
			})
		}
	})
}

// untouched says that a log is intact before somebody forges it.
func untouched(t *testing.T, s *Store, tenant, public string) {
	t.Helper()
	r, err := audit.Inspect(t.Context(), s, tenant, audit.Options{Public: public})
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.EqualValues(t, 31, r.Entries)
	require.Equal(t, 2, r.Checkpoints)
	require.Equal(t, 1, r.Verdicts)
	require.Equal(t, 18, r.Documents)
}

// noticed says that a forgery is named.
func (f forgery) noticed(t *testing.T, s *Store, tenant, public string) {
	t.Helper()
	for _, sql := range f.sql {
		if s.postgres() {
			sql = pgBytes.ReplaceAllString(sql, `'\x$1'::bytea`)
		}
		n, err := s.db.Exec(t.Context(), sql)
		require.NoError(t, err)
		require.Positive(t, n)
	}
	r, err := audit.Inspect(t.Context(), s, tenant, audit.Options{Public: public})
	require.NoError(t, err)
	require.False(t, r.Intact())
	found := false
	for _, one := range r.Findings {
		require.NotEmpty(t, one.Text.EN)
		require.NotEmpty(t, one.Text.ZH)
		found = found || one.Rule == f.want && (f.what == "" || one.What == f.what)
	}
	require.True(t, found, "%+v", r.Findings)
}

// Whoever makes all of the tree anew, with the head, still has another one than was signed.
func TestRewrittenLogIsNoticed(t *testing.T) {
	s := openLiteTest(t, Options{})
	tenant, key, _ := forgeable(t, s)
	ctx := t.Context()
	kept, err := s.Checkpoint(ctx, tenant, 0)
	require.NoError(t, err)
	for _, sql := range []string{`UPDATE audit SET actor = 'nobody', seq = NULL WHERE seq >= 7`, `UPDATE audit SET seq = NULL`, `DELETE FROM audit_hashes`, `DELETE FROM audit_logs`} {
		_, err := s.db.Exec(ctx, sql)
		require.NoError(t, err)
	}
	storetest.SequenceAll(t, s)
	r, err := audit.Inspect(ctx, s, tenant, audit.Options{Public: key.Public})
	require.NoError(t, err)
	require.Equal(t, audit.Diverged, r.Findings[0].Rule)
	require.Contains(t, r.Findings[0].Text.EN, "after entry 4", "the checkpoint of 5 entries agrees")
	// The store's own checkpoints may be gone, too: one that was kept elsewhere is enough.
	_, err = s.db.Exec(ctx, `DELETE FROM audit_checkpoints`)
	require.NoError(t, err)
	r, err = audit.Inspect(ctx, s, tenant, audit.Options{Public: key.Public})
	require.NoError(t, err)
	require.True(t, r.Intact(), "nothing is left to compare with")
	r, err = audit.Inspect(ctx, s, tenant, audit.Options{Public: key.Public, Witness: []string{kept.Note}})
	require.NoError(t, err)
	require.Equal(t, audit.Diverged, r.Findings[0].Rule)
	// With a key of the forger's own the signature does not hold.
	other, err := audit.NewKey(tenant)
	require.NoError(t, err)
	r, err = audit.Inspect(ctx, s, tenant, audit.Options{Public: other.Public, Witness: []string{kept.Note}})
	require.NoError(t, err)
	require.Equal(t, audit.CheckpointBad, r.Findings[0].Rule)
}

// forgeable makes a tenant with a log of 31 entries, one that waits, two checkpoints, a verdict that was made again, policies, a site, a person
// with a photo and a consent, an erased one, and one of everything else that the log vouches for. undo removes all of it.
func forgeable(t *testing.T, s *Store) (tenant string, key audit.Key, undo func()) {
	t.Helper()
	ctx := t.Context()
	tenant = storetest.NewTenant(t, s)
	key, err := audit.NewKey(tenant)
	require.NoError(t, err)
	_, err = s.CreateLogKey(ctx, results.LogKey{Tenant: tenant, Public: key.Public, Sealed: []byte("x"), CreatedAt: s.Now()})
	require.NoError(t, err)
	sign := func() {
		storetest.SequenceAll(t, s)
		h, err := s.LogHead(ctx, tenant)
		require.NoError(t, err)
		note, err := audit.Sign(audit.Head{Origin: audit.Origin(tenant), Size: h.Size, Root: [32]byte(h.Root)}, key.Secret)
		require.NoError(t, err)
		require.NoError(t, s.PutCheckpoint(ctx, results.Checkpoint{Tenant: tenant, Size: h.Size, Note: note, At: s.Now()}))
	}
	a := storetest.Audit(s, tenant, "policy.changed")
	a.Target = "strict"
	_, err = s.PutPolicy(ctx, results.Policy{Tenant: tenant, Name: "strict", YAML: []byte("x"), CreatedAt: s.Now()}, 0, a)
	require.NoError(t, err)
	a = storetest.Audit(s, tenant, "policy.changed")
	a.Target = "strict"
	_, err = s.PutPolicy(ctx, results.Policy{Tenant: tenant, Name: "strict", YAML: []byte("y"), CreatedAt: s.Now()}, 1, a)
	require.NoError(t, err)
	a = storetest.Audit(s, tenant, "site.changed")
	a.Target = "s1"
	_, err = s.PutSite(ctx, results.Site{Tenant: tenant, ID: "s1", Doc: results.SiteDoc{Label: "ours"}, CreatedAt: s.Now()}, 0, a)
	require.NoError(t, err)
	storetest.AppendEntries(t, s, tenant, "e1", 2)
	sign()
	job := storetest.NewID()
	body, err := json.Marshal(pipeline.Verdict{Job: job, Tenant: tenant, Subject: "e1", Decision: pipeline.DecisionPass, Revision: 1, CreatedAt: time.UnixMilli(1)})
	require.NoError(t, err)
	_, err = s.db.Exec(ctx, `INSERT INTO verdicts (job, revision, tenant, subject, site, decision, codes, policy, body, submitted_at, created_at) VALUES ($1, 1, $2, 'e1', '', 'pass', '[]', '', $3, 1, 1)`,
		job, tenant, body)
	require.NoError(t, err)
	done := storetest.Accept(t, s, tenant, "e1", func(n *results.NewSubmission) { n.Sub.Job, n.Sub.Site, n.Audit.Action = job, "", "" })
	_, err = s.db.Exec(ctx, `UPDATE jobs SET state = 'done', revision = 1 WHERE id = $1`, done.ID)
	require.NoError(t, err)
	a = storetest.Audit(s, tenant, results.EventVerdictCreated)
	a.Subject, a.Target, a.Digest = "e1", job, results.Sum(body)
	require.NoError(t, s.Append(ctx, a))
	storetest.AppendEntries(t, s, tenant, "e2", 6)
	again := results.Reverification{ID: storetest.NewID(), Tenant: tenant, Job: job, Subject: "e1", Body: []byte(`{"job":"` + job + `"}`), CreatedAt: s.Now()}
	a = storetest.Audit(s, tenant, results.ActionReverified)
	a.Subject, a.Target = "e1", job
	require.NoError(t, s.Reverified(ctx, again, a))
	about := func(subject, action string) results.AuditEntry {
		a := storetest.Audit(s, tenant, action)
		a.Subject = subject
		return a
	}
	storetest.NewSubject(t, s, tenant, "e3")
	require.NoError(t, s.GiveConsent(ctx, results.Consent{ID: storetest.NewID(), Tenant: tenant, Subject: "e3", Purpose: results.PurposeFace, Notice: "1", GivenAt: s.Now()}, about("e3", "consent.given")))
	_, err = s.Enrol(ctx, tenant, "e3", -1, []results.Photo{storetest.NewPhoto(s, tenant, "e3")}, nil, nil, about("e3", "photo.enrolled"))
	require.NoError(t, err)
	marked := storetest.Accept(t, s, tenant, "e3").ID
	for n := range 2 {
		m := results.Mark{ID: storetest.NewID(), Tenant: tenant, Kind: results.MarkBackground, Job: marked, AtMS: int64(n), Hash: "h", CreatedAt: s.Now()}
		_, err = s.CreateMark(ctx, m, about("e3", "mark.created"))
		require.NoError(t, err)
		if n == 0 {
			_, err = s.RevokeMark(ctx, tenant, m.ID, "key", s.Now(), about("e3", "mark.revoked"))
			require.NoError(t, err)
		}
	}
	k := results.APIKey{ID: "auditor", Tenant: tenant, Roles: []results.Role{results.RoleAudit}, SHA256: []byte("x"), CreatedAt: s.Now()}
	require.NoError(t, s.CreateKey(ctx, k, storetest.Audit(s, tenant, "key.created")))
	require.NoError(t, s.RevokeKey(ctx, tenant, k.ID, s.Now(), storetest.Audit(s, tenant, "key.revoked")))
	a = storetest.Audit(s, tenant, "webhook.created")
	a.Target = storetest.NewID()
	_, err = s.PutEndpoint(ctx, results.Endpoint{ID: a.Target, Tenant: tenant, URL: "https://ours.example", Keys: []byte("sealed"), CreatedAt: s.Now()}, 0, a)
	require.NoError(t, err)
	require.NoError(t, s.PutBucketMap(ctx, results.BucketMap{Bucket: "theirs", Prefix: "in/", Tenant: tenant, CreatedAt: s.Now()}, storetest.Audit(s, tenant, "bucket.mapped")))
	asked := storetest.NewChallenge(s, tenant, "e3")
	a = about("e3", "challenge.issued")
	a.Target = asked.ID
	require.NoError(t, s.CreateChallenge(ctx, asked, a))
	model := storetest.NewModel(t, s, tenant, "fast")
	model.Digest = results.Sum(model.Manifest)
	a = storetest.Audit(s, tenant, "model.added")
	a.Target = model.ID
	require.NoError(t, s.AddModel(ctx, model, a))
	for after, doc := range []results.EpochDoc{{Base: map[string]string{"face": "fast"}}, {Base: map[string]string{"face": "fast"}, Canaries: []results.EpochTrial{{Model: "new", Task: "face", Share: 1}}}} {
		_, err = s.ProposeEpoch(ctx, results.Epoch{Doc: doc, Action: "model.canary", Actor: "key"}, int64(after), results.StepAtOnce, results.AuditEntry{})
		require.NoError(t, err)
	}
	storetest.NewSubject(t, s, tenant, "gone")
	storetest.AppendEntries(t, s, tenant, "gone", 1)
	_, err = s.EraseSubject(ctx, tenant, "gone", s.Now(), about("gone", audit.ActionErased))
	require.NoError(t, err)
	sign()
	storetest.AppendEntries(t, s, tenant, "e2", 1)
	return tenant, key, func() {
		for _, table := range []string{"audit", "audit_salts", "audit_logs", "audit_hashes", "audit_checkpoints", "audit_keys", "verdicts", "reverifications", "policies", "sites",
			"marks", "mark_feed", "jobs", "submissions", "idempotency", "pending_objects", "model_files", "models", "model_epochs", "challenges", "bucket_maps", "webhook_endpoints", "api_keys", "templates", "photos", "consents", "subject_keys", "subjects", "tenants"} {
			_, err := s.db.Exec(ctx, `DELETE FROM `+table)
			require.NoError(t, err)
		}
	}
}

// nineYearsOn is a store whose clock says that the time of everything is over.
type nineYearsOn struct{ *Store }

func (s nineYearsOn) Now() time.Time { return s.Store.Now().AddDate(9, 0, 0) }

// A mark that went with its job's time, or with its subject, is not missed; and nothing else is, either.
func TestWhatGoesInItsTimeIsNotMissed(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tenant, key, undo := forgeable(t, s)
		marked, err := collect(ctx, s.db, scanText, `SELECT DISTINCT job FROM marks`)
		require.NoError(t, err)
		require.Len(t, marked, 1)
		inspect := func(from audit.Source) []audit.Finding {
			r, err := audit.Inspect(ctx, from, tenant, audit.Options{Public: key.Public})
			require.NoError(t, err)
			return r.Findings
		}
		gone := func() {
			require.NoError(t, s.db.Tx(ctx, func(q querier) error {
				b, err := s.expireJobs(ctx, q, marked)
				require.NoError(t, err)
				_, err = q.Batch(ctx, b)
				return err
			}))
		}
		gone()
		storetest.SequenceAll(t, s)
		require.NotEmpty(t, inspect(s), "before its time")
		require.Empty(t, inspect(nineYearsOn{s}))
		undo()

		tenant, key, undo = forgeable(t, s)
		a := storetest.Audit(s, tenant, audit.ActionErased)
		a.Subject = "e3"
		_, err = s.EraseSubject(ctx, tenant, "e3", s.Now(), a)
		require.NoError(t, err)
		storetest.SequenceAll(t, s)
		require.Empty(t, inspect(s))
		undo()
	})
}

// Two replicas of one log that went on apart are told by the other's checkpoints, from either side, whichever is longer.
func TestReplicasThatDivergeAreNoticed(t *testing.T) {
	ctx := t.Context()
	one := openLiteTest(t, Options{})
	tenant, key, _ := forgeable(t, one)
	path := filepath.Join(t.TempDir(), "other.db")
	_, err := one.db.Exec(ctx, `VACUUM INTO '`+path+`'`)
	require.NoError(t, err)
	other := openTest(t, Options{SQLite: path})
	signed := func(s *Store, n int) string {
		storetest.AppendEntries(t, s, tenant, "e2", n)
		storetest.SequenceAll(t, s)
		h, err := s.LogHead(ctx, tenant)
		require.NoError(t, err)
		note, err := audit.Sign(audit.Head{Origin: audit.Origin(tenant), Size: h.Size, Root: [32]byte(h.Root)}, key.Secret)
		require.NoError(t, err)
		require.NoError(t, s.PutCheckpoint(ctx, results.Checkpoint{Tenant: tenant, Size: h.Size, Note: note, At: s.Now()}))
		return note
	}
	here, there := signed(one, 1), signed(other, 3)
	for _, c := range []struct {
		s       *Store
		witness string
		want    audit.Rule
	}{{one, here, ""}, {other, there, ""}, {other, here, audit.Diverged}, {one, there, audit.LogShort}} {
		r, err := audit.Inspect(ctx, c.s, tenant, audit.Options{Public: key.Public, Witness: []string{c.witness}})
		require.NoError(t, err)
		if c.want == "" {
			require.Empty(t, r.Findings)
			continue
		}
		require.Len(t, r.Findings, 1)
		require.Equal(t, c.want, r.Findings[0].Rule)
	}
}
