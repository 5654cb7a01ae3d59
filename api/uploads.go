package api

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/oklog/ulid/v2"

	"onsite/pipeline"
	"onsite/results"
)

// UploadInput asks for a place to upload one photo or video to, and says what is claimed about it.
type UploadInput struct {
	ClaimInput
	MaxBytes int64         `json:"max_bytes,omitempty" minimum:"1" doc:"the most that will be uploaded, if less than the server's own limit"`
	Object   *UploadObject `json:"object,omitempty" doc:"an object that somebody else writes into a bucket which is mapped to the tenant: no place to upload to is given then"`
}

// UploadObject names an object to come. Its event starts the job, also one that came before the claim.
type UploadObject struct {
	Bucket string `json:"bucket" minLength:"1" maxLength:"255"`
	Key    string `json:"key" minLength:"1" maxLength:"1024"`
}

// UploadAnswer is a recorded claim that waits for its file.
type UploadAnswer struct {
	Job       string        `json:"job" doc:"the job that the file's arrival starts"`
	State     string        `json:"state" enum:"waiting,arrived,expired"`
	MaxBytes  int64         `json:"max_bytes"`
	ExpiresAt time.Time     `json:"expires_at"`
	Upload    *UploadTarget `json:"upload,omitempty" doc:"how to send the file; only in the answer to POST, and not for an object of a mapped bucket"`
	Links     JobLinks      `json:"links"`
}

// UploadTarget says how to send the file: as a form, all the fields first and the file last. It is a bearer of the right to upload.
type UploadTarget struct {
	Method string            `json:"method" enum:"POST"`
	URL    string            `json:"url" format:"uri"`
	Fields map[string]string `json:"fields" doc:"to be sent before the file, as they are"`
	File   string            `json:"file" doc:"name of the form's field that holds the file"`
}

const (
	opUpload     = "create-upload"
	opUploadPut  = "put-upload-content"
	opUploadPost = "post-upload-content"
	opUploadGet  = "get-upload"
	fileField    = "file"
	// maxPostFields is how many fields may stand before the file: what clients of buckets send.
	maxPostFields = 32
	// hereBucket stands in an upload's row instead of a bucket when its URL leads back to this server. No bucket can have that name.
	hereBucket = "(here)"
)

type uploadOutput struct {
	Location string `header:"Location" doc:"the upload"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when the Idempotency-Key was used before and this is its upload"`
	Body     UploadAnswer
}

type contentInput struct {
	request
	Job       string `path:"job" minLength:"26" maxLength:"26"`
	Expires   int64  `query:"expires" required:"true"`
	Signature string `query:"signature" required:"true" maxLength:"64"`
}

func (s *Server) uploadRoutes() {
	tags := []string{"uploads"}
	register(s, huma.Operation{OperationID: opUpload, Method: http.MethodPost, Path: "/v1/uploads", DefaultStatus: http.StatusCreated, Tags: tags,
		Summary: "Record a claim and get a place to upload to",
		Description: "The answer says where to send the file as a form, without an API key: fit for a phone. The file's arrival starts the job; only the key of the object counts, never its metadata. " +
			"With object the claim is recorded for an object that somebody else writes into a mapped bucket, and that bucket's event starts the job.",
		Errors: []int{400, 401, 403, 409, 410, 413, 422, 429, 503}}, s.createUpload)
	register(s, huma.Operation{OperationID: opUploadGet, Method: http.MethodGet, Path: "/v1/uploads/{job}", Tags: tags,
		Summary: "Has the file arrived?", Errors: []int{401, 403, 404, 422, 503}}, s.getUpload)
	content := func(id, method, summary string, body *huma.RequestBody) {
		register(s, huma.Operation{OperationID: id, Method: method, Path: "/v1/uploads/{job}/content", DefaultStatus: http.StatusAccepted, Tags: tags,
			Summary: summary, Description: "The URL comes from POST /v1/uploads; it needs no key, takes one file and expires.", RequestBody: body,
			Errors: []int{400, 403, 404, 408, 409, 410, 413, 415, 422, 429, 503}}, s.putContent)
	}
	file := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	content(opUploadPut, http.MethodPut, "Upload a file as it is", &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: file}}})
	content(opUploadPost, http.MethodPost, "Upload a file as a form", &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {
		Schema: &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{fileField: file}, Required: []string{fileField}}}}})
}

