package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const opEvents = "receive-s3-events"

func (s *Server) eventRoutes() {
	register(s, huma.Operation{OperationID: opEvents, Method: http.MethodPost, Path: "/v1/events/s3", Tags: []string{"uploads"},
		Summary: "Receive a bucket's notification",
		Description: "For the bucket's service, with a secret of its own as \"Authorization: Bearer\". 200 means that everything in the body was recorded; " +
			"what could not be understood, or was too long, is kept and shown at /v1/intake-events. On any other answer the service must send it again.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Description: "S3 event notification"}}}},
		Errors:      []int{400, 401, 404, 408, 503}}, s.receiveEvents)
}

// Recorded is the answer to a bucket's notification.
type Recorded struct {
	Recorded bool `json:"recorded"`
}

func (s *Server) receiveEvents(ctx context.Context, in *struct{ request }) (*struct{ Body Recorded }, error) {
	if s.Events == nil || s.EventSecret == "" {
		return nil, problem(codeOff).with("Bucket notifications are not configured on this server.", "该服务器未配置存储桶通知。")
	}
	r, w := humago.Unwrap(in.ctx)
	// Some services send the token alone, some with a scheme.
	given := r.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(given, " "); ok && strings.EqualFold(scheme, "Bearer") {
		given = token
	}
	have, want := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(s.EventSecret))
	if subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
		return nil, problem(codeBadKey).with("The secret of bucket notifications is wrong.", "存储桶通知的密钥有误。")
	}
	body, err := readStart(w, r, s.Limits.EventBytes+1, s.Limits.ReadIdle)
	if err != nil {
		return nil, err
	}
	if err := s.Events.Receive(ctx, "webhook", body); err != nil {
		return nil, fmt.Errorf("record a bucket notification: %w", err)
	}
	return &struct{ Body Recorded }{Recorded{true}}, nil
}
