package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

const registeredColumns = `id, tenant, task, name, version, sha256, digest, manifest, files, state, check_doc, report, passed, actor, added_at, changed_at`

func scanRegistered(r row) (m results.RegisteredModel, err error) {
	err = r.Scan(&m.ID, &m.Tenant, &m.Task, &m.Name, &m.Version, &m.SHA256, &m.Digest, &m.Manifest, fromJSON(&m.Files), &m.State, fromJSON(&m.Check), fromJSON(&m.Report),
		&m.Passed, &m.Actor, at(&m.AddedAt), at(&m.Changed))
	return m, err
}

// everywhere gives the entries of one act in the logs of all tenants that it concerns: of a model's own, or of all. Each tenant's log is
// complete by itself.
func everywhere(ctx context.Context, q querier, scope string, a results.AuditEntry) ([]statement, error) {
	if a.Action == "" {
		return nil, nil
	}
	tenants := []string{scope}
	if scope == "" {
		var err error
		if tenants, err = collect(ctx, q, scanText, `SELECT id FROM tenants ORDER BY id`); err != nil {
			return nil, err
		}
	}
	var b []statement
	for _, t := range tenants {
		if a.Tenant = t; len(tenants) > 1 || a.ID == "" {
			a.ID = ulid.Make().String()
		}
		b = append(b, audited(a)...)
	}
	return b, nil
}

// AddModel implements results.Registry.
func (s *Store) AddModel(ctx context.Context, m results.RegisteredModel, a results.AuditEntry) error {
	a.Digest = m.Digest
	err := s.db.Tx(ctx, func(q querier) error {
		b := []statement{do(`INSERT INTO models (`+registeredColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', FALSE, $11, $12, $12)`,
			m.ID, m.Tenant, m.Task, m.Name, m.Version, m.SHA256, m.Digest, m.Manifest, js(m.Files), string(results.ModelAdded), m.Actor, m.AddedAt)}
		var keys []string
		for _, f := range m.Files {
			keys = append(keys, f.Key)
			b = append(b, do(`INSERT INTO model_files (object_key, sha256, bytes) VALUES ($1, $2, $3) ON CONFLICT (object_key) DO NOTHING`, f.Key, f.SHA256, f.Bytes))
		}
		logged, err := everywhere(ctx, q, m.Tenant, a)
		if err == nil {
			_, err = q.Batch(ctx, append(append(b, kept(keys...)...), logged...))
		}
		return err
	})
	return wrap(err, "add model %s", m.Name)
}

// Model implements results.Registry.
func (s *Store) Model(ctx context.Context, id string) (results.RegisteredModel, error) {
	m, err := collectOne(ctx, s.db, scanRegistered, `SELECT `+registeredColumns+` FROM models WHERE id = $1`, id)
	return m, wrap(err, "read model %s", id)
}

// ScopeModels implements results.Registry.
func (s *Store) ScopeModels(ctx context.Context, tenant string) ([]results.RegisteredModel, error) {
	all, err := collect(ctx, s.db, scanRegistered, `SELECT `+registeredColumns+` FROM models WHERE tenant = $1 ORDER BY id`, tenant)
	return all, wrap(err, "list the models of the registry")
}

// ListModels implements results.Registry.
func (s *Store) ListModels(ctx context.Context, tenant string, retired bool, p results.Page) ([]results.RegisteredModel, error) {
	q := query{text: `SELECT id, tenant, task, name, version, sha256, digest, manifest, files, state, '', '', passed, actor, added_at, changed_at FROM models WHERE tenant = $1 AND (state = 'retired') = $2`, args: []any{tenant, retired}}
	q.and(`id < ?`, p.After, p.After != "")
	q.end(`ORDER BY id DESC`, p)
	all, err := collect(ctx, s.db, scanRegistered, q.text, q.args...)
	return all, wrap(err, "list the models of the registry")
}

// ModelByFile implements results.Registry.
func (s *Store) ModelByFile(ctx context.Context, ref pipeline.ModelRef) (results.RegisteredModel, error) {
	m, err := collectOne(ctx, s.db, scanRegistered, `SELECT `+registeredColumns+` FROM models WHERE task = $1 AND sha256 = $2 AND name = $3 AND version = $4 ORDER BY id DESC LIMIT 1`,
		ref.Task, ref.SHA256, ref.Name, ref.Version)
	return m, wrap(err, "look for the model of task %s with the file %.12s", ref.Task, ref.SHA256)
}

// raw is how JSON that may be missing is stored.
func raw(j json.RawMessage) string { return string(j) }