func (s *Server) createUpload(ctx context.Context, in *struct {
	request
	Idempotency
	Body UploadInput
}) (*uploadOutput, error) {
	most := s.Limits.MediaBytes
	if in.Body.MaxBytes > most {
		return nil, overLimit("body.max_bytes", most)
	}
	if in.Body.MaxBytes > 0 {
		most = in.Body.MaxBytes
	}
	c, err := s.resolve(ctx, in.Body.ClaimInput, "body")
	if err != nil {
		return nil, err
	}
	who := PrincipalOf(ctx)
	if err := s.room(ctx, who.Tenant, c.waiting); err != nil {
		return nil, err
	}
	now := s.now()
	job := ulid.Make().String()
	u := results.Upload{Job: job, Tenant: who.Tenant, Bucket: hereBucket, Key: job, MaxBytes: most, CreatedAt: now,
		ExpiresAt: now.Add(s.Limits.UploadTTL).Truncate(time.Second)}
	if s.presigned() {
		u.Bucket, u.Key = s.UploadBucket, who.Tenant+"/_upload/"+ulid.Make().String() // says nothing of the person
	}
	object, kind := in.Body.Object, sourceUpload
	if object != nil {
		if err := s.mapped(ctx, ObjectInput{Bucket: object.Bucket, Key: object.Key}); err != nil {
			return nil, err
		}
		u.Bucket, u.Key, kind = object.Bucket, object.Key, sourceBucket
	}
	if u.Sub, err = c.submission(ctx, job, now); err != nil {
		return nil, err
	}
	u.Sub.Source = results.Source{Kind: kind, Bucket: u.Bucket, Key: u.Key}
	u, again, err := s.Store.CreateUpload(ctx, u, in.IdempotencyKey, bodySum(opUpload, canonical(in.Body)))
	taken := errors.Is(err, results.ErrExists)
	if object != nil && s.Events != nil && (err == nil || taken) {
		// The event may have come first. Also when the claim was there already: whoever recorded it may have broken off here.
		if cerr := s.Events.Claimed(ctx, object.Bucket, object.Key); cerr != nil {
			return nil, acceptFault(cerr, c.waiting)
		}
	}
	if object != nil && taken {
		return nil, problem(codeExists).with("A claim is recorded for this object already.", "该对象已登记过。").because(err)
	}
	if err != nil {
		return nil, acceptFault(fmt.Errorf("record an upload: %w", err), c.waiting)
	}
	noteJob(ctx, u.Job)
	arrived := false
	if again || object != nil {
		if arrived, err = s.arrived(ctx, u); err != nil {
			return nil, err
		}
	}
	out := &uploadOutput{Location: "/v1/uploads/" + u.Job, Body: s.uploadAnswer(u, arrived)}
	if again {
		out.Replayed = "true"
	}
	if out.Body.State == "waiting" && object == nil {
		if out.Body.Upload, err = s.target(ctx, in.ctx, u); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Server) presigned() bool { return s.Presigner != nil && s.UploadBucket != "" }

func (s *Server) uploadAnswer(u results.Upload, arrived bool) UploadAnswer {
	a := UploadAnswer{Job: u.Job, State: "waiting", MaxBytes: u.MaxBytes, ExpiresAt: u.ExpiresAt.UTC(), Links: linksOf(u.Job)}
	switch {
	case arrived:
		a.State = "arrived"
	case !s.now().Before(u.ExpiresAt):
		a.State = "expired"
	}
	return a
}

// target says where the file goes: into the bucket, or back to this server.
func (s *Server) target(ctx context.Context, hctx huma.Context, u results.Upload) (*UploadTarget, error) {
	if u.Bucket != hereBucket {
		if s.Presigner == nil {
			return nil, fmt.Errorf("presign upload %s: it was recorded for a bucket, and this server has none", u.Job)
		}
		post, err := s.Presigner.PresignPost(ctx, u.Bucket, u.Key, u.MaxBytes, nil, u.ExpiresAt.Sub(s.now()))
		if err != nil {
			return nil, fmt.Errorf("presign upload %s: %w", u.Job, err)
		}
		return &UploadTarget{Method: http.MethodPost, URL: post.URL, Fields: post.Fields, File: fileField}, nil
	}
	expires := u.ExpiresAt.Unix()
	return &UploadTarget{Method: http.MethodPost, Fields: map[string]string{}, File: fileField,
		URL: s.publicURL(hctx) + "/v1/uploads/" + u.Job + "/content?expires=" + strconv.FormatInt(expires, 10) + "&signature=" + s.uploadSignature(u.Job, expires)}, nil
}

func (s *Server) uploadSignature(job string, expires int64) string {
	return hex.EncodeToString(s.mac("upload", job, strconv.FormatInt(expires, 10)))
}

// publicURL is how the caller reaches this server.
func (s *Server) publicURL(ctx huma.Context) string {
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	if ctx.TLS() != nil {
		return "https://" + ctx.Host()
	}
	return "http://" + ctx.Host()
}

func (s *Server) getUpload(ctx context.Context, in *struct {
	Job string `path:"job" minLength:"26" maxLength:"26"`
}) (*struct{ Body UploadAnswer }, error) {
	tenant := PrincipalOf(ctx).Tenant
	u, err := s.Store.Upload(ctx, tenant, in.Job)
	if err != nil {
		return nil, fmt.Errorf("read upload %s: %w", in.Job, err)
	}
	arrived, err := s.arrived(ctx, u)
	if err != nil {
		return nil, err
	}
	return &struct{ Body UploadAnswer }{s.uploadAnswer(u, arrived)}, nil
}

// arrived says whether the file came. What is sent to this server leaves no time in the upload's row: its job tells.
func (s *Server) arrived(ctx context.Context, u results.Upload) (bool, error) {
	_, err := s.Store.Job(ctx, u.Tenant, u.Job)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return false, fmt.Errorf("read job %s: %w", u.Job, err)
	}
	return err == nil, nil
}

