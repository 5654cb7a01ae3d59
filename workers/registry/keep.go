package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oklog/ulid/v2"

	"onsite/results"
)

// Keeper brings promotions to their end: enrolled photos get their templates first, then the epoch is staged. One elected process does it at a
// time; what is done is in the store, so that another goes on where one was killed.
type Keeper struct {
	Host  *Host
	Store Store
	Bell  results.Bell
	Name  string
	Log   *slog.Logger
	// Shadow runs candidates on jobs of the past, where a trial asks for that; nil: it does not.
	Shadow *Shadow
	// Parallel is how many photos are embedded at once; half of the processors.
	Parallel int

	swept  time.Time             // when it last looked for vectors of retired models
	rounds map[string]int        // by promotion: how often in turn a photo could not be embedded
	past   map[string][]finished // by epoch and model: what is still to be tried
}

const (
	roleKeeper = "models"
	keeperTerm = 6 * time.Second
	ruleWaits  = "waits"
	ruleEmbed  = "embed"
	sayAfter   = 5  // rounds with an error until a promotion says so
	batch      = 32 // photos between two notes of progress
)

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var rung <-chan struct{}
	if k.Bell != nil {
		rung = k.Bell.Listen(ctx, results.BellModels)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := k.Once(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn("promotions of models do not go on; trying again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			_, _ = k.Store.Elect(last, roleKeeper, k.Name, 0) // its term ends by itself, too
			cancel()
			return nil
		case <-tick.C:
		case <-rung:
		}
	}
}

// Once moves every open promotion by a step, if this process is the elected one.
func (k *Keeper) Once(ctx context.Context) error {
	open, err := k.Store.OpenPromotions(ctx)
	if err != nil {
		return err
	}
	trials, err := k.trials(ctx)
	due := k.Store.Now().Sub(k.swept) >= sweepEvery
	if err != nil || len(open)+len(trials) == 0 && !due {
		return err
	}
	if due { // also where another is elected: that one does it
		k.swept = k.Store.Now()
	}
	if mine, err := k.Store.Elect(ctx, roleKeeper, k.Name, keeperTerm); err != nil || !mine {
		return err
	}
	ctx, release := hold(ctx, k.Store, roleKeeper, k.Name)
	defer release()
	var errs []error
	if due {
		errs = append(errs, k.sweep(ctx))
	}
	for _, p := range open {
		err := k.step(ctx, p)
		if errors.Is(err, results.ErrStale) { // it was cancelled
			err = nil
		}
		if err != nil {
			err = fmt.Errorf("promotion %s: %w", p.ID, err)
		}
		errs = append(errs, err)
	}
	for key, trial := range trials {
		if len(open) > 0 { // promotions first
			break
		}
		errs = append(errs, k.tryPast(ctx, key, trial))
	}
	return errors.Join(errs...)
}

// trials are those of the active epoch that ask for jobs of the past, and have some left, by epoch and model.
func (k *Keeper) trials(ctx context.Context) (map[string]results.EpochTrial, error) {
	if k.Shadow == nil {
		return nil, nil
	}
	number, err := k.Store.ActiveEpoch(ctx)
	if err != nil {
		return nil, err
	}
	e, err := k.Host.epoch(ctx, number)
	if err != nil {
		return nil, err
	}
	out := map[string]results.EpochTrial{}
	for _, t := range e.Doc.Shadows {
		key := fmt.Sprintf("%d|%s", number, t.Model)
		if left, known := k.past[key]; t.Past > 0 && (!known || len(left) > 0) {
			out[key] = t
		}
	}
	return out, nil
}

// tryPast runs a candidate on the next job of the past: one a step, so that live jobs and promotions are not held up.
func (k *Keeper) tryPast(ctx context.Context, key string, trial results.EpochTrial) error {
	left, known := k.past[key]
	if !known {
		var err error
		if left, err = k.listPast(ctx, trial); err != nil {
			return err
		}
		if k.past == nil {
			k.past = map[string][]finished{}
		}
	}
	if len(left) > 0 {
		if k.Shadow.rests() > 0 {
			return nil
		}
		number, err := k.Store.ActiveEpoch(ctx)
		if err != nil {
			return err
		}
		j := left[0]
		left = left[1:]
		cpu, err := k.Shadow.try(ctx, number, trial, j, true)
		k.Shadow.spend(cpu, trial.Budget)
		if err != nil && ctx.Err() == nil {
			k.Log.Warn("a candidate could not be tried on a job of the past", "job", j.job, "model", trial.Model, "error", err.Error())
		}
	}
	k.past[key] = left
	return ctx.Err()
}

