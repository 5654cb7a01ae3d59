package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"encoding/json"

	"onsite/pipeline"
	"onsite/results"
)

// VerdictRow is one revision of a verdict, in short. Which pictures belong to it is not said here.
type VerdictRow struct {
	Job         string            `json:"job"`
	Revision    int               `json:"revision"`
	Seq         int64             `json:"seq" doc:"position in the feed of changes; 0: not given yet (under a second)"`
	Subject     string            `json:"subject"`
	Site        string            `json:"site,omitempty"`
	Decision    pipeline.Decision `json:"decision" enum:"pass,abnormal,review"`
	Codes       []pipeline.Code   `json:"codes" nullable:"false" doc:"of its reasons"`
	Policy      string            `json:"policy,omitempty"`
	SubmittedAt time.Time         `json:"submitted_at"`
	CreatedAt   time.Time         `json:"created_at"`
	Verdict     json.RawMessage   `json:"verdict,omitempty" doc:"the whole verdict (onsite.verdict/1), where body=true was asked for"`
}

func showVerdict(body bool) func(results.Verdict) VerdictRow {
	return func(v results.Verdict) VerdictRow {
		row := VerdictRow{Job: v.Job, Revision: v.Revision, Seq: v.Seq, Subject: v.Subject, Site: v.Site, Decision: v.Decision, Codes: v.Codes, Policy: v.Policy,
			SubmittedAt: v.SubmittedAt.UTC(), CreatedAt: v.CreatedAt.UTC()}
		if row.Codes == nil {
			row.Codes = []pipeline.Code{}
		}
		if body {
			row.Verdict = v.Body
		}
		return row
	}
}

const (
	opVerdicts  = "list-verdicts"
	opVerdict   = "get-verdict"
	opRevisions = "list-verdict-revisions"
	opChanges   = "list-verdict-changes"
	opExport    = "export-verdicts"
)

// VerdictQuery is what a list of verdicts may be narrowed by; its JSON is part of the cursor.
type VerdictQuery struct {
	Subject  string    `query:"subject" maxLength:"64"`
	Site     string    `query:"site" maxLength:"64"`
	Decision string    `query:"decision" enum:"pass,abnormal,review"`
	Reason   string    `query:"reason" maxLength:"64" pattern:"^[a-z0-9_]+$" patternDescription:"a reason's code" doc:"code of a reason, such as footage_reused"`
	Model    string    `query:"model" minLength:"8" maxLength:"64" pattern:"^[0-9a-f]+$" patternDescription:"the first digits of a sha256" doc:"made with this model: the sha256 of its file, or the first 8 digits of it or more"`
	From     time.Time `query:"from" doc:"submitted at or after"`
	To       time.Time `query:"to" doc:"submitted before"`
	All      bool      `query:"all_revisions" doc:"also revisions that a newer one supersedes"`
}

func (q VerdictQuery) filter() results.VerdictFilter {
	return results.VerdictFilter{Subject: q.Subject, Site: q.Site, Decision: pipeline.Decision(q.Decision), Code: pipeline.Code(q.Reason), Model: q.Model, From: q.From, To: q.To, AllRevisions: q.All}
}

func (s *Server) verdictRoutes() {
	tags := []string{"verdicts"}
	reads := []int{400, 401, 403, 404, 422, 503}
	whole := map[string]*huma.Response{"200": {Description: "The verdict (onsite.verdict/1)", Content: map[string]*huma.MediaType{
		"application/json": {Schema: s.api.OpenAPI().Components.Schemas.Schema(typeOf[pipeline.Verdict](), true, "Verdict")}}}}
	register(s, huma.Operation{OperationID: opVerdicts, Method: http.MethodGet, Path: "/v1/verdicts", Tags: tags, Summary: "List verdicts, newest job first", Errors: reads}, s.listVerdicts)
	register(s, huma.Operation{OperationID: opChanges, Method: http.MethodGet, Path: "/v1/verdicts/changes", Tags: tags, Summary: "Follow the verdicts in the order in which they were committed",
		Description: "Begin with after=0, keep position, and ask again with after=position: no verdict and no revision is ever missed. With wait the answer comes when there is something new or the time is over.",
		Errors:      append(reads, 429)}, s.listChanges)
	register(s, huma.Operation{OperationID: opExport, Method: http.MethodGet, Path: "/v1/verdicts/export", Tags: tags, Summary: "Export verdicts as NDJSON or CSV",
		Description: "Streams everything that the filters leave. A connection that is cut before the end means an incomplete file.",
		Errors:      reads, Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}}, "text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}}, s.exportVerdicts)
	register(s, huma.Operation{OperationID: opVerdict, Method: http.MethodGet, Path: "/v1/verdicts/{job}", Tags: tags, Summary: "The verdict of a job",
		Description: "The newest revision, or the one that is asked for. 404 with code verdict_pending while the job is not finished.", Errors: reads, Responses: whole}, s.getVerdict)
	register(s, huma.Operation{OperationID: opRevisions, Method: http.MethodGet, Path: "/v1/verdicts/{job}/revisions", Tags: tags, Summary: "All revisions of a verdict, oldest first", Errors: reads}, s.listRevisions)
}