// putContent takes the file of an upload whose URL leads here.
func (s *Server) putContent(ctx context.Context, in *contentInput) (*acceptedOutput, error) {
	given, err := hex.DecodeString(in.Signature)
	want, _ := hex.DecodeString(s.uploadSignature(in.Job, in.Expires))
	if err != nil || !hmac.Equal(given, want) {
		return nil, problem(codeBadSignature)
	}
	if s.now().Unix() >= in.Expires {
		return nil, problem(codeExpired)
	}
	u, err := s.Store.UploadAt(ctx, hereBucket, in.Job)
	if err != nil {
		return nil, fmt.Errorf("read upload %s: %w", in.Job, err)
	}
	// The URL's owner acts for the tenant that recorded the claim, and for this one upload only.
	ctx = context.WithValue(ctx, principalKey{}, Principal{Tenant: u.Tenant, Key: "upload"})
	noteJob(ctx, u.Job)
	tenant, err := s.tenant(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's settings: %w", err)
	}
	most := tenant.Settings.MaxWaiting
	if most == 0 {
		most = s.Limits.MaxWaiting
	}
	if err := s.room(ctx, u.Tenant, most); err != nil {
		return nil, err
	}
	// Names of ours cannot be a client's: theirs have no tilde.
	key := "~upload~" + u.Job
	kept, used, err := s.reserve(ctx, key)
	if err != nil {
		return nil, err
	}
	defer kept.end()
	if used {
		return nil, problem(codeUsed).header("Location", "/v1/jobs/"+u.Job)
	}
	file, name, err := s.receive(ctx, in, u)
	if err != nil {
		kept.release()
		return nil, err
	}
	sub := u.Sub
	sub.Media = results.Media{Key: file.key, SHA256: file.sha256, Bytes: file.bytes, Name: name}
	sub.Source, sub.ReceivedAt = results.Source{Kind: sourceUpload}, s.now()
	out, err := s.accept(ctx, results.NewSubmission{Sub: sub, Idempotency: key, BodySHA256: bodySum(opUpload, file.sha256), Keep: []string{file.key}, MaxWaiting: most})
	if err != nil {
		if unwritten(err) {
			kept.release()
		}
		return nil, err
	}
	return out, nil
}

// receive seals the body of an upload: a form's file, or the body itself.
func (s *Server) receive(ctx context.Context, in *contentInput, u results.Upload) (file sealed, name string, err error) {
	r, w := humago.Unwrap(in.ctx)
	client := newClientReader(w, r, s.Limits.ReadIdle)
	file, name, err = s.receiveFile(ctx, r, client, u)
	if err == nil {
		err = client.finish()
	}
	if err != nil && file.key != "" {
		s.discard(ctx, file.key)
	}
	return file, name, err
}

func (s *Server) receiveFile(ctx context.Context, r *http.Request, client *clientReader, u results.Upload) (file sealed, name string, err error) {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.ContentLength > u.MaxBytes+(1<<20) || (r.Method == http.MethodPut && r.ContentLength > u.MaxBytes) {
		return sealed{}, "", overLimit(fileField, u.MaxBytes)
	}
	if r.Method == http.MethodPut {
		file, err = s.keep(ctx, u.Tenant, u.Sub.Subject, bound(client, u.MaxBytes, "body"))
		return file, "", err
	}
	if kind != "multipart/form-data" || params["boundary"] == "" {
		return sealed{}, "", problem(codeContentType).with("Send multipart/form-data with the file, or PUT it as it is.", "请用 multipart/form-data 发送文件，或用 PUT 直接发送。")
	}
	form := multipart.NewReader(client, params["boundary"])
	for n := 0; ; n++ {
		part, err := form.NextPart()
		switch {
		case err == nil && n > maxPostFields:
			err = invalid("form", "too_many", maxPostFields, say("has more than %d fields", "超过 %d 个字段", maxPostFields), pipeline.Text{})
		case errors.Is(err, io.EOF) && file.key == "":
			return sealed{}, "", invalid("form."+fileField, "missing", nil, say("is missing", "缺失"), pipeline.Text{})
		case errors.Is(err, io.EOF):
			return file, name, nil
		case err == nil && file.key != "":
			err = invalid("form."+fieldName(part.FormName()), "order", nil, say("stands after the file", "位于文件之后"), pipeline.Text{})
		case err == nil && part.FormName() != fileField: // what a bucket wants to know of a form
			_, err = io.Copy(io.Discard, bound(part, claimBytes, "form."+fieldName(part.FormName())))
		case err == nil:
			name = fileName(part.FileName())
			file, err = s.keep(ctx, u.Tenant, u.Sub.Subject, bound(part, u.MaxBytes, "form."+fileField))
		}
		if err != nil {
			return file, "", formFault(err)
		}
	}
}

// formFault tells the client's own faults from those of the store.
func formFault(err error) error {
	var p *Problem
	if errors.As(err, &p) || isStore(err) {
		return err
	}
	return badBody(err)
}

func isStore(err error) bool { return fault(err).Code != string(codeInternal) }