// listPast gives the newest finished jobs that a candidate was not tried on, together with the same models.
func (k *Keeper) listPast(ctx context.Context, trial results.EpochTrial) ([]finished, error) {
	doc, tenants, err := k.doc(ctx)
	if err != nil {
		return nil, err
	}
	with := slices.Sorted(maps.Values(trial.With))
	var out []finished
	for _, tenant := range tenants {
		t := tenant.ID
		if !doc.Concerns(trial, t) {
			continue
		}
		known := map[string]bool{}
		runs, err := k.Store.ShadowRuns(ctx, trial.Model, t, results.Page{Limit: 500})
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			ran, err := ranWith(r)
			if err != nil {
				return nil, err
			}
			known[r.Job] = slices.Equal(ran, with)
		}
		rows, err := k.Store.Verdicts(ctx, t, results.VerdictFilter{}, results.Page{Limit: min(trial.Past, 500)})
		if err != nil {
			return nil, err
		}
		for _, v := range rows {
			if !known[v.Job] {
				out = append(out, finished{tenant: t, job: v.Job})
			}
		}
	}
	slices.SortFunc(out, func(a, b finished) int { return strings.Compare(b.job, a.job) }) // ids of jobs are in the order of time
	return out[:min(len(out), trial.Past)], nil
}

func (k *Keeper) step(ctx context.Context, p results.Promotion) error {
	all, err := candidates(ctx, k.Store, p.Model, p.With...)
	if err != nil {
		return err
	}
	if p.State == results.PromotionStaging {
		return k.staged(ctx, p)
	}
	if slices.ContainsFunc(all, func(m results.RegisteredModel) bool { return results.NamesVectors(m.Task) }) {
		left, err := k.embed(ctx, &p, all)
		var unusable *UnusableError
		if errors.As(err, &unusable) {
			return k.fail(ctx, p, results.Because("stage", "the model cannot run: %v", "无法运行该模型：%v", err))
		}
		if err != nil || left {
			return err
		}
	}
	return k.propose(ctx, p, all)
}

func (k *Keeper) fail(ctx context.Context, p results.Promotion, why *results.Why) error {
	from := p.State
	p.State, p.Why = results.PromotionFailed, why
	k.Log.Error("a promotion failed", "promotion", p.ID, "model", p.Model, "why", why.Say())
	return k.Store.ChangePromotion(ctx, p, from)
}

// doc is the document of the active epoch, with all tenants.
func (k *Keeper) doc(ctx context.Context) (results.EpochDoc, []results.Tenant, error) {
	number, err := k.Store.ActiveEpoch(ctx)
	if err != nil {
		return results.EpochDoc{}, nil, err
	}
	e, err := k.Host.epoch(ctx, number)
	if err != nil {
		return results.EpochDoc{}, nil, err
	}
	all, err := k.Store.Tenants(ctx)
	return e.Doc, all, err
}

// share is one tenant's part in a promotion.
type share struct {
	tenant string
	models []results.RegisteredModel // those that it will run: for other tasks it has a model of its own
	name   string                    // of its templates, then
}

// shares are those of the tenants whose templates get another name by a promotion.
func (k *Keeper) shares(ctx context.Context, all []results.RegisteredModel) ([]share, error) {
	doc, tenants, err := k.doc(ctx)
	if err != nil {
		return nil, err
	}
	var out []share
	for _, t := range tenants {
		s := share{tenant: t.ID}
		for _, m := range all {
			if m.Tenant == t.ID || m.Tenant == "" && doc.Tenants[t.ID][m.Task] == "" {
				s.models = append(s.models, m)
			}
		}
		if !slices.ContainsFunc(s.models, func(m results.RegisteredModel) bool { return results.NamesVectors(m.Task) }) {
			continue
		}
		taken, err := k.Host.TakeWith(ctx, t.ID, "", s.models...)
		if err != nil {
			return nil, err
		}
		s.name = taken.Core.EmbedModel()
		taken.Done()
		out = append(out, s)
	}
	return out, nil
}

// embed makes templates that are missing, as many as it comes to in half of the keeper's term; left says that there are more.
func (k *Keeper) embed(ctx context.Context, p *results.Promotion, all []results.RegisteredModel) (left bool, err error) {
	for _, m := range all {
		if err := k.Host.load(ctx, m.ID); err != nil {
			return false, err
		}
	}
	shares, err := k.shares(ctx, all)
	if err != nil {
		return false, err
	}
	until := time.Now().Add(keeperTerm / 2)
	var moment error
	for _, s := range shares {
		for after := ""; ; {
			photos, err := k.Store.PhotosWithout(ctx, s.tenant, s.name, after, batch)
			if err != nil {
				return false, err
			}
			if len(photos) == 0 {
				break
			}
			if time.Now().After(until) {
				_ = k.note(p, moment)
				return true, k.progress(ctx, p, shares)
			}
			after = photos[len(photos)-1].ID
			if err := k.embedSome(ctx, s, photos, until); err != nil {
				moment = err // the rest may well go on; what is left out now is found by the next round
			}
			if ctx.Err() != nil {
				return true, ctx.Err()
			}
		}
	}
	again := moment != nil
	moment = k.note(p, moment)
	if err := k.progress(ctx, p, shares); err != nil {
		return false, err
	}
	return again || p.Done < p.Total, moment
}

