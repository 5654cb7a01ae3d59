package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"onsite/results"
)

// Job is the state of a job.
type Job struct {
	Job        string            `json:"job"`
	Subject    string            `json:"subject"`
	Site       string            `json:"site,omitempty"`
	Priority   string            `json:"priority" enum:"clock_in,reverify,bulk"`
	State      results.JobState  `json:"state" enum:"accepted,queued,running,done,refused,dead"`
	Final      bool              `json:"final" doc:"will not change by itself"`
	Held       bool              `json:"held" doc:"waits for a person or an installation; see error"`
	Attempt    int               `json:"attempt"`
	Failures   int               `json:"failures" doc:"attempts that ended with an error"`
	Crashes    int               `json:"crashes" doc:"attempts whose worker went away"`
	Error      *results.JobError `json:"error,omitempty" doc:"the last thing that went wrong"`
	Revision   int               `json:"revision" doc:"of the newest verdict; 0: none yet"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	NotBefore  *time.Time        `json:"not_before,omitempty" doc:"when the next attempt may begin"`
	FinishedAt *time.Time        `json:"finished_at,omitempty"`
	Links      JobLinks          `json:"links"`
}

var priorityNames = map[results.Priority]string{results.PriorityClockIn: "clock_in", results.PriorityReverify: "reverify", results.PriorityBulk: "bulk"}

func showJob(j results.Job) Job {
	out := Job{Job: j.ID, Subject: j.Subject, Site: j.Site, Priority: priorityNames[j.Priority], State: j.State, Final: j.Final(), Held: j.Held,
		Attempt: j.Attempt, Failures: j.Failures, Crashes: j.Crashes, Error: j.Error, Revision: j.Revision, CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(),
		Links: linksOf(j.ID)}
	if j.State == results.Accepted && j.RunAt.After(j.CreatedAt) {
		out.NotBefore = timeOrNil(j.RunAt)
	}
	out.FinishedAt = timeOrNil(j.FinishedAt)
	return out
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

const (
	opJobs    = "list-jobs"
	opJob     = "get-job"
	opJobSSE  = "watch-job"
	opRequeue = "requeue-job"
	opDead    = "list-dead-letters"
)

// JobPath is part of the input of operations on one job.
type JobPath struct {
	Job string `path:"job" minLength:"26" maxLength:"26" doc:"id of the job"`
}

func (s *Server) jobRoutes() {
	tags := []string{"jobs"}
	reads := []int{400, 401, 403, 404, 422, 503}
	waits := []int{400, 401, 403, 404, 422, 429, 503}
	register(s, huma.Operation{OperationID: opJobs, Method: http.MethodGet, Path: "/v1/jobs", Tags: tags, Summary: "List jobs, newest first", Errors: reads}, s.listJobs)
	register(s, huma.Operation{OperationID: opJob, Method: http.MethodGet, Path: "/v1/jobs/{job}", Tags: tags, Summary: "State of a job",
		Description: "With wait the answer comes when the job is final or the time is over, whichever is first.", Errors: waits}, s.getJob)
	register(s, huma.Operation{OperationID: opJobSSE, Method: http.MethodGet, Path: "/v1/jobs/{job}/events", Tags: tags, Summary: "State of a job as server-sent events",
		Description: "An event \"state\" with the job for every change that is seen, until it is final. A client that comes back with Last-Event-ID is not told what it knows; 204 says that nothing more will come.",
		Errors:      waits, Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}}}, s.watchJob)
	register(s, huma.Operation{OperationID: opRequeue, Method: http.MethodPost, Path: "/v1/jobs/{job}/requeue", Tags: tags, Summary: "Let a dead or held job run again",
		Errors: []int{401, 403, 404, 409, 422, 503}}, s.requeueJob)
	register(s, huma.Operation{OperationID: opDead, Method: http.MethodGet, Path: "/v1/dead-letters", Tags: tags, Summary: "Dead and held jobs with their reason, newest first", Errors: reads}, s.deadLetters)
}

// JobQuery is what a list of jobs may be narrowed by; its JSON is part of the cursor.
type JobQuery struct {
	Subject string    `query:"subject" maxLength:"64"`
	Site    string    `query:"site" maxLength:"64"`
	State   []string  `query:"state" enum:"accepted,queued,running,done,refused,dead" doc:"one or more, with commas"`
	From    time.Time `query:"from" doc:"accepted at or after"`
	To      time.Time `query:"to" doc:"accepted before"`
}

func (s *Server) listJobs(ctx context.Context, in *struct {
	PageInput
	JobQuery
}) (*struct{ Body List[Job] }, error) {
	p, err := s.page(ctx, opJobs, in.JobQuery, in.PageInput)
	if err != nil {
		return nil, err
	}
	f := results.JobFilter{Subject: in.Subject, Site: in.Site, From: in.From, To: in.To}
	for _, st := range in.State {
		f.States = append(f.States, results.JobState(st))
	}
	rows, err := s.Store.Jobs(ctx, PrincipalOf(ctx).Tenant, f, p)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return &struct{ Body List[Job] }{list(s, ctx, opJobs, in.JobQuery, p, rows, jobPlace, showJob)}, nil
}

func jobPlace(j results.Job) string { return j.ID }

func (s *Server) getJob(ctx context.Context, in *struct {
	request
	JobPath
	Wait string `query:"wait" maxLength:"16" doc:"30s: wait until the job is final, at most so long (the server's limit is 60 s)" example:"30s"`
}) (*struct{ Body Job }, error) {
	noteJob(ctx, in.Job)
	wait, err := s.waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	var j results.Job
	err = s.await(ctx, in.request, results.BellJob(in.Job), wait, func() (bool, error) {
		var err error
		j, err = s.job(ctx, in.Job)
		return j.Final(), err
	})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Job }{showJob(j)}, nil
}

func (s *Server) job(ctx context.Context, id string) (results.Job, error) {
	j, err := s.Store.Job(ctx, PrincipalOf(ctx).Tenant, id)
	if err != nil {
		return j, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// heartbeat keeps proxies from closing a silent stream.
const heartbeat = 15 * time.Second

func (s *Server) watchJob(ctx context.Context, in *struct {
	JobPath
	LastEventID string `header:"Last-Event-ID" maxLength:"64"`
}) (*huma.StreamResponse, error) {
	noteJob(ctx, in.Job)
	first, err := s.job(ctx, in.Job)
	if err != nil {
		return nil, err
	}
	if first.Final() && eventID(first) == in.LastEventID {
		return &huma.StreamResponse{Body: func(hctx huma.Context) { hctx.SetStatus(http.StatusNoContent) }}, nil
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer leave()
		s.stream(ctx, hctx, first, in.LastEventID)
	}}, nil
}

// eventID names what a client was told, so that it is not told again.
func eventID(j results.Job) string {
	return fmt.Sprintf("%s.%d.%d.%t", j.State, j.Attempt, j.Failures+j.Crashes, j.Held)
}

// stream writes events until the job is final, the client goes, or the server shuts down.
func (s *Server) stream(ctx context.Context, hctx huma.Context, j results.Job, told string) {
	_, w := humago.Unwrap(hctx)
	flush := http.NewResponseController(w)
	hctx.SetHeader("Content-Type", "text/event-stream")
	hctx.SetHeader("X-Accel-Buffering", "no") // nginx would hold events back
	hctx.SetStatus(http.StatusOK)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rings := s.Bell.Listen(ctx, results.BellJob(j.ID))
	poll, beat := time.NewTicker(bellPoll), time.NewTicker(heartbeat)
	defer poll.Stop()
	defer beat.Stop()
	write := func(text string) bool {
		extend(hctx, s.Limits.WriteTimeout)
		if _, err := io.WriteString(w, text); err != nil {
			return false
		}
		return flush.Flush() == nil || errors.Is(flush.Flush(), http.ErrNotSupported)
	}
	if !write("retry: 2000\n\n") {
		return
	}
	for {
		if id := eventID(j); id != told {
			body, err := json.Marshal(showJob(j))
			if err != nil || !write("id: "+id+"\nevent: state\ndata: "+string(body)+"\n\n") {
				return
			}
			told = id
		}
		if j.Final() {
			return
		}
		select {
		case <-rings:
		case <-poll.C:
		case <-beat.C:
			if !write(": still here\n\n") {
				return
			}
		case <-ctx.Done():
			return
		case <-s.drained:
			return
		}
		if ctx.Err() != nil {
			return
		}
		next, err := s.job(ctx, j.ID)
		switch {
		case errors.Is(err, results.ErrNotFound):
			return
		case err == nil: // a store that is away comes back; the client hears heartbeats meanwhile
			j = next
		}
	}
}

func (s *Server) requeueJob(ctx context.Context, in *struct{ JobPath }) (*struct{ Body Job }, error) {
	noteJob(ctx, in.Job)
	before, err := s.job(ctx, in.Job)
	if err != nil {
		return nil, err
	}
	j, err := s.Store.Requeue(ctx, before.Tenant, in.Job, s.auditOf(ctx, "job.requeued", before.Subject, in.Job))
	switch {
	case errors.Is(err, results.ErrStale), errors.Is(err, results.ErrConflict):
		return nil, problem(codeState).with("Only a dead or held job can be requeued; this one is %s.", "只有已放弃或被挂起的任务可以重新排队；该任务状态为 %s。", string(before.State)).because(err)
	case err != nil:
		return nil, fmt.Errorf("requeue job %s: %w", in.Job, err)
	}
	s.Bell.Ring(ctx, results.BellWork)
	return &struct{ Body Job }{showJob(j)}, nil
}

// deadLetters merges two lists of the store: jobs that were given up, and jobs that wait for a person.
func (s *Server) deadLetters(ctx context.Context, in *struct{ PageInput }) (*struct{ Body List[Job] }, error) {
	p, err := s.page(ctx, opDead, nil, in.PageInput)
	if err != nil {
		return nil, err
	}
	held := true
	var rows []results.Job
	for _, f := range []results.JobFilter{{States: []results.JobState{results.Dead}}, {Held: &held}} {
		part, err := s.Store.Jobs(ctx, PrincipalOf(ctx).Tenant, f, p)
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		rows = append(rows, part...)
	}
	slices.SortFunc(rows, func(a, b results.Job) int { return strings.Compare(b.ID, a.ID) })
	rows = slices.CompactFunc(rows, func(a, b results.Job) bool { return a.ID == b.ID })
	rows = rows[:min(len(rows), p.Limit)]
	return &struct{ Body List[Job] }{list(s, ctx, opDead, nil, p, rows, jobPlace, showJob)}, nil
}
