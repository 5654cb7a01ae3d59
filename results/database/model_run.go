package database

import (
	"context"
	"errors"

	"onsite/results"
)

const promotionColumns = `id, model, scope, task, state, reason, total, done, gaps, epoch, why, actor, created_at, changed_at, partners`

func scanPromotion(r row) (p results.Promotion, err error) {
	err = r.Scan(&p.ID, &p.Model, &p.Scope, &p.Task, &p.State, &p.Override, &p.Total, &p.Done, &p.Gaps, &p.Epoch, because(&p.Why), &p.Actor, at(&p.Created), at(&p.Changed), fromJSON(&p.With))
	return p, err
}

// partners is how the further models of a promotion are stored.
func partners(ids []string) any {
	if len(ids) == 0 {
		return ""
	}
	return js(ids)
}

// BeginPromotion implements results.Registry.
func (s *Store) BeginPromotion(ctx context.Context, p results.Promotion, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		logged, err := everywhere(ctx, q, p.Scope, a)
		if err != nil {
			return err
		}
		// Nobody else begins one of the scope until the commit, so that what is counted next stays true: the scope's first model is always there.
		if _, err := collect(ctx, q, scanText, `SELECT id FROM models WHERE tenant = $1 ORDER BY id LIMIT 1 FOR UPDATE`, p.Scope); err != nil {
			return err
		}
		var same int64
		err = q.QueryRow(ctx, `SELECT count(*) FROM model_promotions p WHERE p.scope = $1 AND p.state IN ('embedding', 'staging') AND EXISTS (
			SELECT 1 FROM models a, models b WHERE a.task = b.task AND (a.id = p.model OR p.partners LIKE '%' || a.id || '%') AND (b.id = $2 OR $3::text LIKE '%' || b.id || '%'))`,
			p.Scope, p.Model, partners(p.With)).Scan(&same)
		if err == nil && same > 0 {
			err = results.ErrConflict
		}
		if err != nil {
			return err
		}
		_, err = q.Batch(ctx, append([]statement{do(`INSERT INTO model_promotions (`+promotionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14)`,
			p.ID, p.Model, p.Scope, p.Task, string(p.State), p.Override, p.Total, p.Done, p.Gaps, p.Epoch, said(p.Why), p.Actor, p.Created, partners(p.With))}, logged...))
		if errors.Is(err, results.ErrExists) {
			err = errors.Join(results.ErrConflict, err)
		}
		return err
	})
	return wrap(err, "begin the promotion of model %s", p.Model)
}

// Promotion implements results.Registry.
func (s *Store) Promotion(ctx context.Context, id string) (results.Promotion, error) {
	p, err := collectOne(ctx, s.db, scanPromotion, `SELECT `+promotionColumns+` FROM model_promotions WHERE id = $1`, id)
	return p, wrap(err, "read promotion %s", id)
}

// Promotions implements results.Registry.
func (s *Store) Promotions(ctx context.Context, scope string, n int) ([]results.Promotion, error) {
	all, err := collect(ctx, s.db, scanPromotion, `SELECT `+promotionColumns+` FROM model_promotions WHERE scope = $1 ORDER BY id DESC LIMIT $2`, scope, n)
	return all, wrap(err, "list promotions of models")
}

// OpenPromotions implements results.Registry.
func (s *Store) OpenPromotions(ctx context.Context) ([]results.Promotion, error) {
	all, err := collect(ctx, s.db, scanPromotion, `SELECT `+promotionColumns+` FROM model_promotions WHERE state IN ('embedding', 'staging') ORDER BY id`)
	return all, wrap(err, "list promotions of models that are under way")
}

// ChangePromotion implements results.Registry.
func (s *Store) ChangePromotion(ctx context.Context, p results.Promotion, from results.PromotionState) error {
	n, err := s.db.Exec(ctx, `UPDATE model_promotions SET state = $3, total = $4, done = $5, gaps = $6, epoch = $7, why = $8, changed_at = $9 WHERE id = $1 AND state = $2`,
		p.ID, string(from), string(p.State), p.Total, p.Done, p.Gaps, p.Epoch, said(p.Why), s.Now())
	if err == nil && n == 0 {
		err = results.ErrStale
	}
	return wrap(err, "go on with promotion %s", p.ID)
}

// embeddable are the enrolled photos that may be embedded: their subject is not erased and consents to face processing. $1 is the tenant, $2 the purpose.
const embeddable = ` FROM photos p WHERE p.tenant = $1 AND p.to_rev = 0 AND p.object_key <> ''
	AND EXISTS (SELECT 1 FROM consents c WHERE c.tenant = p.tenant AND c.subject = p.subject AND c.purpose = $2 AND c.withdrawn_at = 0)`

// PhotosWithout implements results.Registry.
func (s *Store) PhotosWithout(ctx context.Context, tenant, sha256, after string, n int) ([]results.Photo, error) {
	all, err := collect(ctx, s.db, scanPhoto, `SELECT `+prefixed("p", photoColumns)+embeddable+`
		AND NOT EXISTS (SELECT 1 FROM templates t WHERE t.tenant = p.tenant AND t.photo = p.id AND t.model_sha256 = $3)
		AND NOT EXISTS (SELECT 1 FROM model_gaps g WHERE g.tenant = p.tenant AND g.photo = p.id AND g.sha256 = $3)
		AND p.id > $4 ORDER BY p.id LIMIT $5`, tenant, results.PurposeFace, sha256, after, n)
	return all, wrap(err, "list photos without a template of model %.12s", sha256)
}

// PhotosUnder implements results.Registry.
func (s *Store) PhotosUnder(ctx context.Context, tenant, sha256 string) (all, embedded, gaps int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT count(*),
		coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM templates t WHERE t.tenant = p.tenant AND t.photo = p.id AND t.model_sha256 = $3) THEN 1 ELSE 0 END), 0),
		coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM model_gaps g WHERE g.tenant = p.tenant AND g.photo = p.id AND g.sha256 = $3) THEN 1 ELSE 0 END), 0)`+embeddable,
		tenant, results.PurposeFace, sha256).Scan(&all, &embedded, &gaps)
	return all, embedded, gaps, wrap(err, "count photos with a template of model %.12s", sha256)
}

// PutModelGap implements results.Registry.
func (s *Store) PutModelGap(ctx context.Context, g results.ModelGap) error {
	_, err := s.db.Exec(ctx, `INSERT INTO model_gaps (tenant, sha256, photo, subject, why, at) SELECT p.tenant, $2::text, p.id, p.subject, $4::text, $5::bigint
		FROM photos p WHERE p.tenant = $1 AND p.id = $3 ON CONFLICT (tenant, sha256, photo) DO UPDATE SET why = excluded.why, at = excluded.at`,
		g.Tenant, g.Model, g.Photo, said(g.Why), s.Now())
	return wrap(err, "note that model %.12s cannot use photo %s", g.Model, g.Photo)
}

func scanGap(r row) (g results.ModelGap, err error) {
	err = r.Scan(&g.Tenant, &g.Model, &g.Photo, &g.Subject, because(&g.Why), at(&g.At))
	return g, err
}

// ModelGaps implements results.Registry: of photos that are still enrolled.
func (s *Store) ModelGaps(ctx context.Context, tenant, sha256 string, p results.Page) ([]results.ModelGap, error) {
	all, err := collect(ctx, s.db, scanGap, `SELECT g.tenant, g.sha256, g.photo, g.subject, g.why, g.at FROM model_gaps g JOIN photos p ON p.tenant = g.tenant AND p.id = g.photo AND p.to_rev = 0
		WHERE g.tenant = $1 AND (g.sha256 = $2 OR g.sha256 LIKE $2::text || '+%') AND g.photo > $3 ORDER BY g.photo LIMIT $4`, tenant, sha256, p.After, limit(p))
	return all, wrap(err, "list photos that model %.12s cannot use", sha256)
}

// DropTemplates implements results.Registry.
func (s *Store) DropTemplates(ctx context.Context, tenant, sha256 string, n int) (int64, error) {
	return s.dropTemplates(ctx, func(column string) string { return `(` + column + ` = $2 OR ` + column + ` LIKE $2::text || '+%')` }, tenant, sha256, n)
}

// DropNamedTemplates implements results.Registry.
func (s *Store) DropNamedTemplates(ctx context.Context, tenant, name string, n int) (int64, error) {
	return s.dropTemplates(ctx, func(column string) string { return column + ` = $2` }, tenant, name, n)
}

// dropTemplates deletes those whose name is as is says of a column.
func (s *Store) dropTemplates(ctx context.Context, is func(column string) string, tenant, name string, n int) (int64, error) {
	changed, err := s.db.Exec(ctx, `DELETE FROM templates WHERE tenant = $1 AND (tenant, photo, model_sha256) IN (
		SELECT tenant, photo, model_sha256 FROM templates WHERE tenant = $1 AND `+is("model_sha256")+` ORDER BY photo LIMIT $3)`, tenant, name, n)
	if err == nil && changed < int64(n) { // the last part
		_, err = s.db.Exec(ctx, `DELETE FROM model_gaps WHERE tenant = $1 AND `+is("sha256"), tenant, name)
	}
	return changed, wrap(err, "delete templates of model %.12s", name)
}

// TemplateNames implements results.Registry.
func (s *Store) TemplateNames(ctx context.Context, tenant string) (map[string]int64, error) {
	out := map[string]int64{}
	_, err := collect(ctx, s.db, func(r row) (name string, err error) {
		var n int64
		err = r.Scan(&name, &n)
		out[name] = n
		return name, err
	}, `SELECT model_sha256, count(*) FROM templates WHERE tenant = $1 GROUP BY model_sha256`, tenant)
	return out, wrap(err, "count the templates of tenant %s", tenant)
}

// CountPrints implements results.Registry.
func (s *Store) CountPrints(ctx context.Context, tenant string) (n int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT count(*) FROM prints WHERE tenant = $1`, tenant).Scan(&n)
	return n, wrap(err, "count the fingerprints of tenant %s", tenant)
}

const shadowColumns = `model, job, tenant, subject, epoch, stored, same, decided, would, cpu_ms, own_ms, detail, at`

func scanShadow(r row) (v results.ShadowRun, err error) {
	err = r.Scan(&v.Model, &v.Job, &v.Tenant, &v.Subject, &v.Epoch, &v.Stored, &v.Same, &v.Before, &v.After, &v.CPUMS, &v.BeforeMS, fromJSON(&v.Detail), at(&v.At))
	return v, err
}

// PutShadowRun implements results.Registry. What is of a job that went meanwhile is not kept.
func (s *Store) PutShadowRun(ctx context.Context, r results.ShadowRun) error {
	err := s.db.Tx(ctx, func(q querier) error {
		if err := s.notErased(ctx, q, r.Tenant, r.Subject); err != nil {
			return err
		}
		_, err := q.Exec(ctx, `INSERT INTO model_shadows (`+shadowColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
			ON CONFLICT (model, job) DO UPDATE SET epoch = excluded.epoch, stored = excluded.stored, same = excluded.same, decided = excluded.decided, would = excluded.would,
			cpu_ms = excluded.cpu_ms, own_ms = excluded.own_ms, detail = excluded.detail, at = excluded.at`,
			r.Model, r.Job, r.Tenant, r.Subject, r.Epoch, r.Stored, r.Same, r.Before, r.After, r.CPUMS, r.BeforeMS, raw(r.Detail), s.Now())
		return err
	})
	return wrap(err, "note what a candidate says of job %s", r.Job)
}