// note counts rounds in which a photo could not be embedded. After some the promotion says why it does not end, and the log no longer.
func (k *Keeper) note(p *results.Promotion, moment error) error {
	if moment == nil {
		delete(k.rounds, p.ID)
		if p.Why != nil && p.Why.Rule == ruleEmbed {
			p.Why = nil
		}
		return nil
	}
	if k.rounds == nil {
		k.rounds = map[string]int{}
	}
	if k.rounds[p.ID]++; k.rounds[p.ID] < sayAfter {
		return moment
	}
	p.Why = results.Because(ruleEmbed, "some enrolled photos cannot be embedded yet, and are tried again: %v", "部分登记照片暂时无法生成特征向量，正在重试：%v", moment)
	return nil
}

func (k *Keeper) embedSome(ctx context.Context, s share, photos []results.Photo, until time.Time) error {
	taken, err := k.Host.TakeWith(ctx, s.tenant, "", s.models...)
	if err != nil {
		return err
	}
	defer taken.Done()
	n := k.Parallel
	if n <= 0 {
		n = max(1, runtime.GOMAXPROCS(0)/2)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(n)
	for _, photo := range photos {
		g.Go(func() error {
			if time.Now().After(until) { // the next round finds it
				return nil
			}
			row, why, err := taken.Core.Embed(gctx, photo)
			switch {
			case err != nil:
				return err
			case why != nil:
				k.Log.Warn("an enrolled photo cannot be used by the model that is to be promoted", "photo", photo.ID, "model", s.models[0].Name, "rule", why.Rule)
				return k.Store.PutModelGap(gctx, results.ModelGap{Model: taken.Core.EmbedModel(), Tenant: photo.Tenant, Subject: photo.Subject, Photo: photo.ID, Why: why})
			}
			if want := taken.Core.EmbedModel(); row.ModelSHA256 != want { // the type says so already; nothing else may ever be stored as this model's
				return fmt.Errorf("embed photo %s: the vector is of model %.12s, want %.12s", photo.ID, row.ModelSHA256, want)
			}
			return k.Store.PutTemplates(gctx, []results.Template{row})
		})
	}
	return g.Wait()
}

// progress notes how far a promotion is.
func (k *Keeper) progress(ctx context.Context, p *results.Promotion, shares []share) error {
	p.Total, p.Done, p.Gaps = 0, 0, 0
	for _, s := range shares {
		all, embedded, gaps, err := k.Store.PhotosUnder(ctx, s.tenant, s.name)
		if err != nil {
			return err
		}
		p.Total, p.Done, p.Gaps = p.Total+all, p.Done+embedded+gaps, p.Gaps+gaps
	}
	return k.Store.ChangePromotion(ctx, *p, results.PromotionEmbedding)
}

// propose writes the epoch in which the models are active.
func (k *Keeper) propose(ctx context.Context, p results.Promotion, candidates []results.RegisteredModel) error {
	m := candidates[0]
	number, err := k.Store.ActiveEpoch(ctx)
	if err != nil {
		return err
	}
	active, err := k.Store.Epoch(ctx, number)
	if err != nil {
		return err
	}
	siblings, err := k.Store.ScopeModels(ctx, m.Tenant)
	if err != nil {
		return err
	}
	next := active.Promoted(m, siblings, candidates[1:]...)
	next.Actor = p.Actor
	_, err = k.Store.StagePromotion(ctx, p, next, number, results.AuditEntry{
		ID: ulid.Make().String(), At: k.Store.Now(), Actor: k.Name, Action: "model.staged", Target: m.ID, Digest: m.Digest, Tenant: m.Tenant,
	})
	if errors.Is(err, results.ErrConflict) { // another change is staged just now: after it
		if p.Why != nil && p.Why.Rule == ruleWaits {
			return nil
		}
		p.Why = results.Because(ruleWaits, "another change of the models is being staged; this one comes after it", "另一项模型更改正在准备中；其后将继续")
		return k.Store.ChangePromotion(ctx, p, results.PromotionEmbedding)
	}
	if err != nil {
		return err
	}
	if k.Bell != nil {
		k.Bell.Ring(ctx, results.BellModels)
	}
	return nil
}

// staged looks what became of a promotion's epoch.
func (k *Keeper) staged(ctx context.Context, p results.Promotion) error {
	e, err := k.Store.Epoch(ctx, p.Epoch)
	if err != nil {
		return err
	}
	switch e.State {
	case results.EpochActive, results.EpochPast:
		p.State = results.PromotionDone
		k.Log.Info("a model was promoted", "promotion", p.ID, "model", p.Model, "epoch", p.Epoch)
		err := k.Store.ChangePromotion(ctx, p, results.PromotionStaging)
		if err == nil && k.Bell != nil {
			k.Bell.Ring(ctx, results.BellModels)
		}
		return err
	case results.EpochFailed:
		switch {
		case e.Why != nil && e.Why.Rule == results.RuleOvertaken: // by a rollback of something else: once more
			p.State, p.Epoch, p.Why = results.PromotionEmbedding, 0, nil
			return k.Store.ChangePromotion(ctx, p, results.PromotionStaging)
		case e.Why != nil && e.Why.Rule == results.RuleCancelled: // by somebody who is just about to say so here
			p.State, p.Why = results.PromotionCancelled, e.Why
			return k.Store.ChangePromotion(ctx, p, results.PromotionStaging)
		}
		return k.fail(ctx, p, e.Why)
	case results.EpochStaging:
	}
	return nil
}
