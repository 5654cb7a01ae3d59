package api

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"onsite/results"
	"onsite/results/object"
)

const (
	opMedia    = "get-submission-media"
	opKeyframe = "get-keyframe"
)

// mediaPatience is how long a download waits for a place unless the server says otherwise: a page of keyframes asks for more at once than there are.
const mediaPatience = 2 * time.Second

func (s *Server) mediaRoutes() {
	errs := []int{401, 403, 404, 410, 422, 429, 503}
	picture := func(kind string) map[string]*huma.Response {
		return map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	}
	register(s, huma.Operation{OperationID: opMedia, Method: http.MethodGet, Path: "/v1/submissions/{job}/media", Tags: []string{"submissions"},
		Summary: "The submitted file", Description: "As it was submitted, for a person who investigates. Every look is written to the audit log. The bytes are hostile until proven otherwise: open them in a sandbox.",
		Errors: errs, Responses: picture("application/octet-stream")}, s.getMedia)
	register(s, huma.Operation{OperationID: opKeyframe, Method: http.MethodGet, Path: "/v1/verdicts/{job}/keyframes/{n}", Tags: []string{"verdicts"},
		Summary: "A keyframe of a verdict", Description: "With other people blurred. Every look is written to the audit log.", Errors: errs, Responses: picture("image/jpeg")}, s.getKeyframe)
}

func (s *Server) getMedia(ctx context.Context, in *struct{ JobPath }) (*huma.StreamResponse, error) {
	noteJob(ctx, in.Job)
	j, err := s.job(ctx, in.Job) // the tenant is checked here: a submission is read by its job alone
	if err != nil {
		return nil, err
	}
	sub, err := s.Store.Submission(ctx, j.ID)
	if err != nil {
		return nil, fmt.Errorf("read submission %s: %w", in.Job, err)
	}
	if sub.Tenant != PrincipalOf(ctx).Tenant {
		return nil, problem(codeNotFound)
	}
	if sub.Media.Key == "" {
		return nil, problem(codeNotFound).with("There is no copy of this file: it was not fetched yet, or its time is over.", "没有该文件的副本：尚未取回，或已超过保存期限。")
	}
	name := sub.Media.Name
	if name == "" {
		name = in.Job
	}
	return s.show(ctx, "media.viewed", sub.Subject, in.Job, sub.Media.Key, "application/octet-stream", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}

func (s *Server) getKeyframe(ctx context.Context, in *struct {
	JobPath
	N int `path:"n" minimum:"0" maximum:"9999"`
}) (*huma.StreamResponse, error) {
	noteJob(ctx, in.Job)
	v, err := s.verdict(ctx, in.Job, 0)
	if err != nil {
		return nil, err
	}
	rows, err := s.Store.Evidence(ctx, v.Tenant, in.Job)
	if err != nil {
		return nil, fmt.Errorf("read the evidence of job %s: %w", in.Job, err)
	}
	var found results.Evidence
	for _, e := range rows { // of the newest revision that has pictures: a later finding shows no new ones
		if e.Kind == "keyframe" && e.Index == in.N && e.Revision >= found.Revision && e.Key != "" {
			found = e
		}
	}
	if found.Key == "" {
		return nil, problem(codeNotFound).with("There is no such keyframe, or its time is over.", "没有该关键帧，或已超过保存期限。")
	}
	return s.show(ctx, "keyframe.viewed", v.Subject, in.Job, found.Key, "image/jpeg", "inline")
}

// show sends a sealed object. The look is in the audit log before the first byte is: no log, no look.
func (s *Server) show(ctx context.Context, action, subject, job, key, kind, disposition string) (*huma.StreamResponse, error) {
	free, err := s.plain.enter(ctx, PrincipalOf(ctx).Tenant, s.patience)
	switch {
	case errors.Is(err, errShareFull):
		return nil, problem(codeBusyTenant).with("Your tenant is being sent %d files, as many as it may have at once. Try again in a moment.", "正在向您的租户发送 %d 个文件，达到同时发送的上限。请稍后再试。", s.plain.share).retry(time.Second)
	case err != nil:
		return nil, problem(codeBusyStreams).with("Too many files are being sent. Try again in a moment.", "正在发送的文件过多。请稍后再试。").retry(time.Second)
	}
	file, err := s.unseal(ctx, action, subject, job, key)
	if err != nil {
		free()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer free()
		defer file.Close()
		r, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", disposition)
		w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
		http.ServeContent(&patientWriter{ResponseWriter: w, conn: http.NewResponseController(w), idle: s.Limits.ReadIdle, until: time.Now().Add(maxBodyTime)}, r, "", time.Time{}, file)
	}}, nil
}

func (s *Server) unseal(ctx context.Context, action, subject, job, key string) (*os.File, error) {
	file, err := s.Vault.Open(ctx, key)
	switch {
	case errors.Is(err, object.ErrNotFound):
		return nil, problem(codeNotFound).with("The file is gone: its time is over.", "文件已超过保存期限，不再保存。").because(err)
	case err != nil:
		return nil, fmt.Errorf("open what was stored for job %s: %w", job, err)
	}
	if err := s.Store.Append(ctx, s.auditOf(ctx, action, subject, job)); err != nil {
		return nil, errors.Join(fmt.Errorf("write to the audit log who looks at job %s: %w", job, err), file.Close())
	}
	return file, nil
}

// patientWriter gives a slow client time as long as it takes something: idle for each piece of 32 KiB (io.Copy's), until for all. Who takes
// nothing is let go, and its place is free.
type patientWriter struct {
	http.ResponseWriter
	conn  *http.ResponseController
	idle  time.Duration
	until time.Time
}

func (w *patientWriter) Write(b []byte) (int, error) {
	deadline := time.Now().Add(w.idle)
	if deadline.After(w.until) {
		deadline = w.until
	}
	_ = w.conn.SetWriteDeadline(deadline) // a recorder in a test has none
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
