package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/results"
)

func TestVerdicts(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", read)
	one, two, three := s.accepted("acme"), s.accepted("acme"), s.accepted("acme")
	s.do(http.MethodGet, "/v1/verdicts/"+one, key, nil).problem(404, codePending)
	s.finished(one, pipeline.DecisionPass)
	v := s.finished(two, pipeline.DecisionAbnormal, pipeline.FootageReused, pipeline.NoFace)
	s.ended(three, results.Refused)
	s.do(http.MethodGet, "/v1/verdicts/"+three, key, nil).problem(404, codeNoVerdict)
	s.do(http.MethodGet, "/v1/verdicts/"+strings.Repeat("0", 26), key, nil).problem(404, codeNotFound)

	a := s.do(http.MethodGet, "/v1/verdicts/"+two, key, nil)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.Equal(t, `"1"`, a.header.Get("ETag"))
	require.JSONEq(t, string(v.Body), string(a.body), "as it is stored")

	// A later finding is a revision beside it.
	var body pipeline.Verdict
	require.NoError(t, json.Unmarshal(v.Body, &body))
	body.Revision, body.Decision = 2, pipeline.DecisionReview
	again := v
	again.Revision, again.Decision, again.Codes = 2, pipeline.DecisionReview, []pipeline.Code{pipeline.SameContent}
	again.Body, _ = json.Marshal(body)
	require.NoError(t, s.store.Revise(t.Context(), again, s.audit("acme"), "verdict.revised", "01JD3Q0C6Q8R4T2V9W1X5Y7Z3A", []byte(`{}`)))
	_, err := s.store.Sequence(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, `"2"`, s.do(http.MethodGet, "/v1/verdicts/"+two, key, nil).header.Get("ETag"))
	require.JSONEq(t, string(v.Body), string(s.do(http.MethodGet, "/v1/verdicts/"+two+"?revision=1", key, nil).body))
	s.do(http.MethodGet, "/v1/verdicts/"+two+"?revision=3", key, nil).problem(404, codeNotFound)
	var l List[VerdictRow]
	s.do(http.MethodGet, "/v1/verdicts/"+two+"/revisions?body=true", key, nil).into(&l)
	require.Len(t, l.Items, 2)
	require.JSONEq(t, string(v.Body), string(l.Items[0].Verdict))

	list := func(query string) (got []string) {
		t.Helper()
		next := ""
		for {
			var l List[VerdictRow]
			a := s.do(http.MethodGet, "/v1/verdicts?limit=1"+query+next, key, nil)
			require.Equal(t, 200, a.status, string(a.body))
			a.into(&l)
			for _, v := range l.Items {
				require.Nil(t, v.Verdict)
				got = append(got, fmt.Sprintf("%s.%d %s", v.Job, v.Revision, v.Decision))
			}
			if l.Next == "" {
				return got
			}
			next = "&cursor=" + l.Next
		}
	}
	require.Equal(t, []string{two + ".2 review", one + ".1 pass"}, list(""))
	require.ElementsMatch(t, []string{two + ".2 review", two + ".1 abnormal", one + ".1 pass"}, list("&all_revisions=true"))
	require.Equal(t, []string{one + ".1 pass"}, list("&decision=pass"))
	require.Equal(t, []string{two + ".2 review"}, list("&reason=same_content"))
	require.Empty(t, list("&reason=no_face"), "of a revision that is superseded")
	require.Empty(t, list("&subject=e2"))
	require.Len(t, list("&subject=e1&site=store-17&from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z"), 2)
	require.Empty(t, list("&to=2020-01-01T00:00:00Z"))
	s.do(http.MethodGet, "/v1/verdicts?decision=maybe", key, nil).field(422, codeInvalid, "query.decision", "choice")
	s.do(http.MethodGet, "/v1/verdicts?reason=No+Face", key, nil).field(422, codeInvalid, "query.reason", "pattern")
	s.do(http.MethodGet, "/v1/verdicts?cursor=abc", key, nil).problem(400, codeCursor)
}

func TestChanges(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", read)
	get := func(query string) Changes {
		t.Helper()
		a := s.do(http.MethodGet, "/v1/verdicts/changes?"+query, key, nil)
		require.Equal(t, 200, a.status, string(a.body))
		var c Changes
		a.into(&c)
		return c
	}
	empty := get("after=0")
	require.Empty(t, empty.Items)
	require.NotNil(t, empty.Items)
	require.Zero(t, empty.Position)
	var jobs []string
	for range 5 {
		jobs = append(jobs, s.accepted("acme"))
		s.finished(jobs[len(jobs)-1], pipeline.DecisionPass)
	}
	s.finished(s.accepted("other"), pipeline.DecisionPass)
	var got []string
	position, more := int64(0), true
	for more {
		c := get(fmt.Sprintf("limit=2&after=%d", position))
		for _, v := range c.Items {
			got = append(got, v.Job)
		}
		position, more = c.Position, c.More
	}
	require.Equal(t, jobs, got, "each once, in the order of the commits")

	// By the clock alone it would take nearly bellPoll each time; a busy machine may be slow once or twice.
	fastest := bellPoll
	for n := 0; n < 5 && fastest >= bellPoll/2; n++ {
		job := s.accepted("acme")
		done := make(chan Changes, 1)
		go func() { done <- get(fmt.Sprintf("wait=30s&body=true&after=%d", position)) }()
		s.bell.listening(t, results.BellFeed)
		begun := time.Now()
		s.finished(job, pipeline.DecisionPass)
		c := <-done
		fastest = min(fastest, time.Since(begun))
		require.Len(t, c.Items, 1)
		require.Equal(t, job, c.Items[0].Job)
		require.NotEmpty(t, c.Items[0].Verdict)
		require.Equal(t, position+1, c.Position)
		position = c.Position
		s.bell.forget(results.BellFeed)
	}
	require.Less(t, fastest, bellPoll/2, "the bell wakes it, not the clock")
	s.do(http.MethodGet, "/v1/verdicts/changes?after=-1", key, nil).field(422, codeInvalid, "query.after", "too_small")
}