// ChangeModel implements results.Registry.
func (s *Store) ChangeModel(ctx context.Context, m results.RegisteredModel, from results.ModelState, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		n, err := q.Exec(ctx, `UPDATE models SET state = $3, check_doc = $4, report = $5, passed = $6,
			changed_at = CASE WHEN changed_at < $7 THEN $7 ELSE changed_at + 1 END WHERE id = $1 AND state = $2 AND changed_at = $8`,
			m.ID, string(from), string(m.State), raw(m.Check), raw(m.Report), m.Passed, s.Now(), m.Changed)
		if err == nil && n == 0 {
			err = results.ErrStale
		}
		if err != nil {
			return err
		}
		logged, err := everywhere(ctx, q, m.Tenant, a)
		if err == nil {
			_, err = q.Batch(ctx, logged)
		}
		return err
	})
	return wrap(err, "change model %s", m.ID)
}

const epochColumns = `number, state, doc, changes, action, why, actor, created_at, active_at`

func scanEpoch(r row) (e results.Epoch, err error) {
	err = r.Scan(&e.Number, &e.State, fromJSON(&e.Doc), fromJSON(&e.Changes), &e.Action, because(&e.Why), &e.Actor, at(&e.CreatedAt), at(&e.ActiveAt))
	return e, err
}

// ProposeEpoch implements results.Registry.
func (s *Store) ProposeEpoch(ctx context.Context, e results.Epoch, after int64, step results.EpochStep, a results.AuditEntry) (results.Epoch, error) {
	return s.proposeEpoch(ctx, e, after, step, a, nil)
}

// StagePromotion implements results.Registry.
func (s *Store) StagePromotion(ctx context.Context, p results.Promotion, e results.Epoch, after int64, a results.AuditEntry) (results.Epoch, error) {
	return s.proposeEpoch(ctx, e, after, results.StepStaged, a, func(q querier, number int64) error {
		n, err := q.Exec(ctx, `UPDATE model_promotions SET state = 'staging', epoch = $2, why = '', changed_at = $3 WHERE id = $1 AND state = 'embedding'`, p.ID, number, s.Now())
		if err == nil && n == 0 {
			err = results.ErrStale
		}
		return err
	})
}

// proposeEpoch writes an epoch, with what else is written in the same transaction.
func (s *Store) proposeEpoch(ctx context.Context, e results.Epoch, after int64, step results.EpochStep, a results.AuditEntry, with func(q querier, number int64) error) (results.Epoch, error) {
	out := e
	err := s.db.Tx(ctx, func(q querier) error {
		active, err := activeEpoch(ctx, q)
		if err != nil {
			return err
		}
		var newest int64
		var staging bool
		if err := q.QueryRow(ctx, `SELECT coalesce(max(number), 0), coalesce(max(CASE WHEN state = 'staging' THEN 1 ELSE 0 END), 0) = 1 FROM model_epochs`).Scan(&newest, &staging); err != nil {
			return err
		}
		if active != after || staging && step != results.StepOvertaking {
			return results.ErrConflict
		}
		out = e
		out.Number, out.State, out.CreatedAt = newest+1, results.EpochStaging, s.Now()
		var b []statement
		if staging { // what is at once does not wait for what may never come
			b = append(b, do(`UPDATE model_epochs SET state = 'failed', why = $1 WHERE state = 'staging'`, said(overtaken)))
		}
		b = append(b, do(`INSERT INTO model_epochs (`+epochColumns+`) VALUES ($1, 'staging', $2, $3, $4, '', $5, $6, 0)`,
			out.Number, js(out.Doc), js(out.Changes), out.Action, out.Actor, out.CreatedAt))
		logged, err := everywhere(ctx, q, scopeOf(ctx, q, out), a)
		if err != nil {
			return err
		}
		if _, err = q.Batch(ctx, append(b, logged...)); errors.Is(err, results.ErrExists) {
			return errors.Join(errRace, results.ErrConflict)
		}
		if err == nil && with != nil {
			err = with(q, out.Number)
		}
		if err == nil && step != results.StepStaged {
			var why *results.Why
			if why, err = s.activate(ctx, q, &out); why != nil {
				err = errors.Join(results.ErrConflict, errors.New(why.Say()))
			}
		}
		return err
	})
	return out, wrap(err, "begin an epoch of models")
}

var overtaken = results.Because(results.RuleOvertaken, "a rollback came first; ask for it again", "已被回退操作取代，请重新提交")

// scopeOf is the only tenant that an epoch's changes concern; "": all.
func scopeOf(ctx context.Context, q querier, e results.Epoch) string {
	scope := ""
	for _, c := range e.Changes {
		tenant := ""
		if err := q.QueryRow(ctx, `SELECT tenant FROM models WHERE id = $1`, c.Model).Scan(&tenant); err != nil || tenant == "" || scope != "" && scope != tenant {
			return ""
		}
		scope = tenant
	}
	return scope
}

