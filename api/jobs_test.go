package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

func TestJobs(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", read)
	var ids []string
	for range 5 {
		ids = append(ids, s.accepted("acme"))
	}
	s.finished(ids[0], pipeline.DecisionPass)
	s.ended(ids[1], results.Refused)
	var j Job
	s.do(http.MethodGet, "/v1/jobs/"+ids[1], key, nil).into(&j)
	require.Equal(t, results.Refused, j.State)
	require.True(t, j.Final)
	require.Equal(t, "media_truncated", j.Error.Rule)
	require.Equal(t, "clock_in", j.Priority)
	require.NotNil(t, j.FinishedAt)
	s.do(http.MethodGet, "/v1/jobs/"+strings.Repeat("0", 26), key, nil).problem(404, codeNotFound)
	s.do(http.MethodGet, "/v1/jobs/short", key, nil).field(422, codeInvalid, "path.job", "too_short")

	all := func(query string) (got []string) {
		t.Helper()
		next := ""
		for {
			var l List[Job]
			a := s.do(http.MethodGet, "/v1/jobs?limit=2"+query+next, key, nil)
			require.Equal(t, 200, a.status, string(a.body))
			a.into(&l)
			for _, j := range l.Items {
				got = append(got, j.Job)
			}
			if l.Next == "" {
				return got
			}
			next = "&cursor=" + l.Next
		}
	}
	require.Equal(t, []string{ids[4], ids[3], ids[2], ids[1], ids[0]}, all(""), "newest first, in parts")
	require.Equal(t, []string{ids[1], ids[0]}, all("&state=done,refused"))
	require.Empty(t, all("&subject=e2"))
	require.Len(t, all("&subject=e1&site=store-17"), 5)
	require.Empty(t, all("&from=2099-01-01T00:00:00Z"))
	require.Empty(t, all("&to=2020-01-01T00:00:00Z"))
	s.do(http.MethodGet, "/v1/jobs?state=lost", key, nil).field(422, codeInvalid, "query.state[0]", "choice")
	s.do(http.MethodGet, "/v1/jobs?limit=501", key, nil).field(422, codeInvalid, "query.limit", "too_large")
	s.do(http.MethodGet, "/v1/jobs?from=yesterday", key, nil).field(422, codeInvalid, "query.from", "time")
	s.do(http.MethodGet, "/v1/jobs?colour=red", key, nil).field(422, codeInvalid, "query.colour", "unknown_field")
	var l List[Job]
	s.do(http.MethodGet, "/v1/jobs?limit=2", key, nil).into(&l)
	s.do(http.MethodGet, "/v1/jobs?limit=2&subject=e1&cursor="+l.Next, key, nil).problem(400, codeCursor)
	s.do(http.MethodGet, "/v1/jobs?limit=2&cursor="+l.Next, s.key("other", read), nil).problem(400, codeCursor)
}

func TestLongPoll(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", submit)
	job := s.accepted("acme")
	var j Job
	begun := time.Now()
	s.do(http.MethodGet, "/v1/jobs/"+job+"?wait=50ms", key, nil).into(&j)
	require.Equal(t, results.Accepted, j.State, "time is over")
	require.GreaterOrEqual(t, time.Since(begun), 50*time.Millisecond)

	// By the clock alone it would take nearly bellPoll each time; a busy machine may be slow once or twice.
	fastest := bellPoll
	for n := 0; n < 5 && fastest >= bellPoll/2; n++ {
		job = s.accepted("acme")
		done := make(chan Job, 1)
		go func() {
			var j Job
			s.do(http.MethodGet, "/v1/jobs/"+job+"?wait=30", key, nil).into(&j)
			done <- j
		}()
		s.bell.listening(t, results.BellJob(job))
		begun = time.Now()
		s.finished(job, pipeline.DecisionPass)
		j = <-done
		fastest = min(fastest, time.Since(begun))
		require.Equal(t, results.Done, j.State)
	}
	require.Less(t, fastest, bellPoll/2, "the bell wakes it, not the clock")
	s.do(http.MethodGet, "/v1/jobs/"+job+"?wait=30s", key, nil).into(&j) // is final: no wait
	require.Equal(t, 1, j.Revision)
	for _, wrong := range []string{"soon", "-1s", "-5"} {
		s.do(http.MethodGet, "/v1/jobs/"+job+"?wait="+wrong, key, nil).field(422, codeInvalid, "query.wait", "duration")
	}
}

func TestTooManyWaiters(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Limits.Streams = 1 })
	job := s.accepted("acme")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := s.request(http.MethodGet, "/v1/jobs/"+job+"?wait=30s", s.key("acme", submit), nil).WithContext(ctx)
		if resp, err := s.http.Client().Do(r); err == nil {
			_ = resp.Body.Close()
		}
	}()
	s.bell.listening(t, results.BellJob(job))
	a := s.do(http.MethodGet, "/v1/jobs/"+job+"?wait=30s", s.key("acme", read), nil)
	require.Contains(t, a.problem(429, codeBusyTenant).Detail, "clients that wait for events")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	s.do(http.MethodGet, "/v1/jobs/"+job+"/events", s.key("acme", read), nil).problem(429, codeBusyTenant)
	theirs := s.accepted("other")
	a = s.do(http.MethodGet, "/v1/jobs/"+theirs+"?wait=30s", s.key("other", read), nil)
	a.problem(503, codeBusyStreams)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, 200, s.do(http.MethodGet, "/v1/jobs/"+job, s.key("acme", read), nil).status)
	cancel()
	<-done
	require.Eventually(t, func() bool { return s.server.open.taken() == 0 }, time.Minute, time.Millisecond, "the place is free again")
}

