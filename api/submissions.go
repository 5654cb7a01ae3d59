package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

// SubmissionInput submits an object that lies in a bucket which an administrator mapped to the tenant.
type SubmissionInput struct {
	ClaimInput
	Object ObjectInput `json:"object" doc:"where the photo or video lies"`
}

// ObjectInput names an object of a mapped bucket. With a version or an ETag exactly that object is taken, whatever lies there later.
type ObjectInput struct {
	Bucket  string `json:"bucket" minLength:"1" maxLength:"255"`
	Key     string `json:"key" minLength:"1" maxLength:"1024"`
	Version string `json:"version,omitempty" maxLength:"1024"`
	ETag    string `json:"etag,omitempty" maxLength:"128"`
}

// formInput describes the form of a multipart submission; readForm reads it.
type formInput struct {
	Subject   string    `json:"subject,omitempty" doc:"the claim, field by field; or all of it as claim"`
	Site      string    `json:"site,omitempty"`
	TakenAt   time.Time `json:"taken_at,omitempty"`
	Policy    string    `json:"policy,omitempty"`
	Priority  string    `json:"priority,omitempty" enum:"clock_in,bulk"`
	Challenge string    `json:"challenge,omitempty"`
	Claim     string    `json:"claim,omitempty" contentMediaType:"application/json" doc:"the claim as JSON, instead of single fields: a ClaimInput"`
	Media     string    `json:"media" format:"binary" doc:"the photo or video; the last part of the form"`
}

// AcceptedJob is the answer to an accepted submission: it will end in exactly one verdict, or be refused or given up with a reason.
type AcceptedJob struct {
	Job   string           `json:"job" example:"01JD3Q0C6Q8R4T2V9W1X5Y7Z3A"`
	State results.JobState `json:"state" enum:"accepted,queued,running,done,refused,dead"`
	Links JobLinks         `json:"links"`
}

// JobLinks lead on from a job.
type JobLinks struct {
	Job     string `json:"job" doc:"its state; ?wait=30s answers when it is final"`
	Events  string `json:"events" doc:"its state as server-sent events"`
	Verdict string `json:"verdict" doc:"its newest verdict, once it is done"`
	Notice  string `json:"notice" doc:"what the employee may be shown"`
}

func linksOf(job string) JobLinks {
	return JobLinks{Job: "/v1/jobs/" + job, Events: "/v1/jobs/" + job + "/events", Verdict: "/v1/verdicts/" + job, Notice: "/v1/verdicts/" + job + "/notice"}
}

type submitInput struct {
	Idempotency
	request // its body is read while it streams in
}

type acceptedOutput struct {
	Location string `header:"Location" doc:"the job"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when the Idempotency-Key was used before and this is its job"`
	Body     AcceptedJob
}

const opSubmit = "create-submission"

func (s *Server) submissionRoutes() {
	registry := s.api.OpenAPI().Components.Schemas
	registry.Schema(typeOf[ClaimInput](), true, "ClaimInput") // the claim of a form; nothing may be added to the registry while requests read it
	form := huma.SchemaFromType(registry, typeOf[formInput]())
	register(s, huma.Operation{
		OperationID: opSubmit, Method: http.MethodPost, Path: "/v1/submissions", DefaultStatus: http.StatusAccepted, Tags: []string{"submissions"},
		Summary: "Submit a photo or video",
		Description: "As a form with the file as its last part, or as JSON that names an object in a bucket which is mapped to the tenant. After 202 the upload is safe: " +
			"it ends in exactly one verdict, or is refused or given up with a reason. Send an Idempotency-Key, and repeat the request with it whenever the answer was lost. " +
			"Without one the same object (bucket, key and version or ETag) with the same claim gives the same job.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"multipart/form-data": {Schema: form, Encoding: map[string]*huma.Encoding{claimField: {ContentType: "application/json"}, mediaField: {ContentType: "application/octet-stream"}}},
			"application/json":    {Schema: registry.Schema(typeOf[SubmissionInput](), true, "SubmissionInput")},
		}},
		Errors: []int{400, 401, 403, 408, 409, 410, 413, 415, 422, 429, 503},
	}, s.submit)
}