func TestExport(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", read)
	const n = exportPage + 3
	s.many("acme", n, pipeline.DecisionReview, pipeline.NoFace, pipeline.DeskMissing)
	s.finished(s.accepted("other"), pipeline.DecisionReview)
	a := s.do(http.MethodGet, "/v1/verdicts/export", key, nil)
	require.Equal(t, 200, a.status)
	require.Equal(t, "application/x-ndjson", a.header.Get("Content-Type"))
	lines := bufio.NewScanner(bytes.NewReader(a.body))
	seen := map[string]bool{}
	for lines.Scan() {
		var v pipeline.Verdict
		require.NoError(t, json.Unmarshal(lines.Bytes(), &v))
		require.Equal(t, "acme", v.Tenant)
		seen[v.Job] = true
	}
	require.Len(t, seen, n)

	a = s.do(http.MethodGet, "/v1/verdicts/export?format=csv&decision=review", key, nil)
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, csvColumns, rows[0])
	require.Len(t, rows, n+1)
	require.Equal(t, "no_face desk_missing", rows[1][6])
	require.Equal(t, "e1", rows[1][3])
	a = s.do(http.MethodGet, "/v1/verdicts/export?format=csv&decision=pass", key, nil)
	require.Equal(t, strings.Join(csvColumns, ",")+"\n", string(a.body))
	s.do(http.MethodGet, "/v1/verdicts/export?format=xml", key, nil).field(422, codeInvalid, "query.format", "choice")
}

func TestCellsAreNoFormulas(t *testing.T) {
	for in, want := range map[string]string{"": "", "e1": "e1", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx", "a=b": "a=b"} {
		require.Equal(t, want, cell(in))
	}
	var b bytes.Buffer
	require.NoError(t, csvRows(&b)([]results.Verdict{{Job: "j", Subject: "=HYPERLINK(\"http://x\")"}}))
	require.Contains(t, b.String(), `"'=HYPERLINK(""http://x"")"`)
}

func TestNotice(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", notice)
	get := func(job, query string, headers ...string) (Notice, string) {
		t.Helper()
		a := s.do(http.MethodGet, "/v1/verdicts/"+job+"/notice"+query, key, nil, headers...)
		require.Equal(t, 200, a.status, string(a.body))
		var n Notice
		a.into(&n)
		return n, string(a.body)
	}
	job := s.accepted("acme")
	n, _ := get(job, "")
	require.Equal(t, Notice{Job: job, Lang: "en", State: "waiting", Message: noticeWaiting.EN, Reasons: []NoticeReason{}, Next: []string{}, Appeal: noticeAppeal.EN}, n)
	codes := append(append([]pipeline.Code{}, pipeline.Codes...), "from_the_future", pipeline.NoFace)
	s.finished(job, pipeline.DecisionAbnormal, codes...)
	for _, lang := range []string{"en", "zh"} {
		n, body := get(job, "?lang="+lang)
		require.Equal(t, lang, n.Lang)
		require.Equal(t, "checked", n.State)
		require.Len(t, n.Reasons, len(pipeline.Codes)+1)
		require.Contains(t, body, pick(noticeAbnormal, lang))
		for _, never := range []string{"01HOTHERJOB", "score", "threshold", "得分"} {
			require.NotContains(t, body, never)
		}
		require.NotRegexp(t, `\D0\.(31|42)`, body, "a score, and not the seconds of a time")
	}
	n, _ = get(job, "", "Accept-Language", "zh-CN")
	require.Equal(t, "zh", n.Lang)

	refused, dead := s.accepted("acme"), s.accepted("acme")
	s.ended(refused, results.Refused)
	s.ended(dead, results.Dead)
	n, _ = get(refused, "?lang=zh")
	require.Equal(t, "refused", n.State)
	require.Equal(t, []NoticeReason{{Code: "media_truncated", Text: "文件不完整。"}}, n.Reasons)
	require.Equal(t, []string{nextAgain.ZH}, n.Next)
	n.Lang, n.Next = "en", nil
	n.unchecked(results.Job{State: results.Refused, Error: &results.JobError{Rule: "subject_erased"}})
	n.unchecked(results.Job{State: results.Refused, Error: &results.JobError{Rule: "policy_max_duration_ms"}})
	n.unchecked(results.Job{State: results.Refused, Error: &results.JobError{Rule: "media_kind"}})
	require.Equal(t, []string{nextErased.EN, nextFit.EN, nextFit.EN}, n.Next, "another recording of the same kind would not help")
	n, body := get(dead, "")
	require.Equal(t, "given_up", n.State)
	require.NotContains(t, body, "breaks off", "what went wrong with the machine is not the employee's")

	_, err := s.store.PutSettings(t.Context(), "acme", results.Settings{Appeal: say("Write to hr@acme.example.", "请写信至 hr@acme.example。")}, 1, s.audit("acme"))
	require.NoError(t, err)
	s.pass(3 * time.Second)
	n, _ = get(job, "?lang=zh")
	require.Equal(t, "请写信至 hr@acme.example。", n.Appeal)
	s.do(http.MethodGet, "/v1/verdicts/"+job+"/notice?lang=fr", key, nil).field(422, codeInvalid, "query.lang", "choice")
	s.do(http.MethodGet, "/v1/verdicts/"+strings.Repeat("0", 26)+"/notice", key, nil).problem(404, codeNotFound)
}

