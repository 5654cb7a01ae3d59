package workers

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/oklog/ulid/v2"
	"go.opentelemetry.io/otel/codes"

	"onsite/results"
	"onsite/workers/queue"
)

// attempt is one handler of a task. Fields are guarded by the shift's mutex, but those set before it is entered.
type attempt struct {
	job    string
	number int
	cancel context.CancelCauseFunc // of the core's context, once claimed

	token     int64 // 0: not claimed
	recording bool  // the core is done; what came of it is being written
	stuck     bool  // past its deadline and still in the core
}

// handle is the life of one task. Whatever it does, it is over for Redis when it returns; the store has what came of it.
func (s *shift) handle(ctx context.Context, t queue.Task) {
	a := &attempt{job: t.Job, number: t.Attempt}
	s.enter(a)
	s.work(ctx, a, t)
}

// work waits for a slot and runs an attempt that was entered.
func (s *shift) work(ctx context.Context, a *attempt, t queue.Task) {
	defer s.leave(a)
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.stop:
		s.giveBack(t)
		return
	case <-ctx.Done(): // asynq gave the task up; the reconciler will see that
		return
	}
	began := time.Now()
	lease, ok := s.claim(ctx, t)
	if !ok {
		return
	}
	s.Metrics.Stage("claim", time.Since(began))
	s.Metrics.runs(1)
	defer s.Metrics.runs(-1)
	s.attempt(a, t, lease, began)
}

// giveBack puts a job back that was taken from Redis while the worker stops: without it the reconciler would need seconds to see it.
func (s *shift) giveBack(t queue.Task) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.base), patience)
	defer cancel()
	if n, err := s.Store.Unqueue(ctx, []results.Job{{ID: t.Job, Attempt: t.Attempt}}); err == nil && n > 0 {
		s.Bell.Ring(ctx, results.BellWork)
	}
}

// claim takes the job by compare-and-set. While the store is away it waits: the task is no worse here than in Redis.
func (s *shift) claim(ctx context.Context, t queue.Task) (results.Lease, bool) {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		select {
		case <-s.stop:
			s.giveBack(t)
			return results.Lease{}, false
		default:
		}
		limited, cancel := context.WithTimeout(s.base, s.Lease/2)
		lease, err := s.Store.Claim(limited, t.Job, t.Attempt, s.owner, s.Lease, s.AttemptTimeout+s.Grace)
		cancel()
		switch {
		case err == nil:
			return lease, true
		case errors.Is(err, results.ErrStale), errors.Is(err, results.ErrNotFound):
			// An old attempt's task, a task that came twice, or one out of an old dump.
			s.Metrics.ended(string(Drop))
			return results.Lease{}, false
		}
		s.mu.Lock()
		s.suspect = true
		s.mu.Unlock()
		if !away(err) {
			s.Logger.Error("a job could not be claimed", "job", t.Job, "attempt", t.Attempt, "error", err)
			return results.Lease{}, false
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-s.stop:
		case <-ctx.Done():
			timer.Stop()
			return results.Lease{}, false
		}
		timer.Stop()
	}
}

// attempt runs the core and records what came of it.
func (s *shift) attempt(a *attempt, t queue.Task, l results.Lease, began time.Time) {
	until := time.Now().Add(s.AttemptTimeout + s.Grace) // as the store has it
	ctx, span := resume(s.base, t, l, began)
	defer span.End()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	a.cancel, a.token = cancel, l.Token
	s.mu.Unlock()

	s.ill.wait(ctx, s.stop)
	claimed := time.Now()
	f, err := s.core(ctx, a, l)
	s.Metrics.Stage("run", time.Since(claimed))
	s.mu.Lock()
	a.recording = true
	s.mu.Unlock()

	// The context of the core is over or about to be; what it brought is written all the same.
	ctx, end := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer end()
	defer context.AfterFunc(s.last, end)()
	ctx, written := start(ctx, "finish")
	defer written.End()
	done := time.Now()
	action := Done
	f.Job, f.Token = l.Job.ID, l.Token
	if err == nil {
		s.ill.passed()
		err = s.finish(ctx, f)
	}
	switch {
	case err != nil:
		action = s.fail(ctx, l, f, err)
		span.SetStatus(codes.Error, string(action))
	case f.State == results.Refused:
		action = Refuse
	case f.State == results.Dead:
		action = GiveUp
	}
	s.Metrics.Stage("finish", time.Since(done))
	s.Metrics.ended(string(action))
	s.Logger.Info("attempt ended", "job", l.Job.ID, "attempt", l.Job.Attempt, "result", string(action), "ms", time.Since(began).Milliseconds())
}

