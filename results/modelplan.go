package results

import (
	"maps"
	"slices"
)

// Shadowed gives the epoch after e in which a model, with others or by itself, is a shadow; share of the jobs 0..1, budget in processor cores of
// each process.
func (e Epoch) Shadowed(m RegisteredModel, share, budget float64, with ...RegisteredModel) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.shadowed"}
	next.begin(ModelShadow, append([]RegisteredModel{m}, with...))
	t := trialOf(m, with)
	t.Share, t.Budget = share, budget
	next.Doc.Shadows = append(next.Doc.Shadows, t)
	return next
}

// OnTrial gives the epoch after e in which a model, with others or by itself, is a canary: it makes the verdicts of a share of the jobs, and of
// all jobs of these tenants. Another canary of the same task and scope ends.
func (e Epoch) OnTrial(m RegisteredModel, share float64, tenants []string, with ...RegisteredModel) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.canary"}
	all := append([]RegisteredModel{m}, with...)
	next.begin(ModelCanary, all)
	next.endCanaries(all...)
	t := trialOf(m, with)
	t.Share, t.Tenants = share, tenants
	next.Doc.Canaries = append(next.Doc.Canaries, t)
	return next
}

func trialOf(m RegisteredModel, with []RegisteredModel) EpochTrial {
	t := EpochTrial{Model: m.ID, Task: m.Task, Scope: m.Tenant}
	for _, w := range with {
		if t.With == nil {
			t.With = map[string]string{}
		}
		t.With[w.Task] = w.ID
	}
	return t
}

// begin notes the state that models change to together. What they were in ends.
func (e *Epoch) begin(state ModelState, all []RegisteredModel) {
	for _, m := range all {
		e.Changes = append(e.Changes, ModelChange{m.ID, state, m.State})
	}
	for _, m := range all {
		e.endTrials(m.ID)
	}
}

// endCanaries ends those that run for the same tasks and scope.
func (e *Epoch) endCanaries(all ...RegisteredModel) {
	e.Doc.Canaries = e.end(e.Doc.Canaries, ModelCanary, func(t EpochTrial) bool {
		return slices.ContainsFunc(all, func(m RegisteredModel) bool { return t.Scope == m.Tenant && t.All()[m.Task] != "" })
	})
}

// endTrials ends what a model is tried in.
func (e *Epoch) endTrials(model string) {
	of := func(t EpochTrial) bool { return t.Has(model) }
	e.Doc.Canaries, e.Doc.Shadows = e.end(e.Doc.Canaries, ModelCanary, of), e.end(e.Doc.Shadows, ModelShadow, of)
	e.Doc.cool(model)
}

// end leaves out trials. Models of them that this epoch says nothing else of are checked again.
func (e *Epoch) end(trials []EpochTrial, from ModelState, of func(EpochTrial) bool) []EpochTrial {
	return slices.DeleteFunc(trials, func(t EpochTrial) bool {
		if !of(t) {
			return false
		}
		for _, id := range slices.Sorted(maps.Values(t.All())) {
			if !slices.ContainsFunc(e.Changes, func(c ModelChange) bool { return c.Model == id }) {
				e.Changes = append(e.Changes, ModelChange{id, ModelChecked, from})
			}
		}
		return true
	})
}

// Promoted gives the epoch after e in which a model is the active one of its scope and task, and others of the scope with it. The one before
// stays warm for a rollback; what stayed warm before that does not any more (siblings are the models of the scope).
func (e Epoch) Promoted(m RegisteredModel, siblings []RegisteredModel, with ...RegisteredModel) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.promoted"}
	all := append([]RegisteredModel{m}, with...)
	next.begin(ModelActive, all)
	next.endCanaries(all...)
	for _, one := range all {
		before := next.Doc.Active(one.Tenant, one.Task)
		for _, s := range siblings {
			if s.Task == one.Task && s.Tenant == one.Tenant {
				next.Doc.cool(s.ID)
			}
		}
		next.Doc.Set(one.Tenant, one.Task, one.ID)
		if before != one.ID {
			next.Doc.Follow(one.ID, before)
			next.Doc.part(one.ID)
		}
		if before != "" && before != one.ID {
			next.Doc.KeepWarm(before)
			next.Changes = append(next.Changes, ModelChange{before, ModelStandby, ModelActive})
		}
	}
	for _, one := range all {
		for _, other := range all {
			if len(all) > 1 && other.ID != one.ID {
				if next.Doc.Together == nil {
					next.Doc.Together = map[string][]string{}
				}
				next.Doc.Together[one.ID] = append(slices.Clone(next.Doc.Together[one.ID]), other.ID)
			}
		}
	}
	return next
}

// Return is a model that gives way to what was active before it; Before "" is the model that the program brings along.
type Return struct {
	Model  RegisteredModel
	Before string
}

// RolledBack gives the epoch after e in which a model that is active gives way to what was active before it, with those that were promoted
// together with it, and one that is on trial is not any more, nor what is tried with it. A model that was active stays warm, as it was before.
func (e Epoch) RolledBack(back Return, with ...Return) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.rolled_back"}
	if m := back.Model; next.Doc.Active(m.Tenant, m.Task) != m.ID {
		next.Action = "model.trial_ended"
		next.Changes = []ModelChange{{m.ID, ModelChecked, m.State}}
		next.endTrials(m.ID)
		return next
	}
	for _, r := range append([]Return{back}, with...) {
		m := r.Model
		next.Changes = append(next.Changes, ModelChange{m.ID, ModelStandby, ModelActive})
		if r.Before != "" {
			next.Doc.cool(r.Before)
			next.Changes = append(next.Changes, ModelChange{r.Before, ModelActive, ModelStandby})
		}
		next.Doc.Set(m.Tenant, m.Task, r.Before)
		next.Doc.KeepWarm(m.ID)
		delete(next.Doc.Before, m.ID)
	}
	for _, r := range append([]Return{back}, with...) {
		next.endCanaries(r.Model)
		next.Doc.part(r.Model.ID)
	}
	return next
}

// Without gives the epoch after e that a model is not part of any more, as one that is retired.
func (e Epoch) Without(m RegisteredModel) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.retired", Changes: []ModelChange{{m.ID, ModelRetired, m.State}}}
	next.endTrials(m.ID)
	delete(next.Doc.Before, m.ID)
	next.Doc.part(m.ID)
	return next
}