func (s *Server) submit(ctx context.Context, in *submitInput) (*acceptedOutput, error) {
	r, w := humago.Unwrap(in.ctx)
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "multipart/form-data" && params["boundary"] != "":
		return s.submitForm(ctx, in.IdempotencyKey, w, r, params["boundary"])
	case err == nil && kind == "multipart/form-data":
		return nil, problem(codeContentType).with("The Content-Type multipart/form-data has no boundary.", "Content-Type multipart/form-data 缺少 boundary。")
	case err == nil && kind == "application/json":
		return s.submitObject(ctx, in.IdempotencyKey, w, r)
	}
	return nil, problem(codeContentType).with("Send multipart/form-data with the file, or application/json that names an object.", "请用 multipart/form-data 发送文件，或用 application/json 指明对象。")
}

// submitObject is the fast path: the bytes lie in a bucket already, and a worker fetches them.
func (s *Server) submitObject(ctx context.Context, key string, w http.ResponseWriter, r *http.Request) (*acceptedOutput, error) {
	raw, err := readBody(w, r, s.Limits.BodyBytes, s.Limits.ReadIdle)
	if err != nil {
		return nil, err
	}
	var body SubmissionInput
	if err := decode(s, raw, "body", &body); err != nil {
		return nil, err
	}
	if err := s.room(ctx, "", 0); err != nil {
		return nil, err
	}
	if err := s.mapped(ctx, body.Object); err != nil {
		return nil, err
	}
	c, err := s.resolve(ctx, body.ClaimInput, "body")
	if err != nil {
		return nil, err
	}
	sub, err := c.submission(ctx, ulid.Make().String(), s.now())
	if err != nil {
		return nil, err
	}
	o := body.Object
	sub.Source = results.Source{Kind: sourceBucket, Bucket: o.Bucket, Key: o.Key, Version: o.Version, ETag: strings.Trim(o.ETag, `"`)}
	own := key == ""
	if own {
		key = objectKey(sub.Source)
	}
	out, err := s.accept(ctx, results.NewSubmission{Sub: sub, Idempotency: key, BodySHA256: bodySum(opSubmit, canonical(body)), MaxWaiting: c.waiting})
	if own && errors.Is(err, results.ErrKeyReuse) { // the client sent no key that it could have used twice
		err = problem(codeExists).with("This object was submitted before, with another claim. Name its version or ETag if it was written anew, or send an Idempotency-Key.",
			"该对象此前已用另一份声明提交过。如果对象是重新写入的，请指明其版本或 ETag，或发送 Idempotency-Key。").because(err)
	}
	return out, err
}

// The kinds of results.Source.
const (
	sourceAPI    = "api"
	sourceUpload = "upload"
	sourceBucket = "bucket"
)

// mapped refuses objects outside of what an administrator mapped to the tenant: the longest prefix of all tenants' maps decides.
func (s *Server) mapped(ctx context.Context, o ObjectInput) error {
	maps, err := s.maps.get(ctx, "", func(ctx context.Context) ([]results.BucketMap, error) { return s.Store.BucketMaps(ctx, "") })
	if err != nil {
		return fmt.Errorf("read the bucket maps: %w", err)
	}
	owner, longest := "", -1
	for _, m := range maps {
		if m.Bucket == o.Bucket && strings.HasPrefix(o.Key, m.Prefix) && len(m.Prefix) > longest {
			owner, longest = m.Tenant, len(m.Prefix)
		}
	}
	if owner != PrincipalOf(ctx).Tenant || owner == "" {
		return invalid("body.object", "not_mapped", nil, say("this bucket and key are not mapped to your tenant", "该存储桶和键未映射到您的租户"),
			say("an administrator maps them with POST /v1/buckets", "请管理员用 POST /v1/buckets 建立映射"))
	}
	return nil
}

