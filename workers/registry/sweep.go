package registry

import (
	"context"
	"slices"
	"time"

	"onsite/models"
	"onsite/results"
)

const (
	sweepEvery = 10 * time.Minute
	// sweepFor is how long after its retirement a model's vectors are looked for: jobs, trials and a promotion that ran on may still write some.
	sweepFor = 24 * time.Hour
	sweepSet = 500 // vectors deleted in one transaction
)

// sweep deletes vectors that were written under a model after it was retired, unless its file is in use under another name.
func (k *Keeper) sweep(ctx context.Context) error {
	tenants, err := k.Store.Tenants(ctx)
	if err != nil {
		return err
	}
	shared, err := k.Store.ScopeModels(ctx, "")
	if err != nil {
		return err
	}
	base := k.Host.Base.Verifier.Models.Ref(models.Task(results.ModelTask)).SHA256
	for _, t := range tenants {
		own, err := k.Store.ScopeModels(ctx, t.ID)
		if err != nil {
			return err
		}
		rows := slices.Concat(shared, own)
		for _, m := range rows {
			if m.Task != results.ModelTask || m.State != results.ModelRetired || m.SHA256 == base || k.Store.Now().Sub(m.Changed) > sweepFor ||
				slices.ContainsFunc(rows, func(o results.RegisteredModel) bool { return o.SHA256 == m.SHA256 && o.State != results.ModelRetired }) {
				continue
			}
			for n := int64(sweepSet); n == sweepSet; {
				if n, err = k.Store.DropTemplates(ctx, t.ID, m.SHA256, sweepSet); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
