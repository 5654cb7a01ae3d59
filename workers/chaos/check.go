package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onsite/results"
	"onsite/results/object"
)

// count looks at every job in the store and every object, and fills the report. Lost is what was accepted and is not over.
func (s *stand) count(ctx context.Context, list []*upload, r *Report) error {
	accepted := map[string]*upload{}
	for _, u := range list {
		if u.job == "" {
			r.NeverAccepted++
			continue
		}
		if other := accepted[u.job]; other != nil {
			r.problem("job %s was given to two uploads", u.job)
		}
		accepted[u.job] = u
	}
	r.Accepted, r.Duplicates = len(accepted), s.doubled
	jobs := 0
	for page := (results.Page{Limit: 500}); ; {
		some, err := s.store.Jobs(ctx, tenant, results.JobFilter{}, page)
		if err != nil {
			return err
		}
		for _, j := range some {
			jobs++
			if err := s.countJob(ctx, j, accepted[j.ID], r); err != nil {
				return err
			}
			delete(accepted, j.ID)
		}
		if len(some) < page.Limit {
			break
		}
		page.After = some[len(some)-1].ID
	}
	for id := range accepted {
		r.Lost++
		r.problem("job %s was accepted and is not in the store", id)
	}
	if jobs > len(list) {
		r.Duplicates += jobs - len(list)
		r.problem("%d jobs for %d idempotency keys", jobs, len(list))
	}
	return s.countObjects(ctx, r)
}

func (s *stand) countJob(ctx context.Context, j results.Job, u *upload, r *Report) error {
	verdicts, err := s.store.VerdictRevisions(ctx, tenant, j.ID)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return err
	}
	first := 0
	for _, v := range verdicts {
		if v.Revision == 1 {
			first++
		}
	}
	switch {
	case !j.Final():
		r.Lost++
		r.problem("job %s is still %s (attempt %d, error %+v)", j.ID, j.State, j.Attempt, j.Error)
	case j.State == results.Done && first == 1:
		r.Verdicts++
	case j.State == results.Refused && first == 0:
		r.Refused++
	case j.State == results.Dead && first == 0:
		r.Dead++
		if j.Error != nil {
			r.DeadRules[j.Error.Rule]++
		}
	default:
		r.Duplicates++
		r.problem("job %s is %s with %d first verdicts", j.ID, j.State, first)
	}
	if u != nil && u.broken && j.State == results.Done {
		r.problem("job %s is no media and has a verdict", j.ID)
	}
	if u != nil && !u.broken && j.State == results.Refused {
		r.problem("job %s is good media and was refused: %+v", j.ID, j.Error)
	}
	return s.openAll(ctx, j, r)
}

// openAll opens everything that the rows of a finished job name: half-written evidence would not.
func (s *stand) openAll(ctx context.Context, j results.Job, r *Report) error {
	if j.State != results.Done {
		return nil
	}
	sub, err := s.store.Submission(ctx, j.ID)
	if err != nil {
		return err
	}
	keys := []string{sub.Media.Key}
	evidence, err := s.store.Evidence(ctx, tenant, j.ID)
	if err != nil {
		return err
	}
	for _, e := range evidence {
		keys = append(keys, e.Key)
	}
	if print, err := s.store.Print(ctx, tenant, j.ID); err == nil {
		keys = append(keys, print.Key)
	} else if !errors.Is(err, results.ErrNotFound) {
		return err
	}
	for _, key := range keys {
		if key == "" {
			continue // a core that does not look makes no copy
		}
		f, err := s.vault.Open(ctx, key)
		if err != nil {
			r.Broken++
			r.problem("job %s: object %s: %v", j.ID, key, err)
			continue
		}
		f.Close()
	}
	return nil
}

// countObjects finds objects that no row names and that nobody would sweep.
func (s *stand) countObjects(ctx context.Context, r *Report) error {
	var keys []string
	if err := s.objects.List(ctx, "", func(i object.Info) error { keys = append(keys, i.Key); return nil }); err != nil {
		return err
	}
	pending := map[string]bool{}
	orphans, err := s.store.Orphans(ctx, s.store.Now().Add(24*time.Hour), 1_000_000)
	if err != nil {
		return err
	}
	for _, k := range orphans {
		pending[k] = true
	}
	for len(keys) > 0 {
		part := keys[:min(500, len(keys))]
		keys = keys[len(part):]
		named, err := s.store.Referenced(ctx, part)
		if err != nil {
			return err
		}
		for _, k := range part {
			switch {
			case named[k]:
				r.Objects++
			case pending[k]:
				r.Sweepable++
			default:
				r.Orphans++
				r.problem("object %s belongs to nobody", k)
			}
		}
	}
	return nil
}

// problem notes one thing that must not be, the first ones in words.
func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < 20 {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}