// submitForm stores the file while it streams in, then accepts it.
func (s *Server) submitForm(ctx context.Context, key string, w http.ResponseWriter, r *http.Request, boundary string) (*acceptedOutput, error) {
	if r.ContentLength > s.Limits.MediaBytes+(1<<20) { // the fields and the form's own lines take far less than that
		return nil, overLimit("form."+mediaField, s.Limits.MediaBytes)
	}
	kept, _, err := s.reserve(ctx, key)
	if err != nil {
		return nil, err
	}
	defer kept.end()
	client := newClientReader(w, r, s.Limits.ReadIdle)
	var c claimed
	var body ClaimInput
	var file sealed
	var fileLabel string
	err = readForm(multipart.NewReader(client, boundary), func(claim []byte, place, name string, part io.Reader) error {
		if err := decode(s, claim, place, &body); err != nil {
			return err
		}
		var err error
		if c, err = s.resolve(ctx, body, place); err != nil {
			return err
		}
		if err := s.room(ctx, PrincipalOf(ctx).Tenant, c.waiting); err != nil {
			return err
		}
		fileLabel = name
		file, err = s.keep(ctx, PrincipalOf(ctx).Tenant, body.Subject, bound(part, s.Limits.MediaBytes, "form."+mediaField))
		return err
	})
	if err == nil {
		err = client.finish()
	}
	if err != nil {
		if file.key != "" {
			s.discard(ctx, file.key)
		}
		kept.release()
		return nil, err
	}
	sub, err := c.submission(ctx, ulid.Make().String(), s.now())
	if err != nil {
		s.discard(ctx, file.key)
		kept.release()
		return nil, err
	}
	sub.Source = results.Source{Kind: sourceAPI}
	sub.Media = results.Media{Key: file.key, SHA256: file.sha256, Bytes: file.bytes, Name: fileLabel}
	out, err := s.accept(ctx, results.NewSubmission{Sub: sub, Idempotency: key, BodySHA256: bodySum(opSubmit, canonical(body), file.sha256),
		Keep: []string{file.key}, MaxWaiting: c.waiting})
	if err != nil && unwritten(err) {
		kept.release()
	}
	return out, err
}

// accept commits a submission together with those that come at the same time, and cleans up after one that was not accepted.
func (s *Server) accept(ctx context.Context, n results.NewSubmission) (*acceptedOutput, error) {
	n.Audit = s.auditOf(ctx, "submission.accepted", n.Sub.Subject, n.Sub.Job)
	n.Audit.Digest = n.Sub.Media.SHA256
	a := s.collector.accept(ctx, n)
	if n.Sub.Media.Key != "" && (a.Again || a.Err != nil && unwritten(a.Err)) {
		s.discard(ctx, n.Sub.Media.Key)
	}
	if a.Err != nil {
		return nil, acceptFault(a.Err, n.MaxWaiting)
	}
	noteJob(ctx, a.Job.ID)
	out := &acceptedOutput{Location: "/v1/jobs/" + a.Job.ID, Body: AcceptedJob{Job: a.Job.ID, State: a.Job.State, Links: linksOf(a.Job.ID)}}
	if a.Again {
		out.Replayed = "true"
	} else {
		s.Metrics.accept(n.Sub.Source.Kind)
	}
	return out, nil
}

func acceptFault(err error, bound int) error {
	p := fault(err)
	if p.Code == string(codeFull) {
		return full(bound).because(err)
	}
	var w *withdrawn
	if p.Code == string(codeAway) && !errors.As(err, &w) { // the commit may have happened: its answer got lost
		return problem(codeUnknown).because(err).retry(awayRetry)
	}
	if p.Code == string(codeNotFound) { // the subject went between the look-up and the commit
		return unknown("subject", say("there is no such subject", "没有该人员"), pipeline.Text{}).because(err)
	}
	return p
}

// auditOf is an entry of the audit log about what the caller does now.
func (s *Server) auditOf(ctx context.Context, action, subject, target string) results.AuditEntry {
	who := PrincipalOf(ctx)
	return results.AuditEntry{ID: ulid.Make().String(), Tenant: who.Tenant, At: s.now(), Actor: who.Key, Action: action, Subject: subject, Target: target}
}