// core calls the core under the attempt's deadline. A call that does not end is noticed, but cannot be ended.
func (s *shift) core(ctx context.Context, a *attempt, l results.Lease) (f results.Finish, err error) {
	ctx, span := start(ctx, "run")
	defer span.End()
	ctx, stop := context.WithTimeoutCause(ctx, s.AttemptTimeout, errTimeout)
	defer stop()
	watch := time.AfterFunc(s.AttemptTimeout+s.Grace, func() { s.stuck(a) })
	defer watch.Stop()
	defer func() {
		if p := recover(); p != nil {
			// The stack says where; the value may hold anything, so only its type is named.
			stack := debug.Stack()
			for { // of a part of the core that ran beside others
				c, ok := p.(interface{ Origin() (any, []byte) })
				if !ok {
					break
				}
				p, stack = c.Origin()
			}
			s.Logger.Error("the verification core crashed", "job", a.job, "attempt", a.number, "panic", fmt.Sprintf("%T", p), "stack", string(stack))
			f, err = results.Finish{}, &crash{value: p}
		}
	}()
	f, err = s.Core.Run(ctx, l)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		// Whatever the core says then follows from its context's end. What it finished before counts.
		return f, cause
	}
	return f, err
}

// stuck notes an attempt that outlived its deadline. Its lease is over by now: the job runs again elsewhere.
func (s *shift) stuck(a *attempt) {
	s.mu.Lock()
	late := !a.recording
	a.stuck = late
	s.mu.Unlock()
	if !late {
		return
	}
	s.Logger.Error("an attempt hangs past its deadline; the worker drains and exits", "job", a.job, "attempt", a.number)
	select {
	case s.hung <- struct{}{}:
	default:
	}
}

// finish writes the end of a job, for as long as the store may be away and the attempt's deadline is not over.
func (s *shift) finish(ctx context.Context, f results.Finish) error {
	if f.State != results.Refused && f.State != results.Dead && (f.State != results.Done || f.Verdict == nil) {
		return fmt.Errorf("finish job %s: the core gave state %q without what belongs to it", f.Job, f.State)
	}
	repeated := false
	err := s.insist(ctx, func(ctx context.Context) error {
		err := s.commit.do(ctx, f)
		if repeated && errors.Is(err, results.ErrStale) {
			return nil // most likely our own first try, whose answer was lost; if not, a ring does no harm
		}
		repeated = true
		return err
	})
	if err != nil {
		return err
	}
	s.Metrics.finished(f)
	if f.State == results.Done {
		s.Bell.Ring(ctx, results.BellVerdict)
	}
	if f.Event != "" {
		s.Bell.Ring(ctx, results.BellOutbox)
	}
	s.Bell.Ring(ctx, results.BellJob(f.Job))
	return nil
}