// events reads server-sent events.
type sse struct{ id, event, data string }

func readEvents(t *testing.T, r *bufio.Scanner, n int) (out []sse) {
	t.Helper()
	var e sse
	for len(out) < n && r.Scan() {
		line := r.Text()
		switch {
		case strings.HasPrefix(line, "id: "):
			e.id = line[4:]
		case strings.HasPrefix(line, "event: "):
			e.event = line[7:]
		case strings.HasPrefix(line, "data: "):
			e.data = line[6:]
		case line == "" && e.event != "":
			out, e = append(out, e), sse{}
		}
	}
	return out
}

func TestServerSentEvents(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", submit)
	job := s.accepted("acme")
	resp, err := s.http.Client().Do(s.request(http.MethodGet, "/v1/jobs/"+job+"/events", key, nil))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	first := readEvents(t, lines, 1)
	require.Len(t, first, 1)
	require.Equal(t, "state", first[0].event)
	var j Job
	require.NoError(t, json.Unmarshal([]byte(first[0].data), &j))
	require.Equal(t, results.Accepted, j.State)
	s.bell.listening(t, results.BellJob(job))
	s.finished(job, pipeline.DecisionPass)
	last := readEvents(t, lines, 2)
	require.Len(t, last, 1, "the stream ends with the final state")
	require.NoError(t, json.Unmarshal([]byte(last[0].data), &j))
	require.Equal(t, results.Done, j.State)

	back := s.do(http.MethodGet, "/v1/jobs/"+job+"/events", key, nil, "Last-Event-ID", last[0].id)
	require.Equal(t, http.StatusNoContent, back.status, "nothing more will come")
	late := s.do(http.MethodGet, "/v1/jobs/"+job+"/events", key, nil, "Last-Event-ID", first[0].id)
	require.Contains(t, string(late.body), last[0].id)
	require.NotContains(t, string(late.body), first[0].id)
	s.do(http.MethodGet, "/v1/jobs/"+strings.Repeat("0", 26)+"/events", key, nil).problem(404, codeNotFound)
}

func TestDrainEndsStreams(t *testing.T) {
	s := newStage(t)
	job := s.accepted("acme")
	done := make(chan int, 2)
	for _, path := range []string{"/events", "?wait=30s"} {
		go func() { done <- s.do(http.MethodGet, "/v1/jobs/"+job+path, s.key("acme", submit), nil).status }()
	}
	require.Eventually(t, func() bool { return s.server.open.taken() == 2 }, time.Minute, time.Millisecond)
	s.server.Drain()
	require.Equal(t, 200, <-done)
	require.Equal(t, 200, <-done)
}

func TestDeadLetters(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	key, boss := s.key("acme", audit), s.key("acme", admin)
	dead, fine, held := s.accepted("acme"), s.accepted("acme"), s.accepted("acme")
	s.ended(dead, results.Dead)
	s.finished(fine, pipeline.DecisionPass)
	lease := s.claim(held)
	require.NoError(t, s.store.Release(ctx, results.Release{Job: held, Token: lease.Token, RunAt: s.now(), Hold: true, Error: results.JobError{Rule: "models_missing", Text: say("No model.", "缺少模型。")}}))
	list := func() (got []string) {
		next := ""
		for {
			var l List[Job]
			s.do(http.MethodGet, "/v1/dead-letters?limit=1"+next, key, nil).into(&l)
			for _, j := range l.Items {
				got = append(got, j.Job+" "+j.Error.Rule)
			}
			if l.Next == "" {
				return got
			}
			next = "&cursor=" + l.Next
		}
	}
	require.Equal(t, []string{held + " models_missing", dead + " media_truncated"}, list())
	s.do(http.MethodPost, "/v1/jobs/"+dead+"/requeue", key, nil).problem(403, codeRole)
	s.do(http.MethodPost, "/v1/jobs/"+fine+"/requeue", boss, nil).problem(409, codeState)
	rings := s.bell.rings(results.BellWork)
	var j Job
	s.do(http.MethodPost, "/v1/jobs/"+dead+"/requeue", boss, nil).into(&j)
	require.Equal(t, results.Accepted, j.State)
	require.Equal(t, rings+1, s.bell.rings(results.BellWork))
	require.Equal(t, 200, s.do(http.MethodPost, "/v1/jobs/"+held+"/requeue", boss, nil).status)
	require.Empty(t, list())
	s.do(http.MethodPost, "/v1/jobs/"+strings.Repeat("0", 26)+"/requeue", boss, nil).problem(404, codeNotFound)
	log, err := s.store.AuditLog(ctx, "acme", results.Page{Limit: 100})
	require.NoError(t, err)
	n := 0
	for _, e := range log {
		if e.Action == "job.requeued" {
			n++
		}
	}
	require.Equal(t, 2, n)
}