// moved says which model is not in the state that an epoch expects.
func moved(ctx context.Context, q querier, e results.Epoch) (*results.Why, error) {
	for _, c := range e.Changes {
		m, err := collectOne(ctx, q, scanRegistered, `SELECT `+registeredColumns+` FROM models WHERE id = $1 FOR UPDATE`, c.Model)
		if err != nil {
			return nil, err
		}
		if c.From != "" && m.State != c.From {
			return results.Because("state", "model %s %s was %s when this was asked for, and is %s by now", "提出更改时模型 %s %s 的状态为 %s，现为 %s", m.Name, m.Version, c.From, m.State), nil
		}
	}
	return nil, nil //nolint:nilnil // nothing moved
}

// activate makes a staging epoch the active one, with the changes of models that belong to it; or says why that cannot be, and changes nothing.
func (s *Store) activate(ctx context.Context, q querier, e *results.Epoch) (*results.Why, error) {
	if why, err := moved(ctx, q, *e); why != nil || err != nil {
		return why, err
	}
	now := s.Now()
	b := []statement{
		do(`UPDATE model_epochs SET state = 'past' WHERE state = 'active'`),
		do(`UPDATE model_epochs SET state = 'active', active_at = $2 WHERE number = $1 AND state = 'staging'`, e.Number, now),
	}
	someActive := slices.ContainsFunc(e.Changes, func(c results.ModelChange) bool { return c.State == results.ModelActive })
	for _, c := range e.Changes {
		b = append(b, do(`UPDATE models SET state = $2, changed_at = CASE WHEN changed_at < $3 THEN $3 ELSE changed_at + 1 END WHERE id = $1`, c.Model, string(c.State), now))
		if c.State == results.ModelActive || c.From == results.ModelActive && !someActive { // what others were compared with is another now
			b = append(b, do(`UPDATE models SET passed = FALSE, changed_at = changed_at + 1 WHERE id <> $1 AND passed AND state <> 'retired'
				AND EXISTS (SELECT 1 FROM models a WHERE a.id = $1 AND a.task = models.task AND (a.tenant = '' OR a.tenant = models.tenant))`, c.Model))
		}
	}
	doc, err := json.Marshal(e.Doc)
	if err != nil {
		return nil, err
	}
	logged, err := everywhere(ctx, q, scopeOf(ctx, q, *e), results.AuditEntry{
		At: now, Actor: e.Actor, Action: e.Action, Target: fmt.Sprintf("epoch-%d", e.Number), Digest: results.Sum(doc),
	})
	if err != nil {
		return nil, err
	}
	n, err := q.Batch(ctx, append(b, logged...))
	if err == nil && n[1] == 0 {
		err = results.ErrStale
	}
	e.State, e.ActiveAt = results.EpochActive, now
	return nil, err
}

// SettleEpoch implements results.Registry.
func (s *Store) SettleEpoch(ctx context.Context, alive, within time.Duration) (e results.Epoch, err error) {
	// Most of the time nothing is staged.
	if _, err := collectOne(ctx, s.db, scanEpoch, `SELECT `+epochColumns+` FROM model_epochs WHERE state = 'staging'`); err != nil {
		return e, wrap(err, "look for an epoch that is staged")
	}
	err = s.db.Tx(ctx, func(q querier) error {
		if e, err = collectOne(ctx, q, scanEpoch, `SELECT `+epochColumns+` FROM model_epochs WHERE state = 'staging' FOR UPDATE`); err != nil {
			return err
		}
		hosts, err := collect(ctx, q, scanHost, `SELECT `+hostColumns+` FROM model_hosts WHERE seen_at > $1 ORDER BY name`, s.Now().Add(-alive))
		if err != nil {
			return err
		}
		fail := func(why *results.Why) error {
			e.State, e.Why = results.EpochFailed, why
			_, err := q.Exec(ctx, `UPDATE model_epochs SET state = 'failed', why = $2 WHERE number = $1`, e.Number, said(why))
			return err
		}
		var late []string
		for _, h := range hosts {
			switch {
			case h.Failed >= e.Number:
				return fail(hostFault(h))
			case h.Ready < e.Number:
				late = append(late, h.Name)
			}
		}
		switch {
		case len(hosts) > 0 && len(late) == 0:
			why, err := s.activate(ctx, q, &e)
			if err == nil && why != nil {
				err = fail(why)
			}
			return err
		case s.Now().Sub(e.CreatedAt) > within:
			who, zh := strings.Join(late, ", "), strings.Join(late, "、")
			if len(late) == 0 {
				who, zh = "no process runs models", "没有运行模型的进程"
			}
			return fail(results.Because("late", "not every process could run these models within %[1]s: %[2]s", "并非所有进程都能在 %[1]s 内准备好模型：%[3]s", within, who, zh))
		}
		return results.ErrNotFound
	})
	return e, wrap(err, "settle the epoch that is staged")
}

