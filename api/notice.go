package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"onsite/pipeline"
	"onsite/results"
)

const opNotice = "get-notice"

// Notice is what an employee may be shown about an upload of theirs: reasons, what to do next and how to appeal; never scores,
// thresholds, or other uploads.
type Notice struct {
	Job      string         `json:"job" doc:"number of the upload, to be named in an appeal"`
	Lang     string         `json:"lang" enum:"en,zh"`
	State    string         `json:"state" enum:"waiting,checked,refused,given_up"`
	Decision string         `json:"decision,omitempty" enum:"pass,abnormal,review"`
	Revision int            `json:"revision,omitempty" doc:"of the verdict that this is about"`
	Message  string         `json:"message"`
	Reasons  []NoticeReason `json:"reasons" nullable:"false"`
	Next     []string       `json:"next" nullable:"false" doc:"what to do, each thing once"`
	Appeal   string         `json:"appeal" doc:"how to appeal"`
}

// NoticeReason is one reason in words.
type NoticeReason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

func (s *Server) noticeRoutes() {
	register(s, huma.Operation{OperationID: opNotice, Method: http.MethodGet, Path: "/v1/verdicts/{job}/notice", Tags: []string{"verdicts"},
		Summary: "What the employee may be shown", Description: "In the language of lang, or else of Accept-Language.", Errors: []int{401, 403, 404, 422, 503}}, s.getNotice)
}

func (s *Server) getNotice(ctx context.Context, in *struct {
	request
	JobPath
	Lang string `query:"lang" enum:"en,zh"`
}) (*struct{ Body Notice }, error) {
	noteJob(ctx, in.Job)
	lang := in.Lang
	if lang == "" {
		lang = langOf(in.ctx.Header("Accept-Language"))
	}
	tenant, err := s.tenant(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's settings: %w", err)
	}
	j, err := s.job(ctx, in.Job)
	if err != nil {
		return nil, err
	}
	appeal := tenant.Settings.Appeal
	if pick(appeal, lang) == "" {
		appeal = noticeAppeal
	}
	n := Notice{Job: in.Job, Lang: lang, Reasons: []NoticeReason{}, Next: []string{}, Appeal: pick(appeal, lang)}
	v, err := s.Store.Verdict(ctx, tenant.ID, in.Job, 0)
	switch {
	case err == nil:
		n.checked(v)
	case !errors.Is(err, results.ErrNotFound):
		return nil, fmt.Errorf("read the verdict of job %s: %w", in.Job, err)
	default:
		n.unchecked(j)
	}
	return &struct{ Body Notice }{n}, nil
}

// alikeOnly says that a verdict's recording was not compared with earlier ones only because its pictures are like very many of them: nothing
// was broken then. A body that does not say so counts as broken.
func alikeOnly(body []byte) bool {
	var v struct {
		Checks struct {
			Reuse struct {
				Detail struct{ Missing, Flooded int }
			}
		}
	}
	if json.Unmarshal(body, &v) != nil {
		return false
	}
	d := v.Checks.Reuse.Detail
	return d.Flooded > 0 && d.Missing == 0
}

// checked fills in a verdict. Only the codes are taken from it, and why it could not be compared: its own texts may name other uploads and times.
func (n *Notice) checked(v results.Verdict) {
	n.State, n.Decision, n.Revision = "checked", string(v.Decision), v.Revision
	n.Message = pick(map[pipeline.Decision]pipeline.Text{pipeline.DecisionPass: noticePass, pipeline.DecisionReview: noticeReview, pipeline.DecisionAbnormal: noticeAbnormal}[v.Decision], n.Lang)
	seen := map[string]bool{}
	for _, code := range v.Codes {
		a, ok := advices[code]
		if !ok {
			a = otherAdvice
		}
		if code == pipeline.HistoryIncomplete && alikeOnly(v.Body) {
			a.what = noticeAlike
		}
		text, next := pick(a.what, n.Lang), pick(a.next, n.Lang)
		if !seen[text] { // two checks may give the same reason
			n.Reasons = append(n.Reasons, NoticeReason{Code: string(code), Text: text})
		}
		if !seen[next] {
			n.Next = append(n.Next, next)
		}
		seen[text], seen[next] = true, true
	}
}

// unchecked fills in a job that has no verdict.
func (n *Notice) unchecked(j results.Job) {
	switch j.State {
	case results.Refused:
		n.State, n.Message = "refused", pick(noticeRefused, n.Lang)
		if j.Error != nil {
			n.Reasons = append(n.Reasons, NoticeReason{Code: j.Error.Rule, Text: pick(j.Error.Text, n.Lang)})
		}
		next := nextAgain
		if j.Error != nil {
			next = nextAfter(j.Error.Rule)
		}
		n.Next = append(n.Next, pick(next, n.Lang))
	case results.Dead: // its error is the operator's
		n.State, n.Message = "given_up", pick(noticeDead, n.Lang)
		n.Next = append(n.Next, pick(nextNobody, n.Lang))
	default:
		n.State, n.Message = "waiting", pick(noticeWaiting, n.Lang)
	}
}
