package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"onsite/pipeline"
)

// request is part of the input of operations that need the request itself.
type request struct{ ctx huma.Context }

// Resolve keeps it.
func (r *request) Resolve(ctx huma.Context) []error {
	r.ctx = ctx
	return nil
}

// bellPoll is how often a waiter looks by itself: a bell is best effort, and not every change rings.
const bellPoll = 2 * time.Second

// waitOf reads ?wait=: 30s, 1m, or a number of seconds; more than the limit is the limit.
func (s *Server) waitOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, aerr := strconv.Atoi(text); aerr == nil {
		d, err = time.Duration(min(max(seconds, -1), 3600))*time.Second, nil
	}
	if err != nil || d < 0 {
		return 0, invalid("query.wait", "duration", nil, say("must be a duration such as 30s", "应为时长，例如 30s"), pipeline.Text{})
	}
	return min(d, s.Limits.Wait), nil
}

// await calls look until it says that what is waited for is there, time is up, or the server shuts down: at first, after every ring of
// the topic, and now and then.
func (s *Server) await(ctx context.Context, r request, topic string, wait time.Duration, look func() (bool, error)) error {
	there, err := look()
	if there || err != nil || wait <= 0 {
		return err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	extend(r.ctx, wait+s.Limits.WriteTimeout)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	rings := s.Bell.Listen(ctx, topic)
	tick := time.NewTicker(bellPoll)
	defer tick.Stop()
	for {
		if there, err := look(); there || err != nil { // again at first: it may have come before the bell was listened to
			return err
		}
		select {
		case <-rings:
			if ctx.Err() != nil { // a closed bell rings for ever
				return nil
			}
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case <-s.drained:
			return nil
		}
	}
}

// enter takes a place among the open streams and long polls.
func (s *Server) enter(ctx context.Context) (leave func(), err error) {
	leave, err = s.open.enter(ctx, PrincipalOf(ctx).Tenant, 0)
	switch {
	case errors.Is(err, errShareFull):
		return nil, problem(codeBusyTenant).with("Your tenant has %d clients that wait for events, as many as it may have. Ask again without wait, or later.",
			"您的租户已有 %d 个客户端在等待事件，达到上限。请不带 wait 查询或稍后再试。", s.open.share).retry(fullRetry)
	case err != nil:
		return nil, problem(codeBusyStreams).retry(fullRetry)
	}
	return leave, nil
}

// extend gives an answer more time than usual.
func extend(ctx huma.Context, by time.Duration) {
	if ctx == nil {
		return
	}
	_, w := humago.Unwrap(ctx)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(by)) // a recorder in a test has none
}
