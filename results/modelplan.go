package results

import "slices"

// Shadowed gives the epoch after e in which a model is a shadow; share of the jobs 0..1, budget in processor cores of each process.
func (e Epoch) Shadowed(m RegisteredModel, share, budget float64) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.shadowed", Changes: []ModelChange{{m.ID, ModelShadow, m.State}}}
	next.Doc.Drop(m.ID)
	next.Doc.Shadows = append(next.Doc.Shadows, EpochTrial{Model: m.ID, Task: m.Task, Scope: m.Tenant, Share: share, Budget: budget})
	return next
}

// OnTrial gives the epoch after e in which a model is a canary: it makes the verdicts of a share of the jobs, and of all jobs of these tenants.
// Another canary of the same task and scope ends.
func (e Epoch) OnTrial(m RegisteredModel, share float64, tenants []string) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.canary", Changes: []ModelChange{{m.ID, ModelCanary, m.State}}}
	next.endTrials(m, m.ID)
	next.Doc.Canaries = append(next.Doc.Canaries, EpochTrial{Model: m.ID, Task: m.Task, Scope: m.Tenant, Share: share, Tenants: tenants})
	return next
}

// endTrials ends the canaries of a model's task and scope, its own shadow, and that it is kept warm.
func (e *Epoch) endTrials(m RegisteredModel, keep string) {
	for _, c := range e.Doc.Canaries {
		if c.Task == m.Task && c.Scope == m.Tenant && c.Model != keep {
			e.Changes = append(e.Changes, ModelChange{c.Model, ModelChecked, ModelCanary})
		}
	}
	e.Doc.Canaries = slices.DeleteFunc(e.Doc.Canaries, func(c EpochTrial) bool { return c.Task == m.Task && c.Scope == m.Tenant })
	e.Doc.Drop(m.ID)
}

// Promoted gives the epoch after e in which a model is the active one of its scope and task. The one before stays warm for a rollback; what
// stayed warm before that does not any more (siblings are the models of the scope).
func (e Epoch) Promoted(m RegisteredModel, siblings []RegisteredModel) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.promoted", Changes: []ModelChange{{m.ID, ModelActive, m.State}}}
	before := next.Doc.Active(m.Tenant, m.Task)
	next.endTrials(m, m.ID)
	for _, s := range siblings {
		if s.Task == m.Task && s.Tenant == m.Tenant {
			next.Doc.Warm = slices.DeleteFunc(next.Doc.Warm, func(id string) bool { return id == s.ID })
		}
	}
	next.Doc.Set(m.Tenant, m.Task, m.ID)
	if before != m.ID {
		next.Doc.Follow(m.ID, before)
	}
	if before != "" && before != m.ID {
		next.Doc.KeepWarm(before)
		next.Changes = append(next.Changes, ModelChange{before, ModelStandby, ModelActive})
	}
	return next
}

// RolledBack gives the epoch after e in which a model that is active gives way to what was active before it (before: "" is the model that the
// program brings along), and one that is on trial is not any more. A model that was active stays warm, as it was before.
func (e Epoch) RolledBack(m RegisteredModel, before string) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.rolled_back"}
	if next.Doc.Active(m.Tenant, m.Task) != m.ID {
		next.Action = "model.trial_ended"
		next.Doc.Drop(m.ID)
		next.Changes = []ModelChange{{m.ID, ModelChecked, m.State}}
		return next
	}
	next.endTrials(m, "")
	next.Doc.Set(m.Tenant, m.Task, before)
	next.Doc.KeepWarm(m.ID)
	delete(next.Doc.Before, m.ID)
	next.Changes = append(next.Changes, ModelChange{m.ID, ModelStandby, ModelActive})
	if before != "" {
		next.Doc.Warm = slices.DeleteFunc(next.Doc.Warm, func(id string) bool { return id == before })
		next.Changes = append(next.Changes, ModelChange{before, ModelActive, ModelStandby})
	}
	return next
}

// Without gives the epoch after e that a model is not part of any more, as one that is retired.
func (e Epoch) Without(m RegisteredModel) Epoch {
	next := Epoch{Doc: e.Doc.Clone(), Action: "model.retired", Changes: []ModelChange{{m.ID, ModelRetired, m.State}}}
	next.Doc.Drop(m.ID)
	delete(next.Doc.Before, m.ID)
	return next
}