// ShadowRuns implements results.Registry: newest job first.
func (s *Store) ShadowRuns(ctx context.Context, model, tenant string, p results.Page) ([]results.ShadowRun, error) {
	q := query{text: `SELECT ` + shadowColumns + ` FROM model_shadows WHERE model = $1`, args: []any{model}}
	q.and(`tenant = ?`, tenant, tenant != "")
	q.and(`job < ?`, p.After, p.After != "")
	q.end(`ORDER BY job DESC`, p)
	all, err := collect(ctx, s.db, scanShadow, q.text, q.args...)
	return all, wrap(err, "list the shadow runs of model %s", model)
}

// ShadowSums implements results.Registry.
func (s *Store) ShadowSums(ctx context.Context, model, tenant string) (v results.ShadowSums, err error) {
	err = s.db.QueryRow(ctx, `SELECT count(*), coalesce(sum(CASE WHEN same THEN 1 ELSE 0 END), 0), coalesce(sum(cpu_ms), 0.0) FROM model_shadows WHERE model = $1 AND (tenant = $2 OR $2 = '')`,
		model, tenant).Scan(&v.Runs, &v.Same, &v.CPUMS)
	return v, wrap(err, "sum up the shadow runs of model %s", model)
}

// ShadowSumsOf implements results.Registry.
func (s *Store) ShadowSumsOf(ctx context.Context, tenant string) (map[string]results.ShadowSums, error) {
	out := map[string]results.ShadowSums{}
	_, err := collect(ctx, s.db, func(r row) (model string, err error) {
		var v results.ShadowSums
		err = r.Scan(&model, &v.Runs, &v.Same, &v.CPUMS)
		out[model] = v
		return model, err
	}, `SELECT model, count(*), coalesce(sum(CASE WHEN same THEN 1 ELSE 0 END), 0), coalesce(sum(cpu_ms), 0.0) FROM model_shadows WHERE tenant = $1 GROUP BY model`, tenant)
	return out, wrap(err, "sum up the shadow runs on a tenant's jobs")
}