func hostFault(h results.ModelHost) *results.Why {
	why := results.Because("stage", "%s cannot run these models", "%s 无法运行这些模型", h.Name)
	if h.Why != nil {
		why.Text = pipeline.Text{EN: h.Name + ": " + h.Why.Text.EN, ZH: h.Name + "：" + h.Why.Text.ZH}
	}
	return why
}

// DropEpoch implements results.Registry.
func (s *Store) DropEpoch(ctx context.Context, number int64, why *results.Why, a results.AuditEntry) error {
	err := s.db.Tx(ctx, func(q querier) error {
		e, err := collectOne(ctx, q, scanEpoch, `UPDATE model_epochs SET state = 'failed', why = $2 WHERE number = $1 AND state = 'staging' RETURNING `+epochColumns, number, said(why))
		if errors.Is(err, results.ErrNotFound) {
			return results.ErrStale
		}
		if err != nil {
			return err
		}
		logged, err := everywhere(ctx, q, scopeOf(ctx, q, e), a)
		if err == nil {
			_, err = q.Batch(ctx, logged)
		}
		return err
	})
	return wrap(err, "call epoch %d off", number)
}

// ActiveEpoch implements results.Registry.
func (s *Store) ActiveEpoch(ctx context.Context) (int64, error) {
	n, err := activeEpoch(ctx, s.db)
	return n, wrap(err, "read which epoch of models is active")
}

func activeEpoch(ctx context.Context, q querier) (n int64, err error) {
	err = q.QueryRow(ctx, `SELECT coalesce(max(number), 0) FROM model_epochs WHERE state = 'active'`).Scan(&n)
	return n, err
}

// Epoch implements results.Registry.
func (s *Store) Epoch(ctx context.Context, number int64) (results.Epoch, error) {
	if number == 0 {
		return results.Epoch{State: results.EpochPast}, nil
	}
	e, err := collectOne(ctx, s.db, scanEpoch, `SELECT `+epochColumns+` FROM model_epochs WHERE number = $1`, number)
	return e, wrap(err, "read epoch %d of the models", number)
}

// NewestEpochs implements results.Registry.
func (s *Store) NewestEpochs(ctx context.Context, n int) ([]results.Epoch, error) {
	all, err := collect(ctx, s.db, scanEpoch, `SELECT `+epochColumns+` FROM model_epochs ORDER BY number DESC LIMIT $1`, n)
	return all, wrap(err, "list the epochs of models")
}

const hostColumns = `name, role, base, ready, failed, why, seen_at`

func scanHost(r row) (h results.ModelHost, err error) {
	err = r.Scan(&h.Name, &h.Role, &h.Base, &h.Ready, &h.Failed, because(&h.Why), at(&h.SeenAt))
	return h, err
}

// keepHosts is how long a process that says nothing is listed.
const keepHosts = 24 * time.Hour

// HostModels implements results.Registry.
func (s *Store) HostModels(ctx context.Context, h results.ModelHost) error {
	now := s.Now()
	_, err := s.db.Batch(ctx, []statement{
		do(`INSERT INTO model_hosts (`+hostColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (name) DO UPDATE SET role = excluded.role, base = excluded.base, ready = excluded.ready, failed = excluded.failed, why = excluded.why, seen_at = excluded.seen_at`,
			h.Name, h.Role, h.Base, h.Ready, h.Failed, said(h.Why), now),
		do(`DELETE FROM model_hosts WHERE seen_at < $1`, now.Add(-keepHosts)),
	})
	return wrap(err, "note which models %s can run", h.Name)
}

// ModelHosts implements results.Registry.
func (s *Store) ModelHosts(ctx context.Context) ([]results.ModelHost, error) {
	all, err := collect(ctx, s.db, scanHost, `SELECT `+hostColumns+` FROM model_hosts ORDER BY name`)
	return all, wrap(err, "list who runs models")
}

// LeaveModels implements results.Registry.
func (s *Store) LeaveModels(ctx context.Context, name string) error {
	_, err := s.db.Exec(ctx, `DELETE FROM model_hosts WHERE name = $1`, name)
	return wrap(err, "note that %s runs no models any more", name)
}