func (s *Server) listVerdicts(ctx context.Context, in *struct {
	PageInput
	VerdictQuery
	Whole bool `query:"body" doc:"give the whole verdicts, too"`
}) (*struct{ Body List[VerdictRow] }, error) {
	p, err := s.page(ctx, opVerdicts, in.VerdictQuery, in.PageInput)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Verdicts(ctx, PrincipalOf(ctx).Tenant, in.filter(), p)
	if err != nil {
		return nil, fmt.Errorf("list verdicts: %w", err)
	}
	return &struct{ Body List[VerdictRow] }{list(s, ctx, opVerdicts, in.VerdictQuery, p, rows, verdictPlace, showVerdict(in.Whole))}, nil
}

// verdictPlace is the place of a verdict in the store's lists.
func verdictPlace(v results.Verdict) string { return v.Job + "." + strconv.Itoa(v.Revision) }

type verdictOutput struct {
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag" doc:"changes with the revision"`
	Body        []byte
}

func (s *Server) getVerdict(ctx context.Context, in *struct {
	JobPath
	Revision int `query:"revision" minimum:"1" doc:"without it the newest"`
}) (*verdictOutput, error) {
	noteJob(ctx, in.Job)
	v, err := s.verdict(ctx, in.Job, in.Revision)
	if err != nil {
		return nil, err
	}
	return &verdictOutput{ContentType: "application/json", ETag: etag(v.Revision), Body: v.Body}, nil
}

// verdict reads a verdict; of a job that has none yet it says so, instead of "not found".
func (s *Server) verdict(ctx context.Context, job string, revision int) (results.Verdict, error) {
	tenant := PrincipalOf(ctx).Tenant
	v, err := s.Store.Verdict(ctx, tenant, job, revision)
	if errors.Is(err, results.ErrNotFound) {
		if j, jerr := s.Store.Job(ctx, tenant, job); jerr == nil && j.Revision == 0 {
			return v, pending(j)
		}
	}
	if err != nil {
		return v, fmt.Errorf("read the verdict of job %s: %w", job, err)
	}
	return v, nil
}

// pending is the problem of a job without a verdict.
func pending(j results.Job) *Problem {
	switch j.State {
	case results.Refused:
		return problem(codeNoVerdict).with("The upload was refused, so there is no verdict; GET /v1/jobs/%s says why.", "该上传已被拒绝，因此没有结论；原因见 GET /v1/jobs/%s。", j.ID)
	case results.Dead:
		return problem(codeNoVerdict).with("The job was given up, so there is no verdict; GET /v1/jobs/%s says why, and an administrator can requeue it.", "该任务已放弃，因此没有结论；原因见 GET /v1/jobs/%s，管理员可让其重新排队。", j.ID)
	}
	return problem(codePending).with("The job is %s. Ask again, or wait with GET /v1/jobs/%s?wait=30s.", "任务状态为 %s。请稍后再查，或用 GET /v1/jobs/%s?wait=30s 等待。", string(j.State), j.ID).retry(time.Second)
}

func (s *Server) listRevisions(ctx context.Context, in *struct {
	JobPath
	Whole bool `query:"body" doc:"give the whole verdicts, too"`
}) (*struct{ Body List[VerdictRow] }, error) {
	noteJob(ctx, in.Job)
	if _, err := s.verdict(ctx, in.Job, 0); err != nil {
		return nil, err
	}
	rows, err := s.Store.VerdictRevisions(ctx, PrincipalOf(ctx).Tenant, in.Job)
	if err != nil {
		return nil, fmt.Errorf("list the revisions of job %s: %w", in.Job, err)
	}
	out := List[VerdictRow]{Items: make([]VerdictRow, 0, len(rows))}
	for _, v := range rows {
		out.Items = append(out.Items, showVerdict(in.Whole)(v))
	}
	return &struct{ Body List[VerdictRow] }{out}, nil
}

// Changes is a part of the feed.
type Changes struct {
	Items    []VerdictRow `json:"items" nullable:"false"`
	Position int64        `json:"position" doc:"ask for what comes after it"`
	More     bool         `json:"more" doc:"there is more already"`
}

func (s *Server) listChanges(ctx context.Context, in *struct {
	request
	After int64  `query:"after" minimum:"0" doc:"position of the answer before; 0 to begin"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
	Wait  string `query:"wait" maxLength:"16" doc:"30s: wait for something new, at most so long (the server's limit is 60 s)"`
	Whole bool   `query:"body" doc:"give the whole verdicts, too"`
}) (*struct{ Body Changes }, error) {
	wait, err := s.waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	var rows []results.Verdict
	err = s.await(ctx, in.request, results.BellFeed, wait, func() (bool, error) {
		var err error
		rows, err = s.Store.Changes(ctx, PrincipalOf(ctx).Tenant, in.After, in.Limit)
		if err != nil {
			err = fmt.Errorf("read the feed after %d: %w", in.After, err)
		}
		return len(rows) > 0, err
	})
	if err != nil {
		return nil, err
	}
	out := Changes{Items: make([]VerdictRow, 0, len(rows)), Position: in.After, More: len(rows) == in.Limit}
	for _, v := range rows {
		out.Items = append(out.Items, showVerdict(in.Whole)(v))
		out.Position = v.Seq
	}
	return &struct{ Body Changes }{out}, nil
}

func joinCodes(codes []pipeline.Code) string {
	names := make([]string, len(codes))
	for i, c := range codes {
		names[i] = string(c)
	}
	return strings.Join(names, " ")
}