func TestPictures(t *testing.T) {
	s := newStage(t)
	key := s.key("acme", investigate)
	job := s.accepted("acme")
	s.do(http.MethodGet, "/v1/verdicts/"+job+"/keyframes/0", key, nil).problem(404, codePending)
	s.finished(job, pipeline.DecisionPass)
	looks := func(action string) int {
		t.Helper()
		log, err := s.store.AuditLog(t.Context(), "acme", results.Page{Limit: 100})
		require.NoError(t, err)
		n := 0
		for _, e := range log {
			if e.Action == action && e.Target == job && e.Subject == "e1" {
				n++
			}
		}
		return n
	}
	a := s.do(http.MethodGet, "/v1/verdicts/"+job+"/keyframes/0", key, nil)
	require.Equal(t, 200, a.status, string(a.body))
	require.Equal(t, "image/jpeg", a.header.Get("Content-Type"))
	require.Equal(t, "\xff\xd8 keyframe of "+job, string(a.body))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.Equal(t, 1, looks("keyframe.viewed"))
	s.do(http.MethodGet, "/v1/verdicts/"+job+"/keyframes/1", key, nil).problem(404, codeNotFound)
	s.do(http.MethodGet, "/v1/verdicts/"+job+"/keyframes/x", key, nil).field(422, codeInvalid, "path.n", "type")

	a = s.do(http.MethodGet, "/v1/submissions/"+job+"/media", key, nil)
	require.Equal(t, 200, a.status)
	require.True(t, strings.HasPrefix(string(a.body), "footage "))
	require.Equal(t, "application/octet-stream", a.header.Get("Content-Type"))
	require.Equal(t, `attachment; filename=clip.mp4`, a.header.Get("Content-Disposition"))
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	part := s.do(http.MethodGet, "/v1/submissions/"+job+"/media", key, nil, "Range", "bytes=0-6")
	require.Equal(t, http.StatusPartialContent, part.status)
	require.Equal(t, "footage", string(part.body))
	require.Equal(t, 2, looks("media.viewed"))
	for _, role := range []results.Role{read, audit, submit} {
		s.do(http.MethodGet, "/v1/submissions/"+job+"/media", s.key("acme", role), nil).problem(403, codeRole)
		s.do(http.MethodGet, "/v1/verdicts/"+job+"/keyframes/0", s.key("acme", role), nil).problem(403, codeRole)
	}
	require.Equal(t, 2, looks("media.viewed"))

	require.NoError(t, s.vault.Erase(t.Context(), "acme", "e1", s.audit("acme")))
	a = s.do(http.MethodGet, "/v1/submissions/"+job+"/media", key, nil)
	require.Contains(t, []int{404, 410}, a.status, string(a.body))
	a = s.do(http.MethodGet, "/v1/verdicts/"+job+"/keyframes/0", key, nil)
	require.Contains(t, []int{404, 410}, a.status, string(a.body))

	s.mapBucket("acme", "clips", "")
	var got AcceptedJob
	s.do(http.MethodPost, "/v1/submissions", s.key("acme", submit), `{"subject":"e2","object":{"bucket":"clips","key":"1"}}`).into(&got)
	s.do(http.MethodGet, "/v1/submissions/"+got.Job+"/media", key, nil).problem(404, codeNotFound)
}

func TestNoLookWithoutTheAuditLog(t *testing.T) {
	s := newStage(t, func(s *Server) { s.Store = muteStore{s.Store} })
	job := s.accepted("acme")
	a := s.do(http.MethodGet, "/v1/submissions/"+job+"/media", s.key("acme", investigate), nil)
	a.problem(503, codeAway)
	require.Zero(t, s.server.plain.taken(), "its place is free again")
}

// muteStore cannot write to the audit log.
type muteStore struct{ results.Store }

func (muteStore) Append(context.Context, results.AuditEntry) error {
	return fmt.Errorf("append: %w", results.ErrAway)
}
