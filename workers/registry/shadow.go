package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/workers/core"
)

// Shadow runs candidates on jobs that are done, beside what decided them: from the stored media and the pinned inputs, on one thread, one job
// at a time. No verdict, no job and no queue waits for it. It spends at most its budget: after each run it rests so long that its share of
// a processor is kept, and what comes meanwhile beyond a small backlog is left out of the sample.
type Shadow struct {
	Host  *Host
	Store Store
	Log   *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics

	jobs chan finished

	budget
}

// finished is a job of this process whose attempt has ended well.
type finished struct {
	tenant, job string
	tries       int
}

const (
	shadowBacklog = 64
	shadowTries   = 20 // a verdict is committed soon after its attempt
	shadowPause   = 250 * time.Millisecond
)

// NewShadow makes one.
func NewShadow(h *Host, s Store, log *slog.Logger) *Shadow {
	return &Shadow{Host: h, Store: s, Log: log, jobs: make(chan finished, shadowBacklog)}
}

// Offer tells of a job that has ended. It never waits.
func (s *Shadow) Offer(tenant, job string) {
	select {
	case s.jobs <- finished{tenant: tenant, job: job}:
	default: // the budget does not reach for all
		s.Metrics.shadow("left_out", 0)
	}
}

// Run tries candidates until ctx ends.
func (s *Shadow) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-s.jobs:
			s.job(ctx, j)
			pause(ctx, s.rests())
		}
	}
}

// job runs every candidate that a job is drawn for.
func (s *Shadow) job(ctx context.Context, j finished) {
	number, err := s.Store.ActiveEpoch(ctx)
	if err != nil {
		return
	}
	e, err := s.Host.epoch(ctx, number)
	if err != nil {
		return
	}
	for _, trial := range e.Doc.ShadowsOf(j.tenant, j.job) {
		cpu, err := s.try(ctx, e.Number, trial, j, false)
		s.spend(cpu, trial.Budget)
		switch {
		case errors.Is(err, results.ErrNotFound) && j.tries < shadowTries:
			// Not committed yet.
			j.tries++
			time.AfterFunc(shadowPause, func() {
				select {
				case s.jobs <- j:
				default:
				}
			})
			return
		case err != nil:
			if ctx.Err() == nil {
				s.Log.Warn("a candidate could not be tried on a job", "job", j.job, "model", trial.Model, "error", err.Error())
			}
		}
	}
}

// try makes a job's verdict again with a candidate and keeps what differs. It gives the processor time that it took; of a try that failed the
// time on the clock, which one thread cannot exceed.
func (s *Shadow) try(ctx context.Context, epoch int64, trial results.EpochTrial, j finished, stored bool) (time.Duration, error) {
	result, cpu, err := s.tryOnce(ctx, epoch, trial, j, stored)
	if err != nil {
		result = "failed"
	}
	if ctx.Err() == nil && !errors.Is(err, results.ErrNotFound) { // else it is not committed yet
		s.Metrics.shadow(result, cpu)
	}
	return cpu, err
}

func (s *Shadow) tryOnce(ctx context.Context, epoch int64, trial results.EpochTrial, j finished, stored bool) (result string, cpu time.Duration, err error) {
	tried, err := candidates(ctx, s.Store, trial.Model, slices.Sorted(maps.Values(trial.With))...)
	if err != nil {
		return "", 0, err
	}
	m := tried[0]
	before, err := s.Store.Verdict(ctx, j.tenant, j.job, 1)
	if err != nil {
		return "", 0, err
	}
	taken, err := s.Host.TakeWith(ctx, j.tenant, j.job, tried...)
	if err != nil {
		return "", 0, err
	}
	defer taken.Done()
	began := time.Now()
	r, err := taken.Core.Try(ctx, j.tenant, j.job)
	var cannot *core.CannotReverify
	if errors.As(err, &cannot) { // a job that says nothing of the candidate: its consent was withdrawn, its media is gone
		return "impossible", time.Since(began), nil
	}
	if err != nil {
		return "", time.Since(began), err
	}
	var was pipeline.Verdict
	if err := json.Unmarshal(before.Body, &was); err != nil {
		return "", 0, err
	}
	made, err := s.against(ctx, was)
	if err != nil {
		return "", 0, err
	}
	with := map[string]string{}
	for _, one := range tried[1:] {
		with[one.ID] = made[one.Task]
	}
	detail, err := json.Marshal(ShadowDetail{Against: made[m.Task], With: with, Agreement: r.Agreement, Checks: r.Checks, Group: group(before)})
	if err != nil {
		return "", 0, err
	}
	result = "same"
	if r.Before != r.Now {
		result = "changed"
	}
	return result, r.CPU, s.Store.PutShadowRun(ctx, results.ShadowRun{
		Model: m.ID, Job: j.job, Tenant: j.tenant, Subject: before.Subject, Epoch: epoch, Stored: stored, Same: r.Before == r.Now,
		Before: string(r.Before), After: string(r.Now), CPUMS: float64(r.CPU.Microseconds()) / 1000, BeforeMS: was.TimingsMS["total"], Detail: detail,
	})
}

// against gives the models of the registry that a verdict was made with, by task; of those of the program it says nothing.
func (s *Shadow) against(ctx context.Context, v pipeline.Verdict) (map[string]string, error) {
	assigned := map[string]string{}
	if v.Runtime.ModelSet == nil {
		return assigned, nil
	}
	e, err := s.Host.epoch(ctx, v.Runtime.ModelSet.Epoch)
	if err == nil {
		assigned, _ = e.Doc.Assign(v.Tenant, v.Job)
	}
	return assigned, err
}

// ShadowDetail is what is kept of a shadow run beside the decisions.
type ShadowDetail struct {
	Agreement verify.Agreement   `json:"agreement"`
	Checks    []verify.CheckDiff `json:"checks"`
	Group     map[string]string  `json:"group,omitempty"`
	Against   string             `json:"against,omitempty"` // id of the model that made the verdict; "": that of the program
	// With are the models that ran together with it, by id, each with the id of the one that made the verdict in its place; "": that of the
	// program. A run says nothing of another set.
	With map[string]string `json:"with,omitempty"`
}

// ranWith says which models, sorted by id, ran together with the candidate.
func ranWith(r results.ShadowRun) ([]string, error) {
	var d ShadowDetail
	if err := json.Unmarshal(r.Detail, &d); err != nil {
		return nil, fmt.Errorf("read what model %s said of job %s: %w", r.Model, r.Job, err)
	}
	return slices.Sorted(maps.Keys(d.With)), nil
}

// group says which groups a job is compared in.
func group(v results.Verdict) map[string]string {
	if v.Site == "" {
		return nil
	}
	return map[string]string{"site": v.Site}
}