// fail records an attempt that ended with an error, as Judge has it.
func (s *shift) fail(ctx context.Context, l results.Lease, f results.Finish, cause error) Action {
	v := Judge(cause)
	action, delay := settle(v, l.Job, s.Backoff)
	if v.Shared {
		s.ill.failed()
	}
	if v.Alarm {
		s.Metrics.alarm(v.Rule)
	}
	if action == Drop {
		s.Logger.Info("an attempt ended that lost its lease", "job", l.Job.ID, "attempt", l.Job.Attempt)
		return action
	}
	attrs := []any{"job", l.Job.ID, "attempt", l.Job.Attempt, "rule", v.Rule, "action", string(action), "after", delay.String()}
	if !v.Private {
		attrs = append(attrs, "error", cause)
	}
	s.Logger.Warn("an attempt failed", attrs...)
	var err error
	switch action {
	case Refuse:
		err = s.finish(ctx, s.ending(ctx, l, f, results.Refused, v))
	case GiveUp:
		err = s.finish(ctx, s.ending(ctx, l, f, results.Dead, v))
	default:
		err = s.insist(ctx, func(ctx context.Context) error {
			return s.Store.Release(ctx, results.Release{
				Job: l.Job.ID, Token: l.Token, RunAt: s.Store.Now().Add(delay), Error: results.JobError{Rule: v.Rule, Text: v.Text},
				Count: action == Retry && v.Count, Hold: action == Hold, Media: f.Media, Keep: own(f),
			})
		})
		if err == nil && delay == 0 {
			s.Bell.Ring(ctx, results.BellWork)
		}
	}
	switch {
	case errors.Is(err, results.ErrStale):
		return Drop
	case err != nil: // its lease ends by itself, and the job runs again
		s.Logger.Error("what came of an attempt could not be written", "job", l.Job.ID, "attempt", l.Job.Attempt, "error", err)
	}
	return action
}

// ending makes the Finish of a job that has no verdict: its own copy of the media, if it made one, and its event.
func (s *shift) ending(ctx context.Context, l results.Lease, f results.Finish, state results.JobState, v Judgement) results.Finish {
	now := s.Store.Now()
	event := results.EventJobRefused
	if state == results.Dead {
		event = results.EventJobDead
	}
	out := results.Finish{
		Job: l.Job.ID, Token: l.Token, State: state, Error: &results.JobError{Rule: v.Rule, Text: v.Text},
		Media: f.Media, Keep: own(f), Deadline: f.Deadline,
		Audit: results.AuditEntry{ID: ulid.Make().String(), Tenant: l.Sub.Tenant, At: now, Actor: s.owner, Action: event, Subject: l.Sub.Subject, Target: l.Job.ID},
		Event: event, Message: ulid.Make().String(),
	}
	out.Payload = results.Event{Type: event, Timestamp: now, Data: results.EventData{
		Tenant: l.Sub.Tenant, Job: l.Job.ID, Subject: l.Sub.Subject, Site: l.Sub.Site, State: state, Rule: v.Rule,
	}}.Payload()
	if len(out.Deadline) == 0 && (l.Sub.Media.Key != "" || f.Media != nil) {
		days := results.Settings{}.Filled().MediaDays
		if t, err := s.Store.Tenant(ctx, l.Sub.Tenant); err == nil {
			days = t.Settings.Filled().MediaDays
		}
		out.Deadline = []results.Deadline{{Tenant: l.Sub.Tenant, Subject: l.Sub.Subject, Kind: results.DeadlineMedia, Job: l.Job.ID, Due: now.AddDate(0, 0, days)}}
	}
	return out
}

// own is the key of the media's copy. What else an attempt wrote that could not be ended is named by no row, and is left to the sweeper.
func own(f results.Finish) []string {
	if f.Media == nil {
		return nil
	}
	return []string{f.Media.Key}
}

// insist repeats a write while the store is away, until ctx ends.
func (s *shift) insist(ctx context.Context, write func(context.Context) error) error {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		err := write(ctx)
		if err == nil || !away(err) || !pause(ctx, delay) {
			return err
		}
	}
}

// away says that the store could not be asked, or did not answer in time.
func away(err error) bool {
	return errors.Is(err, results.ErrAway) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// pause waits, and says false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
